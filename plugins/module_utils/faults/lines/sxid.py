# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(nvidia-nvswitchN: SXid (...)): what NVSwitches report.

Source of the grammar: C(common_nvswitch.h) and C(intr_nvswitch.h) for the report, C(error_nvswitch.c) for the lines
after it.
"""

from __future__ import annotations

import re

from .pci import ADDRESS, Event, pci_address

_HEAD = re.compile(rf"nvidia-nvswitch(\d{{1,4}}): SXid \((?:PCI:)?({ADDRESS})\): (\d{{1,7}})(?:, |,?\Z)")
_SEVERITY = re.compile(r"(Fatal|Non-fatal|Correctable)\b(?:, Link (\d{1,4})\b)?")
# The lines that follow a report carry its number and describe it.
_DETAIL = re.compile(r"Severity \d|Data ?\{|[A-Za-z ]{0,24}\bdata ?\[\d{1,3}\] ?=")


def parse_sxid(text: str) -> Event | None:
    """The event of an SXid line, or None."""
    head = _HEAD.match(text)
    if head is None:
        return None
    switch, address, number = head.groups()
    message = text[head.end() :]
    event: Event = {
        "kind": "sxid",
        "sxid": int(number),
        "nvswitch": int(switch),
        "pci": pci_address(address, function=True),
        "severity": None,
    }
    if _DETAIL.match(message):
        event.update(kind="sxid_detail", is_new_fault=False)
        return event
    severity = _SEVERITY.match(message)
    if severity is not None:
        event["severity"] = severity.group(1).lower()
        if severity.group(2) is not None:
            event["link"] = int(severity.group(2))
    return event
