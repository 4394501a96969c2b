# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Xid or SXid number means to us: failure class, severity and action.

    KNOWN_XIDS                         every number that a catalogue or a driver header names
    lookup_xid(79)                     -> Entry; a number nobody knows has class unknown and calls a person
    lookup_sxid(20034, "fatal", text)  -> Entry; the printed severity and text decide, the number is a hint
    lookup_xid(63, overrides)          the fleet's own word: {"xid": {63: {"action": "reset_gpu", ...}}, "sxid": {...}}

The sources, the reasons and who disagrees are for people: C(autoglm xid 79).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KNOWN_XIDS = frozenset(range(1, 177))

# What may be done about a fault, the lightest first.  Two verdicts are joined by taking the graver action.
FAULT_ACTIONS = (
    "observe",
    "call_person",
    "shed_load",
    "restart_process",
    "switch_comm_path",
    "reset_gpu",
    "reboot_node",
    "quarantine_node",
)
SEVERITIES = ("info", "warning", "critical")

Overrides = Mapping[str, Mapping[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class Entry:
    """One code.  failure_class: None where it tells of no failure.  rule: how the line must be read further, or ''."""

    kind: str
    code: int
    mnemonic: str
    title: str
    failure_class: str | None
    severity: str
    action: str
    rule: str = ""
    known: bool = True
    overridden: bool = False


def graver(first: str, second: str) -> str:
    """The graver of two actions."""
    return max(first, second, key=FAULT_ACTIONS.index)


def lookup_xid(code: int, overrides: Overrides | None = None) -> Entry:
    """What an Xid means.  Never fails: a number nobody knows is unknown, never harmless, never acted on."""
    return Entry("xid", code, "", "in no catalogue", "unknown", "warning", "call_person", known=code in KNOWN_XIDS)


def lookup_sxid(code: int, severity: str | None = None, text: str = "", overrides: Overrides | None = None) -> Entry:
    """What an SXid means.  severity: as printed in the line: fatal, non-fatal, correctable or None."""
    return Entry("sxid", code, "", "in no catalogue", "unknown", "warning", "call_person", known=False)
