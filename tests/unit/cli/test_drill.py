# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which incident is a drill's, when it is over, and how long it took."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from autoglm_recovery.cli.drill import DrillWatch

AT = 1_764_518_400.0


def line(number: int, seconds: float) -> dict[str, Any]:
    at = datetime.fromtimestamp(AT + seconds, UTC).isoformat()
    return {"id": number, "at": at, "kind": "decided", "text": "restart_process"}


def watch(state: str | None = None) -> DrillWatch:
    incident = state and {"id": 7, "state": state, "timeline": [line(1, 2.0), line(2, 9.5)]}
    return DrillWatch(AT, frozenset({3, 5}), incident or None)


def test_the_first_new_incident_of_the_host_is_the_drill_s() -> None:
    assert watch().choose([{"id": 8}, {"id": 7}, {"id": 5}, {"id": 3}]) == 7
    assert watch().choose([{"id": 5}]) is None


@pytest.mark.parametrize(
    ("state", "over", "recovered"),
    [
        (None, False, False),
        ("open", False, False),
        ("running", False, False),
        ("verifying", False, False),
        # Somebody who looks at the drill may approve it, or a proof may still come.
        ("held", False, False),
        ("unproven", False, False),
        ("escalated", True, False),
        # By a person's hand: nothing was shown.
        ("closed", True, False),
        ("resolved", True, True),
    ],
)
def test_only_what_was_proven_is_healed(state: str | None, over: bool, recovered: bool) -> None:
    seen = watch(state)
    assert (seen.over, seen.recovered) == (over, recovered)
    assert seen.seconds() == (9.5 if recovered else None)


def test_each_line_is_news_once() -> None:
    seen = watch("running")
    assert [one["id"] for one in seen.news()] == [1, 2]
    assert list(seen.news()) == []
    assert seen.incident is not None
    seen.incident["timeline"].append(line(3, 10))
    assert [one["id"] for one in seen.news()] == [3]


def test_it_is_seen_as_what_it_was_opened_by_whatever_the_repair_adds() -> None:
    seen = watch()
    for found in ("unresponsive", "crash"):
        seen.take({"id": 7, "state": "running", "failure_class": found, "timeline": []})
    assert seen.seen_as == "unresponsive"
