# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PCIe error reports, port containment, devices that do not wake, memory controllers and machine checks.

Source of the texts: C(drivers/pci/pcie/aer.c) and C(dpc.c), C(drivers/pci/pci.c), C(drivers/edac/edac_mc.c),
C(arch/x86/kernel/cpu/mce).
"""

from __future__ import annotations

import re

from .pci import DEVICE, Event, pci_address

# A service of a port had a name of its own before Linux 4.19: pciehp 0000:c0:01.1:pcie004.
_DEVICE = re.compile(rf"([A-Za-z0-9_.-]{{1,64}}) ({DEVICE})(?::pcie\d{{3}})?: ")
_SEVERITY = re.compile(r"(Corrected|Correctable|Uncorrect(?:ed|able) \((?:Non-)?Fatal\)|Fatal|Non-?[fF]atal)", re.ASCII)
_SUMMARY = re.compile(r"(?:AER: )?PCIe Bus Error: severity=")
_RECEIVED = re.compile(r"AER: (?:Multiple )?(?=[A-Z])")
_RECEIVED_END = re.compile(r" error (?:message )?received\b")
_DETAIL = re.compile(
    r"(?:AER: )? *(?:device \[[0-9a-f]{4}:[0-9a-f]{4}\] error status/mask=|\[ ?\d{1,2}\] ?[A-Za-z]|TLP Header: |"
    r"Error of this Agent|aer_(?:status|mask|layer|uncor_severity)\b)"
)
_DPC = re.compile(r"DPC:? containment event")
_HOTPLUG = re.compile(r"(?:pciehp: )?Slot\(([\w-]{1,24})\): (?:Link Down|Card not present)")
# Since Linux 5.19; in other words before.  From D3hot the device is as far away as from D3cold.
_INACCESSIBLE = re.compile(
    r"(?:Unable to|can't) change power state from (\w{1,16}) to (\w{1,16})"
    r"(?:, device inaccessible| \(config space inaccessible\))"
)
_NVME = re.compile(
    r"nvme (nvme\d{1,4}): (?:I/O (?:tag )?(\d{1,6})(?: \([0-9a-f]{1,8}\))?[^\n]{0,60}?QID (\d{1,5})[^\n]{0,40}?timeout|"
    r"(?:controller is down|Device not ready|Disabling device after reset failure|Removing after probe failure))"
)
_APEI = re.compile(r"(?:\{\d{1,6}\})?\[Hardware Error\]: (?:Hardware error from APEI|event severity: (\w{1,16}))")
_EDAC = re.compile(r"EDAC MC(\d{1,4}): (?:(\d{1,10}) )?(CE|UE)\b")
_EDAC_LABEL = re.compile(r"\blabel \"([^\"]{0,200})\"")
_MCE = re.compile(
    r"mce: \[Hardware Error\]: |(?:mce: )?(?:\[Hardware Error\]: )?Machine check events logged|"
    r"\[Hardware Error\]: (?:CPU ?\d|CPU:\d{1,5} \([^)]{1,20}\) MC\d{1,3}_STATUS|[^\n]{0,40}Machine [Cc]heck)|"
    r"mce: (?:Uncorrected|\[Firmware Bug\])[^\n]{0,20}hardware memory error"
)


def parse_hardware_text(text: str) -> Event | None:
    """The event of a line about the buses, the memory or the processor, or None."""
    edac = _EDAC.match(text)
    if edac is not None:
        return _parse_memory(text, edac)
    apei = _APEI.match(text)
    if apei is not None:
        # The severity has a line of its own, which describes the report before it.
        return {"kind": "apei"} if apei[1] is None else {"kind": "apei", "severity": apei[1], "is_new_fault": False}
    if _MCE.match(text):
        return {"kind": "mce"}
    nvme = _NVME.match(text)
    if nvme is not None:
        queue = {} if nvme[3] is None else {"qid": int(nvme[3])}
        return {"kind": "nvme_timeout", "device": nvme[1], **queue}
    device = _DEVICE.match(text)
    if device is None:
        return None
    return _parse_pcie(text[device.end() :], device.group(1), device.group(2))


def _parse_pcie(message: str, driver: str, printed: str) -> Event | None:
    pci = pci_address(printed, function=True)
    if _DPC.match(message):
        return {"kind": "pcie_dpc", "pci": pci}
    hotplug = _HOTPLUG.match(message)
    if hotplug is not None:
        return {"kind": "pcie_link_down", "pci": pci, "slot": hotplug[1]}
    asleep = _INACCESSIBLE.match(message)
    if asleep is not None:
        return {"kind": "pcie_inaccessible", "driver": driver, "pci": pci, "from": asleep[1], "to": asleep[2]}
    severity = _reported_severity(message)
    if severity is not None:
        return {"kind": "pcie_aer", "driver": driver, "pci": pci, "severity": severity}
    if _DETAIL.match(message):
        return {"kind": "aer_detail", "pci": pci, "is_new_fault": False}
    return None


def _reported_severity(message: str) -> str | None:
    summary = _SUMMARY.match(message)
    if summary is None:
        summary = _RECEIVED.match(message)
        if summary is None or not _RECEIVED_END.search(message[:120]):
            return None
    printed = _SEVERITY.match(message, summary.end())
    if printed is None:
        return None
    word = printed.group(1).lower().replace("nonfatal", "non-fatal")
    if word.startswith("correct"):
        return "correctable"
    return "non-fatal" if "non-fatal" in word else "fatal"


def _parse_memory(text: str, match: re.Match[str]) -> Event:
    controller, count, which = match.groups()
    event: Event = {"kind": f"edac_{which.lower()}", "mc": int(controller)}
    if count is not None:
        event["count"] = int(count)
    label = _memory_module(text[match.end() :])
    if label:
        event["label"] = label
    return event


def _memory_module(message: str) -> str | None:
    """The memory module: C(... on LABEL (...)), or C(label "LABEL") of old kernels."""
    quoted = _EDAC_LABEL.search(message)
    if quoted is not None:
        return quoted.group(1)
    head = message.partition(" (")[0]
    _before, on, label = head.rpartition(" on ")
    return label.strip() if on else None
