# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a server's answers counts: the one that is kept, a new one, or for want of a new one an old one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.asking import CannotAsk, Telling


@dataclass(frozen=True)
class Ages:
    """Up to how many seconds an answer is used. C(fresh): in place of asking; 0 for any age, None for none at all.
    C(stale): for want of a new one."""

    fresh: float | None
    stale: float = 0.0


@dataclass(frozen=True)
class Counted:
    """The answer that counts, and when it was given. C(instead): why it is not a new one, if a new one was wanted."""

    telling: Telling
    at: float
    instead: str = ""

    def as_plain(self) -> dict[str, Any]:
        """What a cache keeps of it."""
        return {"at": self.at, "telling": self.telling.as_plain()}


def kept_answer(entry: Any) -> Counted | None:
    """Read what C(Counted.as_plain) made; None for anything else, such as what another release has kept."""
    try:
        return Counted(Telling.of_plain(entry["telling"]), float(entry["at"]))
    except (KeyError, TypeError, ValueError):
        return None


def counted(ask: Callable[[], Telling], kept: Counted | None, ages: Ages, now: float) -> Counted:
    """The answer that counts.

    Raises CannotAsk, with what became of the one that is kept.
    """
    age = None if kept is None else now - kept.at
    if kept and age is not None and ages.fresh is not None and age >= 0 and (age < ages.fresh or ages.fresh == 0):
        return kept
    try:
        return Counted(ask(), now)
    except CannotAsk as error:
        if not ages.stale:
            raise
        if kept is None or age is None:
            raise CannotAsk(f"{error}; and no earlier answer is kept") from error
        if not 0 <= age <= ages.stale:
            what = f"and the last answer that is kept is {span(age)} old, which is too old"
            raise CannotAsk(f"{error}; {what}") from error
        return Counted(kept.telling, kept.at, str(error))


def span(seconds: float) -> str:
    """A time for people."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def entries_of(cached: Any) -> dict[str, Any]:
    """The entries of a cache, by server; none where something else is kept under the key."""
    return dict(cached) if isinstance(cached, Mapping) else {}
