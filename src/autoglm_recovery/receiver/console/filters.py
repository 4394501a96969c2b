# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of a list of incidents.  It is the query of the page's address, so that a filter is a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.receiver.values.model import ENDED, IncidentState

LONGEST_TEXT = 200

# Choices beside the states themselves, and the states that each stands for.
GROUPS: dict[str, tuple[str, ...]] = {
    "person": (IncidentState.held.value, IncidentState.escalated.value, IncidentState.unproven.value),
    "active": tuple(state.value for state in IncidentState if state not in ENDED),
    "ended": tuple(state.value for state in IncidentState if state in ENDED),
}
_STATES = (*GROUPS, *IncidentState)
_HIGHEST = 2**63 - 1


@dataclass(frozen=True)
class Filter:
    """The conditions that a listed incident meets; ``before`` and ``after`` are the numbers that bound a page."""

    state: str = ""
    failure_class: str = ""
    host: str = ""
    pool: str = ""
    text: str = ""
    before: int | None = None
    after: int | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """Return the chosen states; an empty tuple stands for all."""
        return GROUPS.get(self.state, (self.state,) if self.state else ())

    @property
    def narrows(self) -> bool:
        """Tell whether the filter leaves any incident out, apart from paging."""
        return replace(self, before=None, after=None) != Filter()

    def query(self, **changes: Any) -> str:
        """Return the query of the address of this filter with some changes, question mark and all."""
        changed = replace(self, **changes)
        told = {
            "state": changed.state,
            "class": changed.failure_class,
            "host": changed.host,
            "pool": changed.pool,
            "q": changed.text,
            "before": changed.before,
            "after": changed.after,
        }
        encoded = urlencode({name: value for name, value in told.items() if value not in ("", None)})
        return f"?{encoded}" if encoded else ""


def read_filter(given: Mapping[str, str], classes: Sequence[str] = FAILURE_CLASSES) -> tuple[Filter, tuple[str, ...]]:
    """Read the query of an address; return the filter, and what is wrong about the query in words for a person.

    What is wrong is left out of the filter: it narrows nothing.
    """
    wrong: list[str] = []
    known = {"state": _STATES, "class": classes}
    words = {name: _known_word(given, name, known[name], wrong) for name in known}
    numbers = {name: _read_number(given, name, wrong) for name in ("before", "after")}
    texts = {name: given.get(name, "").strip() for name in ("host", "pool", "q")}
    for name, text in texts.items():
        if len(text) > LONGEST_TEXT:
            wrong.append(f"{name} is longer than {LONGEST_TEXT} characters")
            texts[name] = ""
        elif "\x00" in text:
            wrong.append(f"{name} holds a character that no name has")
            texts[name] = ""
    read = Filter(words["state"], words["class"], texts["host"], texts["pool"], texts["q"], **numbers)
    return (replace(read, after=None) if read.before is not None else read), tuple(wrong)


def _known_word(given: Mapping[str, str], name: str, known: Sequence[str], wrong: list[str]) -> str:
    word = given.get(name, "").strip()
    if word and word not in known:
        wrong.append(f"there is no {name} {word[:40]!r}; known: {', '.join(known)}")
        return ""
    return word


def _read_number(given: Mapping[str, str], name: str, wrong: list[str]) -> int | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= _HIGHEST):
        wrong.append(f"{name} must be the number of an incident, not {text[:40]!r}")
        return None
    return int(text)
