# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of an Xid or SXid number: failure class, severity and action.

    KNOWN_XIDS                         every number that a catalogue or a driver header names
    lookup_xid(79)                     -> Entry; a number nobody knows has class unknown and calls a person
    lookup_sxid(20034, "fatal", text)  -> Entry; the printed severity and text decide, the number is a hint
    lookup_xid(63, overrides)          the fleet's own word: {"xid": {63: {"action": "reset_gpu", ...}}, "sxid": {...}}

A line may say more than its number: arbitration/by_catalogue.py reads it.  The sources, the reasons and who disagrees
are for people: C(autoglm xid 79).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..classes import FAILURE_CLASSES
from .data import SXID_ALWAYS_FATAL, XIDS

KNOWN_XIDS = frozenset(XIDS)

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
# How the rest of a line changes what its number means; '' means not at all.
RULES = ("", "consequence", "follow_driver", "nvlink4", "nvlink5", "sxid")

# {"xid": {63: {"action": "reset_gpu"}}, "sxid": {20034: {...}}, "kind": {"rcu_stall": {...}}}
# Codes may be text, as in JSON.
Overrides = Mapping[str, Mapping[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class CatalogueEntry:
    """One code.  failure_class: None where it tells of no failure.  rule: one of RULES.

    known: some catalogue or header names the number.  overridden: the fleet's policy has its own word on it.
    """

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

    @property
    def needs_action(self) -> bool:
        """Whether the code needs an action. A code that is only observed is recorded, but raises no alert."""
        return self.action != "observe"


def graver(first: str, second: str) -> str:
    """The graver of two actions."""
    return max(first, second, key=FAULT_ACTIONS.index)


def lookup_xid(code: int, overrides: Overrides | None = None) -> CatalogueEntry:
    """The meaning of an Xid. Never fails: an unknown number is class unknown, never harmless, never acted on."""
    row = XIDS.get(code)
    if row is None:
        entry = CatalogueEntry("xid", code, "", "in no catalogue", "unknown", "warning", "call_person", known=False)
    else:
        entry = CatalogueEntry("xid", code, *row)
    return overridden(entry, overrides)


def lookup_sxid(
    code: int, severity: str | None = None, text: str = "", overrides: Overrides | None = None
) -> CatalogueEntry:
    """What an SXid means.

    severity: as printed in the line: fatal, non-fatal, correctable or None.  Numbers move from driver to driver, so
    they count only where the line prints no severity, and then only a number that is always fatal; all else is unknown.
    text: the printed words; heat is told by them alone.  A fault of one link (by_catalogue.py) is lighter.
    """
    printed = (severity or "").lower()
    hot = "thermal" in text.lower() or "overtemp" in text.lower()
    judged: tuple[str, str, str]
    if hot and "end" in text.lower().replace("_", " ").split():
        judged = ("thermal", "info", "observe")
    elif hot:
        judged = ("thermal", "critical" if printed == "fatal" else "warning", "shed_load")
    elif printed == "fatal" or (not printed and code in SXID_ALWAYS_FATAL):
        judged = ("gpu_comm", "critical", "reboot_node")
    elif printed == "non-fatal":
        judged = ("gpu_comm", "warning", "observe")
    elif printed == "correctable":
        judged = ("gpu_comm", "info", "observe")
    else:
        judged = ("unknown", "warning", "call_person")
    title = f"NVSwitch error, {printed or 'of unprinted severity'}"
    return overridden(CatalogueEntry("sxid", code, "", title, *judged, rule="sxid"), overrides)


def overridden(entry: CatalogueEntry, overrides: Overrides | None) -> CatalogueEntry:
    """Apply the site's override. Fields that it does not mention stay; invalid words are an error of the caller.

    Raises ValueError if the override names what does not exist.
    """
    table = (overrides or {}).get(entry.kind) or {}
    named = entry.mnemonic if entry.kind == "kind" else entry.code
    own = table.get(named) or table.get(str(named))
    if not own:
        return entry
    allowed = {"failure_class": FAILURE_CLASSES, "severity": SEVERITIES, "action": FAULT_ACTIONS}
    chosen: dict[str, str] = {}
    for key, value in own.items():
        if value is None or key == "reason":
            continue
        if key not in allowed or value not in allowed[key]:
            raise ValueError(f"override of {entry.kind} {named}: {key}={value!r} is not known")
        chosen[key] = value
    return replace(entry, overridden=True, **chosen)  # type: ignore[arg-type]
