# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Xid says of NVLink: the registers of Xid 74, and the words of 144 to 150 on NVLink5.

Register words are told on as they are printed, so that they can be compared with NVIDIA's tables letter by letter.
"""

from __future__ import annotations

import re

from .pci import Event

_FOURTH = re.compile(r"NVLink: [^\n]{0,80}?\blink (\d{1,3})\b")
_FIFTH = re.compile(
    r"([A-Za-z][A-Za-z0-9_]{0,40}(?:/[A-Za-z0-9_]{1,40}){0,3}) {1,8}(Fatal|Non-?fatal) {1,8}XC ?(\d) {1,8}i ?(\d)"
    r" {1,8}Link (-?\d{1,3})(?: ?[(\[]([^)\]]{0,200}))?"
)
_WORD = re.compile(r"0x[0-9a-fA-F]{1,16}\b")


def nvlink4(message: str) -> Event | None:
    """The link and the register words of Xid 74."""
    match = _FOURTH.match(message)
    if match is None:
        return None
    found: Event = {"link": int(match.group(1))}
    opened = message[match.end() : match.end() + 2].lstrip()
    if opened.startswith("("):
        words = _WORD.findall(message[match.end() : match.end() + 200].partition(")")[0])
        if words:
            found["registers"] = words
    return found


def nvlink5(message: str) -> Event | None:
    """The fields of an NVLink5 report. C(n_registers) counts all words, IntrInfo and errorStatus among them."""
    match = _FIFTH.match(message)
    if match is None:
        return None
    unit, severity, cross, injected, link, inside = match.groups()
    words = _WORD.findall(inside or "")
    found: Event = {
        "unit": unit,
        "severity": "fatal" if severity == "Fatal" else "non-fatal",
        "cross_contain": cross != "0",
        "injected": injected != "0",
        "link": int(link),
    }
    if words:
        found["intrinfo"] = words[0]
    if len(words) > 1:
        found["error_status"] = words[1]
    found["n_registers"] = len(words)
    return found
