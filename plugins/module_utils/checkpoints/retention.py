# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkpoints that retention removes, and their removal."""

from __future__ import annotations

import calendar
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import proving
from .store import Store


@dataclass(frozen=True)
class RetentionRules:
    """The rules of retention.

    keep: how many checkpoints stay, None for all.  max_age: seconds after which one is due, None for never.
    """

    keep: int | None = None
    max_age: float | None = None


@dataclass(frozen=True)
class PruneResult:
    """removed: ids.  left: id -> why it stayed although it was due.  leftovers: removed drafts of killed saves."""

    removed: list[str]
    left: dict[str, str]
    leftovers: list[str]


def surplus(newest_first: Sequence[str], rules: RetentionRules, now: float, protected: str | None) -> list[str]:
    """The ids that are due, oldest first: beyond the count, or too old. Never the protected one.

    now: seconds since the epoch.  protected: the newest that verifies, without which nothing could be restored.
    """
    due = set(newest_first[rules.keep :]) if rules.keep is not None else set()
    if rules.max_age is not None:
        due |= {identity for identity in newest_first if now - taken(identity) > rules.max_age}
    return [identity for identity in reversed(newest_first) if identity in due and identity != protected]


def taken(identity: str) -> float:
    """When a checkpoint was taken, by its id, in seconds since the epoch."""
    return calendar.timegm(time.strptime(identity[:15], "%Y%m%dT%H%M%S")) + float("0." + identity[16:22])


def prune(
    store: Store, series: str, rules: RetentionRules, key: str | None, proven: str | None = None, dry: bool = False
) -> PruneResult:
    """Apply the rules. proven: the id of one that was verified just now. Raises CheckpointError."""
    leftovers = store.leftovers(series, remove=not dry)
    newest_first = store.ids(series)
    due = surplus(newest_first, rules, time.time(), proven)
    if not due:
        return PruneResult([], {}, leftovers)
    protected = _newest_proven(store, series, key, newest_first, proven)
    if protected is None:
        return PruneResult(
            [], dict.fromkeys(due, "no checkpoint of the series verifies, so none is removed"), leftovers
        )
    removed, left = [], {}
    for identity in surplus(newest_first, rules, time.time(), protected):
        reason = None if dry else store.remove(series, identity)
        if reason is None:
            removed.append(identity)
        else:
            left[identity] = reason
    return PruneResult(removed, left, leftovers)


def _newest_proven(
    store: Store, series: str, key: str | None, newest_first: list[str], proven: str | None
) -> str | None:
    if proven is not None and proven in newest_first:
        return proven
    return next((each.id for each in proving.survey(store, series, key) if each.reason is None), None)
