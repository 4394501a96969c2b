# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(NVRM: Xid (...)): the driver's report of a GPU error, in every form that it has had.

Source of the grammar: C(kernel_rc.c) (krcReportXid), C(kern_gpu_error_cont_ga100.c) for 94 and 95, C(gpu.c) for 154.
"""

from __future__ import annotations

import re

from ..catalogue.numbers import KNOWN_XIDS
from .nvlink import nvlink4, nvlink5
from .pci import ADDRESS, Event, pci_address

_HEAD = re.compile(
    rf"(?:NVRM: ){{1,2}}Xid \((?:PCI:)?({ADDRESS})(?: GPU-I:(\d{{1,4}})(?: GPU-CI:(\d{{1,4}}))?)?\): "
    r"(\d{1,6})(?=[,\s]|\Z)"
)
_PID = re.compile(r"pid=(?:(\d{1,10})|'?<?[a-z]{0,16}>?'?)(?:, |\Z)")
_LONGEST_NAME = 15  # TASK_COMM_LEN, less the terminator
# What a message begins with: it ends a process name that has commas of its own.
_MESSAGE = re.compile(
    r"(?:[Cc]h(?:annel)? |ChID |Graphics |NVLink|Contained|Uncontained|Timeout |Class Error|GPU |intr |errorString |"
    r"CE\d|Row Remap|[A-Z][A-Z0-9_/]+ +(?:Fatal|Nonfatal) |DMA |MMU |BAR1 |Ctxsw|Wait |Internal |SM |DBE |"
    r"An uncorr|Dynamic |Page |Application |Engine |Reset |Secure |PMU |Video |RC |vGPU |Unrecoverable )"
)
_SM = re.compile(r"\bGPC (\d{1,4}), (?:CPC \d{1,4}, )?TPC (\d{1,4})(?:, SM (\d{1,4}))?\b")
_RECOVERY = re.compile(
    r"GPU recovery action changed from (0x[0-9a-fA-F]{1,8}) \(([^()]{0,80})\)"
    r" to (0x[0-9a-fA-F]{1,8}) \(([^()]{0,80})\)"
)
_CONTAINED = re.compile(r"(Contained|Uncontained):")
_RESET = re.compile(r"\bRST: (Yes|No)(?:, D-RST: (Yes|No))?")
_CAUSED_BY = re.compile(r"caused by previous Xid (\d{1,6})\s*\Z")


def parse_xid(text: str) -> Event | None:
    """The event of an Xid line, or None."""
    head = _HEAD.match(text)
    if head is None:
        return None
    address, gpu_instance, compute_instance, number = head.groups()
    xid = int(number)
    event: Event = {"kind": "xid", "xid": xid, "pci": pci_address(address), "pid": None}
    message = _read_process(text[head.end() :].lstrip(", "), event)
    if gpu_instance is not None:
        event["mig_gi"] = int(gpu_instance)
    if compute_instance is not None:
        event["mig_ci"] = int(compute_instance)
    _read_details(xid, message, event)
    event["known"] = xid in KNOWN_XIDS
    return event


def _read_process(rest: str, event: Event) -> str:
    """Read pid and name into the event; return the message after them."""
    pid = _PID.match(rest)
    if pid is None:
        return rest
    if pid.group(1) is not None:
        event["pid"] = int(pid.group(1))
    rest = rest[pid.end() :]
    if not rest.startswith("name="):
        return rest
    name, message = _split_process_name(rest[len("name=") :])
    if name.strip() and name.strip("'") != "<unknown>":
        event["process"] = name
    return message


def _split_process_name(rest: str) -> tuple[str, str]:
    """Part a process name from the message: at the first comma after which a known message begins, else the first."""
    first = rest.find(", ")
    if first < 0:
        return rest.rstrip(", "), ""
    at = first
    while 0 <= at <= _LONGEST_NAME:
        if _MESSAGE.match(rest, at + 2):
            return rest[:at], rest[at + 2 :]
        at = rest.find(", ", at + 1)
    return rest[:first], rest[first + 2 :]


def _read_details(xid: int, message: str, event: Event) -> None:
    caused_by = _CAUSED_BY.search(message[-64:])
    if caused_by is not None:
        event["caused_by"] = int(caused_by.group(1))
    sm = _SM.search(message)
    if sm is not None:
        places = zip(("gpc", "tpc", "sm"), sm.groups())
        event["sm"] = {name: int(number) for name, number in places if number is not None}
    if xid == 154:
        recovery = _RECOVERY.search(message)
        if recovery is not None:
            before, before_text, after, after_text = recovery.groups()
            event["recovery"] = {
                "from": int(before, 0),
                "from_text": before_text,
                "to": int(after, 0),
                "to_text": after_text,
            }
    if xid in (94, 95):
        _read_containment(message, event)
    if xid in (71, 74):
        _set_if_found(event, "nvlink4", nvlink4(message))
    _set_if_found(event, "nvlink5", nvlink5(message))


def _set_if_found(event: Event, key: str, value: Event | None) -> None:
    if value is not None:
        event[key] = value


def _read_containment(message: str, event: Event) -> None:
    contained = _CONTAINED.match(message)
    if contained is None:
        return
    found = {"contained": contained.group(1) == "Contained"}
    reset = _RESET.search(message)
    if reset is not None:
        found["reset_required"] = reset.group(1) == "Yes"
        if reset.group(2) is not None:
            found["drain_and_reset"] = reset.group(2) == "Yes"
    event["containment"] = found
