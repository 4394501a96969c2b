# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell around shares.py: a balancer that refuses, a note that is none, and a task that is killed at each step."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import (
    BalancerError,
    BalancerNotSupported,
    PoolMember,
    Weight,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.shares import ServerLoad, ShedRules
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.shed_notes import ShedNotes
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.shedding import ShedContext, ShedOutcome, act

RULES = ShedRules(50, 2)
ABOUT = {"service": "llama", "incident": "7", "cause": "thermal", "who": "incident 7", "why": "hot", "since": "now"}


class Killed(BaseException):
    """As by signal 9: nothing of the task comes after it."""


class MemoryBalancer:
    """A balancer that is a dictionary. Before and after each change, and each note, a test may end it."""

    name = "memory"

    def __init__(self) -> None:
        self.pool = {name: PoolMember(name, "active", "up", 100) for name in ("a", "b", "c", "d")}
        self.limits: dict[str, int | None] = {"a": 8}
        self.moment: Callable[[str], None] = lambda _what: None

    def members(self) -> tuple[PoolMember, ...]:
        return tuple(self.pool.values())

    def weights_count(self) -> None:
        self.moment("weights count")

    def weight(self, server: str) -> Weight:
        return Weight(self.pool[server].weight or 0)

    def set_weight(self, server: str, value: int) -> None:
        self.moment(f"before weight {value}")
        self.pool[server] = replace(self.pool[server], weight=value)
        self.moment(f"after weight {value}")

    def limit(self, server: str) -> int | None:
        self.moment("limit")
        return self.limits.get(server)

    def set_limit(self, server: str, value: int | None) -> None:
        self.moment(f"before limit {value}")
        self.limits[server] = value
        self.moment(f"after limit {value}")

    def exclusively(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    @property
    def a(self) -> tuple[int | None, int | None]:
        return self.pool["a"].weight, self.limits["a"]


class Shed:
    def __init__(self, folder: Path) -> None:
        self.folder, self.balancer = folder / "notes", MemoryBalancer()

    def __call__(self, state: str, server: str = "a", *, check: bool = False, **rules: Any) -> ShedOutcome:
        notes = ShedNotes(str(self.folder), "pool")
        context = ShedContext(self.balancer, server, notes, about=ABOUT)  # type: ignore[arg-type]
        return act(context, state, replace(RULES, **rules), check)

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.folder.glob("*.json")] if self.folder.exists() else []


@pytest.fixture
def shed(tmp_path: Path) -> Shed:
    return Shed(tmp_path)


def test_down_and_up_with_a_note_that_says_who_and_what(shed: Shed) -> None:
    assert (shed("shed").outcome, shed.balancer.a) == ("shed", (50, 4))
    (note,) = shed.notes
    assert note.items() >= {**ABOUT, "server": "a", "before": {"weight": 100, "limit": 8}, "share": 50}.items()
    assert not shed("shed").changed
    assert (shed("raised").outcome, shed.balancer.a) == ("raised", (75, 6))
    assert (shed("raised").outcome, shed.balancer.a) == ("whole", (100, 8))
    assert shed.notes == []
    for state in ("raised", "restored"):
        again = shed(state)
        assert (again.outcome, again.changed) == ("whole", False)


def test_in_check_mode_nothing_is_changed(shed: Shed) -> None:
    told = shed("shed", check=True)
    assert (told.outcome, told.changed, told.after) == ("shed", True, ServerLoad(50, 4))
    assert (shed.balancer.a, shed.folder.exists()) == ((100, 8), False)
    shed("shed")
    assert shed("restored", check=True).after == ServerLoad(100, 8)
    assert shed.balancer.a == (50, 4)
    assert shed("queried").note is not None
    assert len(shed.notes) == 1


@pytest.mark.parametrize("state", ["shed", "raised", "restored"])
@pytest.mark.parametrize("moment", range(12))
def test_whenever_a_task_is_killed_the_next_one_brings_all_of_it_back(shed: Shed, state: str, moment: int) -> None:
    if state != "shed":
        shed("shed")
    count = 0

    def kill(_what: str) -> None:
        nonlocal count
        count += 1
        if count > moment:
            raise Killed

    shed.balancer.moment = kill
    with contextlib.suppress(Killed):
        shed(state)
    shed.balancer.moment = lambda _what: None
    assert shed.balancer.a == (100, 8) or shed.notes, "shed, and nobody knows"
    shed("restored")
    assert (shed.balancer.a, shed.notes) == ((100, 8), [])


@pytest.mark.parametrize("noted", [False, True])
def test_where_the_balancer_refuses_in_the_middle_what_was_in_force_is_put_back(shed: Shed, noted: bool) -> None:
    if noted:
        shed("shed", share=80)
    before, notes = shed.balancer.a, shed.notes

    def refuse(what: str) -> None:
        if what == "before limit 4":
            raise BalancerError("refused", "not now")

    shed.balancer.moment = refuse
    told = shed("shed")
    assert (told.outcome, told.changed) == ("refused", False)
    assert told.reasons[-2:] == ["what was in force was put back", "not now"]
    assert (shed.balancer.a, shed.notes) == (before, notes)


def test_a_refusal_that_cannot_be_undone_is_a_failure_and_leaves_its_note(shed: Shed) -> None:
    def refuse(what: str) -> None:
        if what in {"before limit 4", "before weight 100"}:
            raise BalancerError("refused", "not now")

    shed.balancer.moment = refuse
    told = shed("shed")
    assert (told.outcome, told.changed) == ("failed", True)
    assert "could NOT be put back, and the note stays" in told.reasons[-2]
    assert len(shed.notes) == 1


def test_weights_that_cannot_be_set_leave_the_limit_alone_to_be_shed(shed: Shed) -> None:
    def refuse(what: str) -> None:
        if what.startswith("before weight"):
            raise BalancerNotSupported("weights are fixed here")

    shed.balancer.moment = refuse
    told = shed("shed")
    assert (told.outcome, shed.balancer.a) == ("shed", (100, 4))
    assert "no weight is changed: weights are fixed here" in told.reasons
    assert shed("restored").outcome == "whole"
    assert (shed.balancer.a, shed.notes) == ((100, 8), [])
    shed.balancer.limits["a"] = None
    told = shed("shed")
    assert (told.outcome, shed.balancer.a, shed.notes) == ("refused", (100, None), [])


def test_a_balancer_without_weights_and_limits_is_no_success(shed: Shed) -> None:
    def refuse(what: str) -> None:
        if what in {"weights count", "limit"}:
            raise BalancerNotSupported(f"no {what} here")

    shed.balancer.moment = refuse
    told = shed("shed")
    assert told.outcome == "refused"
    assert (
        "load cannot be shed at this balancer: no weight is changed: no weights count here; no limit" in told.reasons[0]
    )
    assert shed.notes == []


def test_who_is_reduced_already_counts_by_the_notes(shed: Shed) -> None:
    assert [shed("shed", name).outcome for name in "abc"] == ["shed", "shed", "refused"]
    assert "reduced already: a, b" in shed("shed", "c").reasons[0]
    shed("restored", "b")
    assert shed("shed", "c").outcome == "shed"


@pytest.mark.parametrize(
    "content",
    ["", "no JSON", "[]", "{}", '{"before": {"weight": 0, "limit": null}}', '{"before": 7, "ours": "x"}', "[" * 5000],
)
def test_a_note_that_is_none_is_told_and_decides_nothing(shed: Shed, content: str) -> None:
    shed("shed")
    (path,) = shed.folder.iterdir()
    path.write_text(content)
    for state in ("shed", "raised", "restored", "queried"):
        told = shed(state)
        assert (told.outcome, told.changed) == ("refused", False)
        assert "is no note of what was shed" in told.reasons[0]
    assert shed.balancer.a == (50, 4)


def test_where_others_could_write_the_notes_nothing_is_shed(shed: Shed) -> None:
    shed.folder.mkdir()
    shed.folder.chmod(0o777)
    told = shed("shed")
    assert (told.outcome, shed.balancer.a) == ("refused", (100, 8))
    assert "cannot be" in told.reasons[0]
