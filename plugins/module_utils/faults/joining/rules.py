# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cause among the events of a burst, and the place and the victim of an event."""

from __future__ import annotations

from ..lines.pci import Event

# The same one of these on two GPUs at once is one fault of the fabric: Xid 74 on NVLink 1 to 4, the others on NVLink 5.
NVLINK_XIDS = frozenset({74, 144, 145, 146, 147, 148, 149, 150})
# A process that these name has lost its GPU work.
VICTIM_XIDS = frozenset({13, 31, 43, 45})

# A lost GPU explains whatever else is said of it. A double bit error explains the containment, the remapped row and the
# recovery action that follow it. What a program did wrong, and what only follows from something, are causes last.
_RANKS = {79: 0, 48: 1, 13: 3, 31: 3, 43: 4, 63: 5, 171: 5, 45: 6, 154: 6}
_OWN_CAUSE = 2
_MILD = ("non-fatal", "correctable")
_HOST_KEYS = (
    "oom_kill",
    "oom_kill_record",
    "oom_invoked",
    "oom_announced",
    "oom_reaper",
    "hung_task",
    "segfault",
    "general_protection",
    "invalid_opcode",
    "trap",
    "memory_failure",
)
_KILLS = ("oom_kill", "segfault", "hung_task", "general_protection", "invalid_opcode", "trap", "memory_failure")
# A bus tells these of a device, which may be a GPU.
PCIE_KINDS = ("pcie_aer", "aer_detail", "pcie_dpc", "pcie_inaccessible")
# On these kinds C(pci) names the GPU itself.
_GPU_KINDS = ("xid", "gpu_off_bus_text", "gpu_init_failure")


def code_of(event: Event) -> str:
    """The name under which an event is counted."""
    kind = str(event["kind"])
    if kind in ("xid", "sxid"):
        return f"{kind} {event[kind]}"
    return kind


def rank(event: Event) -> tuple[int, int]:
    """The rank of an event: smaller is nearer to the cause. Events of one rank are ordered by time."""
    if event["kind"] in ("gpu_off_bus_text", "gpu_off_bus_multiline"):
        return (0, 1)
    if event["kind"] == "xid":
        xid = int(event["xid"])
        consequence = "caused_by" in event
        return (6 if consequence else _RANKS.get(xid, _OWN_CAUSE), _is_mild(event.get("nvlink5") or {}))
    if event["kind"] == "sxid":
        return (_OWN_CAUSE, _is_mild(event))
    if event.get("is_new_fault") is False:
        return (9, 0)
    # A record of a kill tells less than the kill.
    return (_OWN_CAUSE, 1 if event["kind"] == "oom_kill_record" else 0)


def _is_mild(words: Event) -> int:
    return 1 if words.get("severity") in _MILD else 0


def fabric_code(event: Event) -> str | None:
    """The code by which an event may belong to a fault of the fabric, else None."""
    if event["kind"] == "sxid" or (event["kind"] == "xid" and event["xid"] in NVLINK_XIDS):
        return code_of(event)
    return None


def place_of(event: Event) -> tuple[str, str]:
    """The place of an event: a scope, and a name within it."""
    kind, pci = str(event["kind"]), event.get("pci")
    if kind in _GPU_KINDS and pci:
        return ("gpu", str(pci))
    if kind in ("sxid", "sxid_detail"):
        return ("fabric", str(pci))
    if kind in _HOST_KEYS:
        family = "oom" if kind.startswith("oom") else kind
        return ("host", f"{family} {event.get('pid', event.get('process'))}")
    if kind in PCIE_KINDS:
        return ("host", f"pcie {pci}")
    if kind.startswith("amdgpu_"):
        return ("gpu", str(pci).partition(".")[0]) if pci else ("host", "amdgpu")
    return ("host", f"{kind} {pci}" if pci else kind)


def victim_of(event: Event) -> tuple[int | None, str | None] | None:
    """The process that an event names as its victim: (pid, name), or None."""
    pid, process = event.get("pid"), event.get("process")
    if pid is None and process is None:
        return None
    if (event["kind"] == "xid" and event["xid"] in VICTIM_XIDS) or event["kind"] in _KILLS:
        return (pid, process)
    return None
