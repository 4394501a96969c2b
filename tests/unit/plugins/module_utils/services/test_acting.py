# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping and starting, on a service that a test drives: what is asked, in which order, and what is said."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import (
    Logs,
    ProcessEnd,
    ServiceError,
    Status,
)

RUNS = Status("systemd", "a.service", state="running", detail="active (running)", process_state="S")
DOWN = Status(
    "systemd", "a.service", state="stopped", detail="inactive (dead)", end=ProcessEnd("it exited", clean=True)
)
FAILED = replace(DOWN, state="failed", detail="failed (failed)", end=ProcessEnd("exit status 3", clean=False))
UNREADABLE = Status("systemd", "a.service", readable=False, reason="no systemd here")
ABSENT = Status("systemd", "a.service", exists=False, state="absent", reason="no such unit")


@dataclass
class Scripted:
    """Gives one status after the other, the last for ever, and keeps what was asked. It stands for no real part: what
    real ones do is in tests/integration/services."""

    states: list[Status]
    ends_on: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def status(self) -> Status:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def _ask(self, what: str) -> str:
        self.asked.append(what)
        if what in self.ends_on:
            self.states = [DOWN]
        return what

    def start(self) -> None:
        self._ask("start")

    def ask_to_stop(self, _status: Status) -> str:
        return self._ask("SIGTERM")

    def kill(self, _status: Status) -> None:
        self._ask("SIGKILL")

    def finish(self, _status: Status) -> None:
        self._ask("finish")

    def logs(self, _lines: int) -> Logs:
        return Logs("loading failed, password=hunter22\n", "journalctl")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "SETTLE_SECONDS", 0.02)
    monkeypatch.setattr(acting, "DEATH_SECONDS", 0.05)
    monkeypatch.setattr(acting, "_PAUSE", 0.005)


def test_what_is_down_is_not_asked() -> None:
    one = Scripted([DOWN])
    assert acting.stop(one, 1, True).by == ""
    assert one.asked == []


def test_what_ends_when_asked_is_not_killed() -> None:
    one = Scripted([RUNS], ends_on=("SIGTERM",))
    assert acting.stop(one, 1, True).by == "SIGTERM"
    assert one.asked == ["SIGTERM", "finish"]


def test_what_does_not_end_is_killed() -> None:
    one = Scripted([RUNS], ends_on=("SIGKILL",))
    stopped = acting.stop(one, 0.01, True)
    assert (stopped.by, one.asked) == ("SIGKILL", ["SIGTERM", "SIGKILL", "finish"])


def test_a_kill_by_the_orchestrator_is_told() -> None:
    killed = replace(FAILED, end=ProcessEnd(signal=9))
    stopped = acting.stop(Scripted([RUNS, killed]), 1, True)
    assert stopped.by == "SIGKILL"
    assert "its own orchestrator" in stopped.text


LOOPING = replace(
    FAILED, kind="podman", may_return=True, restarts_itself="the container runtime, restart policy always"
)


def test_what_comes_back_by_itself_is_stopped_until_it_stays_away() -> None:
    one = Scripted([LOOPING, replace(RUNS, may_return=True), replace(RUNS, may_return=True), LOOPING, RUNS, LOOPING])
    stopped = acting.stop(one, 1, True)
    assert one.asked == ["SIGTERM", "finish", "SIGKILL"]
    assert stopped.by == "SIGTERM"


def test_what_is_down_between_two_starts_and_does_not_come_back_is_down() -> None:
    one = Scripted([LOOPING])
    assert acting.stop(one, 1, True).by == ""
    assert one.asked == []


def test_what_always_comes_back_is_no_success() -> None:
    class Undying(Scripted):
        def status(self) -> Status:
            self.states.reverse()
            return self.states[0]

    with pytest.raises(ServiceError, match="started again after each stop, by the container"):
        acting.stop(Undying([LOOPING, replace(RUNS, may_return=True)]), 1, True)


def test_what_survives_sigkill_is_no_success() -> None:
    stuck = replace(RUNS, process_state="D")
    with pytest.raises(ServiceError, match=r"still there .* after SIGKILL.*probably for a driver"):
        acting.stop(Scripted([stuck]), 0, True)


@pytest.mark.parametrize(("status", "reason"), [(UNREADABLE, "no systemd here"), (ABSENT, "no such unit")])
def test_what_cannot_be_read_or_is_not_there_is_not_touched(status: Status, reason: str) -> None:
    one = Scripted([status])
    with pytest.raises(ServiceError, match=reason):
        acting.stop(one, 0, True)
    assert one.asked == []


def test_unreadable_on_the_way_is_no_end() -> None:
    with pytest.raises(ServiceError, match="no systemd here"):
        acting.stop(Scripted([RUNS, UNREADABLE]), 0.02, True)


def test_a_start_is_over_when_the_same_process_has_lived_for_a_while() -> None:
    lives = replace(RUNS, main_pid=7)
    assert acting.start(Scripted([replace(DOWN, state="starting"), lives]), 1).main_pid == 7


def test_a_look_that_fails_once_is_no_end() -> None:
    lives = replace(RUNS, main_pid=7)
    assert acting.start(Scripted([lives, UNREADABLE, lives]), 1).main_pid == 7
    with pytest.raises(ServiceError, match="no systemd here"):
        acting.start(Scripted([lives, UNREADABLE]), 0.02)


def test_a_unit_that_tells_no_process_is_started_when_it_is_active() -> None:
    assert acting.start(Scripted([RUNS]), 1) == RUNS


@pytest.mark.parametrize(
    "states",
    [
        [FAILED],
        [replace(RUNS, main_pid=7), FAILED],
        [replace(RUNS, main_pid=7), replace(RUNS, main_pid=8, restarts_itself="systemd, Restart=always")],
        [replace(RUNS, main_pid=7, process_state="Z")],
    ],
)
def test_an_end_at_once_is_a_failure_with_last_words_and_no_secret(states: list[Status]) -> None:
    with pytest.raises(ServiceError, match="ended at once") as error:
        acting.start(Scripted(states), 0.05)
    assert "loading failed" in str(error.value)
    assert "hunter22" not in str(error.value)


def test_what_starts_a_container_gives_its_place_to_it_once() -> None:
    podman = replace(RUNS, state="starting", main_pid=7)
    assert acting.start(Scripted([podman, replace(RUNS, main_pid=8)]), 1).main_pid == 8
    with pytest.raises(ServiceError, match="ended at once"):
        acting.start(Scripted([podman, replace(podman, main_pid=8)]), 1)  # it was started again, and does not run yet
    with pytest.raises(ServiceError, match="ended at once"):
        acting.start(Scripted([podman, replace(RUNS, main_pid=8), replace(RUNS, main_pid=9)]), 1)


def test_no_process_in_time_is_a_failure() -> None:
    with pytest.raises(ServiceError, match="had no process after"):
        acting.start(Scripted([replace(DOWN, state="starting")]), 0.02)
