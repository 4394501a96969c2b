# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One kernel line in, one event out: a pure function that takes any bytes and never raises.

A line that begins as one that tells of a fault, and cannot be read, is C({"kind": "unreadable", "trigger", "reason"}):
it is never passed over as a quiet one.

What a line does not state is absent from its event or null there, never guessed.  Two exceptions that stand for a
convention: a PCI domain that is not printed is 0000, and C(known) says whether any catalogue has the number.
"""

from __future__ import annotations

import re
from itertools import islice

from .amdgpu import parse_amdgpu_text
from .driver import parse_driver_text
from .framing import Framed, unframe
from .hardware import parse_hardware_text
from .heads import HEAD_WITHIN, must_be_read
from .infiniband import parse_infiniband
from .kernel import parse_kernel_text
from .pci import Event
from .stall import parse_stall_text
from .sxid import parse_sxid
from .wrappers import as_text
from .xid import parse_xid

KINDS = frozenset(
    (
        "none",
        "unreadable",
        "xid",
        "sxid",
        "sxid_detail",
        "gpu_off_bus_text",
        "gpu_off_bus_multiline",
        "gpu_identity",
        "gpu_init_failure",
        "gpu_reset_required",
        "gpu_power_cable",
        "gpu_bar_invalid",
        "gpu_probe_failure",
        "gsp_heartbeat",
        "uvm_fatal",
        "fsp_failure",
        "rc_watchdog",
        "nvlink_init_failure",
        "driver_mismatch",
        "peermem_error",
        "oom_kill",
        "oom_kill_record",
        "oom_invoked",
        "oom_reaper",
        "oom_announced",
        "oom_no_victim",
        "oom_group_kill",
        "hung_task",
        "soft_lockup",
        "hard_lockup",
        "rcu_stall",
        "workqueue_lockup",
        "kernel_oops",
        "general_protection",
        "invalid_opcode",
        "trap",
        "memory_failure",
        "kernel_panic",
        "segfault",
        "pcie_aer",
        "aer_detail",
        "pcie_dpc",
        "pcie_link_down",
        "pcie_inaccessible",
        "nvme_timeout",
        "edac_ce",
        "edac_ue",
        "mce",
        "apei",
        "amdgpu_ring_timeout",
        "amdgpu_page_fault",
        "amdgpu_hang",
        "amdgpu_reset",
        "amdgpu_wedged",
        "amdgpu_ras",
        "amdgpu_process",
        "ib_cable_unplugged",
        "ib_module_temp",
        "ib_pcie_power",
        "ib_health_poll",
        "ib_unrecoverable",
        "ib_tx_timeout",
        "ib_cmd_timeout",
        "ib_access_reg",
        "ib_link_down",
        "ib_health",
    )
)

# Every line that is an event holds one of these. Most lines hold none, and looking for them is cheap.
TRIGGERS = (
    "Xid",
    "installed in this system has",
    "fallen off the bus",
    "The NVIDIA ",
    "GPU at ",
    "eartbeat timed out",
    "global fatal error",
    "RC watchdog: ",
    "FSP ",
    "rpcSendMessage failed",
    "NV_ERR_GPU_IS_LOST",
    "NV_ERR_RESET_REQUIRED",
    "tatus=0x00000062",
    "necessary power cables",
    "PCI I/O region assigned",
    "nvidia: probe of",
    "RmInitAdapter",
    "rm_init_adapter",
    "API mismatch",
    "peermem",
    "nv_peer_mem",
    "knvlink",
    "Kill process",
    "Killed process",
    "oom-kill",
    "oom_reaper",
    "no killable processes",
    "going to be killed due to memory.oom.group",
    " blocked ",
    " stall",
    "kthread starved",
    "hard LOCKUP",
    "BUG: ",
    "Internal error: Oops",
    " [#",
    "probe with driver nvidia",
    ": Slot(",
    "change power state from ",
    "kernel BUG at",
    "Unable to handle kernel",
    "general protection fault",
    "traps: ",
    "Memory failure: ",
    "amdgpu",
    "nvme nvme",
    "anic - not syncing",
    "segfault at",
    "AER: ",
    "PCIe Bus Error",
    " error status/mask",
    " aer_",
    ":    [",
    " containment event",
    "EDAC MC",
    "[Hardware Error]",
    "achine check",
    "hardware memory ",
    "mlx5_",
    "Port module event",
)
_TRIGGERED = re.compile("|".join(map(re.escape, TRIGGERS)))
# The journal writes a message as numbers where it is no printable text: the trigger shows when they are read.
_BYTES = '"MESSAGE"'

_FAMILIES = (
    parse_driver_text,
    parse_amdgpu_text,
    parse_hardware_text,
    parse_infiniband,
    parse_kernel_text,
    parse_stall_text,
)
NONE: Event = {"kind": "none"}
# Where nobody knows what a line begins with, so far and so often a message is looked for.
_LONGEST_STRANGE = 1000
_MOST_HEADS = 8


def parse_line(line: str | bytes) -> Event:
    """The event of one line, C({"kind": "none"}) for a line that is no fault."""
    text = as_text(line)
    if not _TRIGGERED.search(text) and _BYTES not in text:
        return dict(NONE)
    return event_of(unframe(text))


def event_of(framed: Framed) -> Event:
    """The event of a line whose prefix has been taken off."""
    if framed.foreign:
        return dict(NONE)
    event = None if framed.strange else _parse_text(framed.text)
    return event or unreadable(framed) or dict(NONE)


def unreadable(framed: Framed, why: str = "") -> Event | None:
    """The event of a line that begins like a fault but could not be parsed, or None.

    C(why): what is wrong with it, where the caller knows.
    """
    trigger = must_be_read(framed.text, anywhere=framed.strange)
    if trigger is None and framed.strange:
        trigger = _fault_within(framed.text)
    if trigger is None:
        return None
    if not why and framed.strange:
        why = "what stands before it is no prefix that is known"
    return {
        "kind": "unreadable",
        "trigger": trigger,
        "reason": why or "it is not as the kernel or the driver writes it",
    }


def _fault_within(text: str) -> str | None:
    """The kind of the first fault in a text after words of an unknown form."""
    for head in islice(HEAD_WITHIN.finditer(text[:_LONGEST_STRANGE]), _MOST_HEADS):
        event = _parse_text(text[head.start() :])
        if event is not None and event.get("is_new_fault") is not False:
            return str(event["kind"])
    return None


def _parse_text(text: str) -> Event | None:
    if "Xid (" in text and text.startswith(("NVRM", "nvidia-nvswitch")):
        event = parse_xid(text) or parse_sxid(text)
        if event is not None:
            return event
    # A process may be named like the driver.
    for parse in (parse_driver_text, parse_kernel_text) if text.startswith("NVRM") else _FAMILIES:
        event = parse(text)
        if event is not None:
            return event
    return None
