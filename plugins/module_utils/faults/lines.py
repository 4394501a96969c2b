# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One kernel line in, one event out: a pure function that takes any bytes and never raises.

What a line does not state is absent from its event or null there, never guessed.  Two exceptions that stand for a
convention: a PCI domain that is not printed is 0000, and C(known) says whether any catalogue has the number.
"""

from __future__ import annotations

import re

from .line_driver import parse_driver_text
from .line_framing import Framed, as_text, unframe
from .line_hardware import parse_hardware_text
from .line_infiniband import parse_infiniband
from .line_kernel import parse_kernel_text
from .line_pci import Event
from .line_sxid import parse_sxid
from .line_xid import parse_xid

KINDS = frozenset(
    (
        "none",
        "xid",
        "sxid",
        "sxid_detail",
        "gpu_off_bus_text",
        "gpu_off_bus_multiline",
        "gpu_identity",
        "gpu_init_failure",
        "nvlink_init_failure",
        "driver_mismatch",
        "peermem_error",
        "oom_kill",
        "oom_kill_record",
        "oom_invoked",
        "oom_reaper",
        "hung_task",
        "soft_lockup",
        "kernel_panic",
        "segfault",
        "pcie_aer",
        "aer_detail",
        "pcie_dpc",
        "edac_ce",
        "edac_ue",
        "mce",
        "ib_cable_unplugged",
        "ib_module_temp",
        "ib_pcie_power",
        "ib_health_poll",
        "ib_unrecoverable",
        "ib_cmd_timeout",
        "ib_access_reg",
    )
)

# Every line that is an event holds one of these. Most lines hold none, and looking for them is cheap.
TRIGGERS = (
    "Xid (",
    "installed in this system has",
    "fallen off the bus",
    "NVRM: The NVIDIA GPU",
    "GPU at ",
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
    " blocked ",
    "soft lockup",
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
    "hardware memory error",
    "mlx5_",
    "Port module event",
)
_TRIGGERED = re.compile("|".join(map(re.escape, TRIGGERS)))

_FAMILIES = (parse_driver_text, parse_hardware_text, parse_infiniband, parse_kernel_text)


def parse_line(line: str | bytes) -> Event:
    """The event of one line, C({"kind": "none"}) for a line that is no fault."""
    text = as_text(line)
    if not _TRIGGERED.search(text):
        return {"kind": "none"}
    return event_of(unframe(text))


def event_of(framed: Framed) -> Event:
    """The event of a line whose prefix has been taken off."""
    text = framed.text
    if framed.foreign:
        return {"kind": "none"}
    if "Xid (" in text:
        return parse_xid(text) or parse_sxid(text) or {"kind": "none"}
    for parse in (parse_driver_text,) if text.startswith("NVRM: ") else _FAMILIES:
        event = parse(text)
        if event is not None:
            return event
    return {"kind": "none"}
