# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a PCI address stands in a kernel line, and in what form it is told on."""

from __future__ import annotations

import re
from typing import Any

Event = dict[str, Any]

# A domain may be printed with 4 to 8 digits, or not at all: drivers before 2010 printed bus and device alone.
ADDRESS = r"(?:[0-9a-fA-F]{1,8}:)?[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,2}(?:\.[0-9a-fA-F])?"
DEVICE = r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"

_PARTS = re.compile(r"(?:([0-9a-fA-F]{1,8}):)?([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,2})(?:\.([0-9a-fA-F]))?\Z")


def pci_address(printed: str, function: bool = False) -> str | None:
    """C(dddd:bb:dd), lower case, with C(.f) where C(function) is wanted and printed.

    A domain that is not printed is 0000, as for every program that leaves it out.
    """
    match = _PARTS.match(printed)
    if match is None:
        return None
    domain, bus, device, printed_function = match.groups()
    address = f"{int(domain or '0', 16):04x}:{int(bus, 16):02x}:{int(device, 16):02x}"
    return f"{address}.{printed_function.lower()}" if function and printed_function else address
