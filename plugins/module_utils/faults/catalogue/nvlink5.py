# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of the words of Xid 144 to 150: NVIDIA's 95 rules for NVLink 5, chosen by driver version.

IntrInfo names the unit in bits 9:5 up to driver R570 (layout V1), in bits 6:0 since R575 (V2), and an event in bits
25:20.  The two layouts overlap, so without a version both are read, and they have to agree.

The severity printed in the line wins over the table.  Where both say different things, the fault keeps the printed
severity and a person decides: the table's action was written for another severity.  No rule: unknown, never harmless.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .data import NVLINK5

V2_SINCE = 575
_ACTIONS = {"IGNORE": "observe", "RESET_GPU": "reset_gpu", "XID_154_EVAL": "restart_process"}


@dataclass(frozen=True)
class Decoded:
    """What a line's words say.  layout, unit, event and look_at (NVIDIA's word): None where no rule was found."""

    failure_class: str
    severity: str
    action: str
    reasons: tuple[str, ...]
    rule: str
    unit: str | None = None
    layout: str | None = None
    event: int | None = None
    look_at: str | None = None


@dataclass(frozen=True)
class _RuleMatch:
    layout: str
    unit: str
    action: str
    fatal: bool
    look_at: str


def decode_nvlink5(
    xid: int,
    intrinfo: object,
    error_status: object,
    severity: str | None = None,
    unit: str | None = None,
    driver_version: str | None = None,
) -> Decoded:
    """Decode one line.  The words as printed (0x...) or as integers; severity and unit as printed.  Never fails."""
    info, status = as_word(intrinfo), as_word(error_status)
    printed = _printed_fatal(severity)
    if info is None or status is None:
        return _unknown_result(xid, printed, "the line has no IntrInfo and errorStatus that can be read")
    found = []
    for layout in _layouts(driver_version):
        tried = (_match(rule, layout, xid, info, status, printed) for rule in NVLINK5)
        matches = [match for match in tried if match is not None]
        found.append(_narrow_to_unit(matches, unit))
    alternatives = [matches for matches in found if matches]
    if not alternatives:
        layouts = " and ".join(_layouts(driver_version))
        return _unknown_result(
            xid, printed, f"no rule of {layouts} for IntrInfo {info:#010x} and errorStatus {status:#010x}"
        )
    if len(alternatives) == 2:
        named = [matches for matches in alternatives if any(_same_unit(match.unit, unit) for match in matches)]
        alternatives = named if len(named) == 1 else alternatives
    matches = [match for group in alternatives for match in group]
    decoded = [_decoded_from(xid, match, info, printed) for match in matches]
    if len({(one.failure_class, one.action, one.severity) for one in decoded}) > 1:
        worst = max(decoded, key=lambda one: one.severity == "critical")
        told = "; ".join(f"{match.layout} {match.unit}: {match.action}" for match in matches)
        why = "without the driver's version two rules fit" if driver_version is None else "several rules fit"
        return replace(_unknown_result(xid, printed, f"{why} and disagree: {told}"), severity=worst.severity)
    return decoded[0]


def as_word(value: object) -> int | None:
    """A register word: an integer, or text such as 0x004505c6; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    if isinstance(value, str) and re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", value):
        return int(value, 16)
    return None


def driver_branch(version: str | None) -> int | None:
    """575 of 575.57.08; None for what is no version."""
    match = re.match(r"(\d{3,4})(?:\.|\Z)", version or "", re.ASCII)
    return int(match.group(1)) if match else None


def _layouts(driver_version: str | None) -> tuple[str, ...]:
    branch = driver_branch(driver_version)
    if branch is None:
        return ("V1", "V2")
    return ("V2",) if branch >= V2_SINCE else ("V1",)


def _printed_fatal(severity: str | None) -> bool | None:
    """Whether the line says fatal; None where it has no known severity."""
    word = (severity or "").lower().replace("-", "")
    return {"fatal": True, "nonfatal": False}.get(word)


def _match(
    rule: tuple[object, ...], layout: str, xid: int, info: int, status: int, printed: bool | None
) -> _RuleMatch | None:
    of, unit, v1, v2, statuses, action, fatal, look_at, promoted = rule
    if of != xid or (isinstance(statuses, tuple) and status not in statuses):
        return None
    plain = _matches_pattern(v1 if layout == "V1" else v2, info)
    raised = False
    if isinstance(promoted, tuple):
        raised = _matches_pattern(promoted[0] if layout == "V1" else promoted[1], info)
    if not plain and not raised:
        return None
    if isinstance(promoted, tuple) and (printed is True or (raised and printed is None)):
        return _RuleMatch(layout, str(unit), str(promoted[2]), True, str(look_at))
    return _RuleMatch(layout, str(unit), str(action), bool(fatal), str(look_at))


def _matches_pattern(pattern: object, info: int) -> bool:
    if not isinstance(pattern, tuple):
        return False
    mask, value = pattern
    return bool(info & mask == value)


def _narrow_to_unit(matches: list[_RuleMatch], unit: str | None) -> list[_RuleMatch]:
    """The rules of the printed unit, if there are any, else all of them."""
    named = [match for match in matches if _same_unit(match.unit, unit)]
    return named or matches


def _same_unit(ours: str, printed: str | None) -> bool:
    """Whether a rule's unit is the printed one: TLW_RX/TLW_RX_PIPE0 is printed as either half, or shortened."""
    words = [word for word in re.split(r"[/ ]", (printed or "").upper()) if word]
    return any(name.upper().startswith(word) for name in ours.split("/") for word in words)


def _decoded_from(xid: int, match: _RuleMatch, info: int, printed: bool | None) -> Decoded:
    fatal = match.fatal if printed is None else printed
    action = _ACTIONS.get(match.action, "call_person")
    reasons = [f"Xid {xid} {match.unit} ({match.layout}): NVIDIA's rule says {match.action}"]
    if fatal != match.fatal:
        action = "switch_comm_path" if fatal else "call_person"
        said, listed = ("fatal", "non-fatal") if fatal else ("non-fatal", "fatal")
        reasons.append(f"the line says {said}, the rule is for {listed}: the line wins over the rule's action")
    elif fatal and action == "observe":
        action = "call_person"
        reasons.append("fatal, though the rule asks for nothing: never taken as harmless")
    return Decoded(
        "gpu_comm",
        "critical" if fatal else "warning",
        action,
        tuple(reasons),
        f"xid:{xid}:{match.layout}:{match.unit}",
        match.unit,
        match.layout,
        info >> 20 & 0x3F,
        match.look_at,
    )


def _unknown_result(xid: int, printed: bool | None, reason: str) -> Decoded:
    severity = "warning" if printed is False else "critical"
    return Decoded("unknown", severity, "call_person", (f"Xid {xid}: {reason}",), f"xid:{xid}:no-rule")
