# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The beginnings of messages that may be events, and of those that must never be ignored if they cannot be parsed."""

from __future__ import annotations

import re

_DEVICE = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"
_HEADS = (
    r"NVRM: |nvidia-nvswitch\d{1,4}: |nvidia[-_]peermem:? |nv_peer_mem:? |nvidia: probe of |nvidia "
    + _DEVICE
    + r": probe with driver |NVRM nv|"
    r"pciehp " + _DEVICE + r"[: ]|MCE: Killing |infiniband mlx5_\w{1,40}: |"
    r"mlx5_core[ .:]|mlx5_\w{1,60}:\d|Port module event|pcieport |nvme nvme\d{1,4}: |amdgpu[: ]|"
    r"\[drm:(?:amdgpu|[\w.]{1,80} \[amdgpu\])|"
    r"kfd kfd: amdgpu|"
    r"Out of memory[ :(]|Memory cgroup out of memory|oom-kill:constraint=|oom_reaper: |Kill(?:ed)? process \d|"
    r"Tasks in /|"
    r"INFO: (?:task |rcu)|rcu: |task [^\s:]{1,64}:\d{1,10} blocked |(?:NMI )?watchdog: |NMI watchdog|BUG: |"
    r"Kernel [pP]anic - |---\[ end Kernel|Oops: |Internal error: Oops|Unable to handle kernel|general protection fault|"
    r"invalid opcode: |"
    r"[a-zA-Z][a-zA-Z0-9 ,-]{2,100}: [0-9a-f]{4,16} \[#\d|"
    r"kernel BUG at |traps: [^\s]|Memory failure: |mce: |EDAC |(?:\{\d{1,6}\})?\[Hardware Error\]|"
    r"audit: |[A-Za-z0-9_.-]{1,64} " + _DEVICE + r": (?:AER|DPC|PCIe|pciehp|(?:Unable to|can't) change power state)|"
    r"[^\s\[\]]{1,32}\[\d{1,10}\]: segfault at |[^\s:]{1,32} (?:invoked|triggered) oom-killer: "
)
HEAD = re.compile(rf"(?:{_HEADS})")
# Inside of a line a message begins where a word can begin, and not in a path, a quote or a value.
HEAD_WITHIN = re.compile(rf"(?<![\w/'\"(=.\-`])(?:{_HEADS})")

# What a message that tells of a fault begins with. One that begins so and could not be read is never a quiet one.
_MUST_BE_READ = (
    ("NVRM: Xid", r"NVRM: {1,8}(?:NVRM: )?Xid\b"),
    ("SXid", r"nvidia-nvswitch\d{1,4}: SXid\b"),
    ("fallen off the bus", r"NVRM: [^\n]{0,200}fallen off the bus"),
    ("Killed process", r"(?:Out of memory|Memory cgroup out of memory)[^\n]{0,60}: Killed process|Killed process \d"),
    ("oom-kill:constraint=", r"oom-kill:constraint="),
    ("segfault at", r"[^\n]{1,64}\[\d{1,10}\]: segfault at [0-9a-f]"),
    ("blocked for more than", r"INFO: task [^\n]{1,80} blocked for more than"),
    ("NV_ERR_", r"NVRM:? [^\n]{0,300}\[NV_ERR_(?:GPU_IS_LOST|RESET_REQUIRED)\]"),
    ("detected stall", r"(?:rcu: )?INFO: rcu\w{0,40} (?:self-)?detected (?:expedited )?stall"),
    ("soft lockup", r"(?:(?:NMI )?watchdog: )?BUG: soft lockup\b"),
    ("hard LOCKUP", r"(?:NMI )?watchdog: Watchdog detected hard LOCKUP"),
    ("Kernel panic", r"Kernel [pP]anic - not syncing"),
    ("PCIe Bus Error", r"[A-Za-z0-9_.-]{1,64} [0-9a-fA-F:.]{4,16}: (?:AER: )?PCIe Bus Error: severity="),
    ("EDAC", r"EDAC MC\d{1,4}: \d{1,10} [CU]E\b"),
)
# Those that are about GPUs, their driver and their switches.
GPU_TRIGGERS = ("NVRM: Xid", "SXid", "fallen off the bus", "NV_ERR_")
_AT_ITS_BEGINNING = tuple((name, re.compile(pattern)) for name, pattern in _MUST_BE_READ)
_ANYWHERE = tuple((name, re.compile(rf"(?<![\w/])(?:{pattern})")) for name, pattern in _MUST_BE_READ)


def must_be_read(text: str, anywhere: bool) -> str | None:
    """The name of the trigger for which a text has to be an event, or None.

    C(anywhere): nobody knows where in the text its message begins.
    """
    if anywhere:
        return next((name for name, pattern in _ANYWHERE if pattern.search(text[:2000])), None)
    return next((name for name, pattern in _AT_ITS_BEGINNING if pattern.match(text)), None)
