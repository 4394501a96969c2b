# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark on a host that nobody uses it until it is given back: what it says, and who may write over it or lift it.

It is a file beside the notes on services out of traffic, so that whoever reads these can read it. It outlives a reboot.
A mark that cannot be read counts as one: the host is not used.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..host import clocks, note_file
from ..host.plain import one_line

# In the directory of the notes. The name has no C(.json), so that it is none of them.
FILE_NAME = "quarantine"
LONGEST_TEXT = 600
_LONGEST_WHO = 120
_MOST_DETAILS = 32


@dataclass(frozen=True)
class Quarantine:
    """A mark.

    who: who ordered it, for people.  incident: the incident for which it was ordered, empty for a person's.
    since, until: seconds since 1970; C(until) is when people meant to have it over, and ends nothing by itself.
    details: one line each, such as the UUID and the serial number of a GPU with what is wrong with it.
    """

    who: str
    reason: str
    incident: str
    since: float
    until: float | None = None
    details: tuple[str, ...] = ()

    def said(self) -> str:
        """Since when, by whom and why, in one line."""
        over = "" if self.until is None else f", meant until {clocks.in_words(self.until)}"
        return f"under quarantine since {clocks.in_words(self.since)} by {self.who}{over}: {self.reason}"


class QuarantineUnreadable(Exception):
    """There is a mark, or may be one, and what it says cannot be read."""


def mark(
    *,
    who: str,
    reason: str,
    since: float,
    incident: str = "",
    until: float | None = None,
    details: tuple[str, ...] = (),
) -> Quarantine:
    """A mark of texts that may come from anywhere: each becomes one plain line of a bounded length."""
    return Quarantine(
        one_line(who, _LONGEST_WHO),
        one_line(reason, LONGEST_TEXT),
        one_line(incident, _LONGEST_WHO),
        since,
        until,
        tuple(one_line(each, LONGEST_TEXT) for each in details[:_MOST_DETAILS]),
    )


def after_order(before: Quarantine | None, ordered: Quarantine, force: bool) -> Quarantine:
    """The mark that stands after an order for one.

    Somebody else's is kept as it is, unless a person says so (C(force)). The host is out since the first of them.
    """
    if before is None:
        return ordered
    if not force and not is_same_owner(before, ordered.incident):
        return before
    return replace(ordered, since=before.since)


def is_same_owner(before: Quarantine, incident: str) -> bool:
    """Whether a mark was ordered for this incident. A person has none, and is nobody's owner: a person says so."""
    return bool(incident) and before.incident == incident


def why_not_lift(before: Quarantine, incident: str, force: bool) -> str | None:
    """Why a mark may not be lifted, None if it may."""
    if force or is_same_owner(before, incident):
        return None
    whose = f"incident {before.incident}" if before.incident else before.who
    return f"the quarantine is {whose}'s, and only a person or the same incident lifts it; the host is {before.said()}"


def as_text(quarantine: Quarantine) -> str:
    """What is written."""
    return json.dumps(asdict(quarantine), sort_keys=True) + "\n"


def parse(text: str) -> Quarantine:
    """What was written. Raises ValueError for anything else."""
    try:
        return _from(json.loads(text))
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no mark of ours") from error


def _from(told: Mapping[str, Any]) -> Quarantine:
    texts = [told[name] for name in ("who", "reason", "incident")]
    details = told["details"]
    if not all(isinstance(each, str) for each in texts) or not isinstance(details, list):
        raise TypeError("a field has another type than ours")
    until = told["until"]
    return mark(
        who=texts[0],
        reason=texts[1],
        incident=texts[2],
        since=_moment(told["since"]),
        until=None if until is None else _moment(until),
        details=tuple(map(str, details)),
    )


def _moment(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError("a moment is a number")
    return float(value)


def read(path: str) -> Quarantine | None:
    """The mark of this host, None where there is none. Raises QuarantineUnreadable."""
    try:
        text = note_file.read(path)
        return None if text is None else parse(text)
    except OSError as error:
        why = f"whether this host is under quarantine cannot be read: {path}: {error.strerror}"
        raise QuarantineUnreadable(why) from error
    except ValueError as error:
        raise QuarantineUnreadable(f"the mark of this host's quarantine cannot be read: {path}: {error}") from error


def write(path: str, quarantine: Quarantine) -> None:
    """Write or atomically replace the mark. Raises OSError."""
    note_file.write(path, as_text(quarantine))


def lift(path: str) -> None:
    """Remove the mark, if there is one. Raises OSError."""
    note_file.remove(path)


def beside_notes(directory: str) -> str:
    """Where the mark of a host is whose notes are in this directory."""
    return os.path.join(directory, FILE_NAME)
