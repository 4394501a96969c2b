# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the amdgpu driver reports: rings and schedulers that time out, page faults, resets, wedged devices, RAS.

Source of the texts: C(drivers/gpu/drm/amd/amdgpu): C(amdgpu_job.c), C(gmc_v9_0.c) and its kin, C(amdgpu_device.c),
C(amdgpu_ras.c), C(amdgpu_umc.c), C(mes_v11_0.c); C(drivers/gpu/drm/drm_drv.c); C(drivers/gpu/drm/amd/amdkfd).
"""

from __future__ import annotations

import re

from .pci import DEVICE, Event, pci_address

# amdgpu 0000:c4:00.0: amdgpu: TEXT, without the second name since 6.15; [drm:FUNCTION [amdgpu]] *ERROR* TEXT;
# amdgpu: TEXT.
_HEAD = re.compile(
    rf"(?:amdgpu ({DEVICE}): |(?=\[drm:(?:amdgpu|[\w.]{{1,80}} \[amdgpu\]))|(?=amdgpu: )|kfd kfd: (?=amdgpu: ))"
    r"(?:amdgpu: )?(?:\{\d{1,6}\} ?)?(?:\[drm(?::[\w.]{1,80}(?: \[amdgpu\])?)?\] )?(?:\*ERROR\* )?"
)
_PROCESS = re.compile(
    r"(?:Process information: process|\s?Process|[^\n]{0,120}\bfor process) ([^\n]{0,64}?) pid (\d{1,10})\b"
)
_RING = re.compile(r"ring ([\w.]{1,32}) timeout")
_SOFT = re.compile(r"[^\n]{0,120}but soft recovered")
_RESET = re.compile(r"GPU (?:mode\d )?reset begin")
_RESET_END = re.compile(
    r"GPU reset\(\d{1,6}\) (succeeded|failed)|GPU reset end with ret = (-?\d{1,6})|GPU Recovery Failed: ?(-?\d{1,6})|"
    r"Ring [\w.]{1,32} reset (succeeded|failed)"
)
_WEDGED = re.compile(r"device wedged, ([^\n]{1,60})")
_PAGE_FAULT = re.compile(
    r"\[\w{1,16}\] (?:(?:no-)?retry )?page fault \(|VM fault \(|GPU fault detected: \d|\[\w{1,16}\] VMC page fault"
)
_HUNG = re.compile(
    r"qcm fence wait loop timeout expired|MES(?:\(\d{1,3}\))? failed to respon(?:d|se)|MES ring buffer is full|"
    r"(?:[^\n]{0,80}, )?Queue preemption time out|"
    r"The cp might be in an unrecoverable state|failed to (?:un)?map legacy queue"
)
_RAS = re.compile(
    r"(?:\b(\d{1,9}) )?(?:new )?\b(uncorrectable|correctable) hardware errors?\b(?:[^\n]{0,80}? in (\w{1,24}) block)?"
)
_CHECK = re.compile(r"(?:\{\d{1,6}\})?\[Hardware Error\]: Accelerator Check")


def parse_amdgpu_text(text: str) -> Event | None:
    """The event of a line of the amdgpu driver, or None."""
    head = _HEAD.match(text)
    if head is None:
        return None
    message = text[head.end() : head.end() + 400]
    event = _parse_report(message)
    if event is None:
        return None
    if head[1] is not None:
        event["pci"] = pci_address(head[1], function=True)
    return event


def _parse_report(message: str) -> Event | None:
    ring = _RING.match(message)
    if ring is not None:
        if _SOFT.match(message):
            return {"kind": "amdgpu_ring_timeout", "ring": ring[1], "is_new_fault": False}
        return {"kind": "amdgpu_ring_timeout", "ring": ring[1]}
    if _PAGE_FAULT.match(message):
        return _with_process({"kind": "amdgpu_page_fault"}, message)
    return _parse_hang(message) or _parse_reset(message) or _parse_ras(message) or _parse_process_line(message)


def _parse_hang(message: str) -> Event | None:
    hung = _HUNG.match(message)
    return {"kind": "amdgpu_hang", "reason": hung[0]} if hung is not None else None


def _parse_reset(message: str) -> Event | None:
    if _RESET.match(message):
        return {"kind": "amdgpu_reset", "stage": "begin"}
    end = _RESET_END.match(message)
    if end is not None:
        numbers = [int(number) for number in (end[2], end[3]) if number]
        failed = "failed" in (end[1], end[4]) or end[3] is not None or any(number != 0 for number in numbers)
        event: Event = {"kind": "amdgpu_reset", "stage": "failed" if failed else "succeeded"}
        return event if failed else {**event, "is_new_fault": False}
    wedged = _WEDGED.match(message)
    if wedged is None:
        return None
    event = {"kind": "amdgpu_wedged", "recovery": wedged[1].strip()}
    return event if "needs recovery" in wedged[1] else {**event, "is_new_fault": False}


def _parse_ras(message: str) -> Event | None:
    if _CHECK.match(message):
        return {"kind": "amdgpu_ras", "severity": None}
    ras = _RAS.search(message)
    if ras is None or ras[1] == "0":
        return None
    event: Event = {"kind": "amdgpu_ras", "severity": ras[2]}
    if ras[1] is not None:
        event["count"] = int(ras[1])
    if ras[3] is not None:
        event["block"] = ras[3]
    return event


def _parse_process_line(message: str) -> Event | None:
    """The line after a report, which names the process whose work it was."""
    event = _with_process({"kind": "amdgpu_process", "is_new_fault": False}, message)
    return event if "pid" in event else None


def _with_process(event: Event, message: str) -> Event:
    named = _PROCESS.match(message)
    if named is not None:
        event.update(process=named[1].strip(), pid=int(named[2]))
    return event
