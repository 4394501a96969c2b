# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is news of an alert that is known, whatever two Alertmanagers tell of it, in any order, late or twice."""

from __future__ import annotations

import tempfile
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.triage.news import LATE_AT_MOST_S
from autoglm_recovery.receiver.values.alerts import taken_together
from autoglm_recovery.receiver.values.model import Alert
from tests.unit.receiver.desk import START, desk

LABELS = {"alertname": "A", "failure_class": "unknown", "host": "node-c"}
# Two Alertmanagers with one configuration, whose alert belongs to two groups.
STREAMS = [(sender, group) for sender in ("am-1", "am-2") for group in ("g", "h")]


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path) as made:
        yield made


def tell(at, status, end=None, *, start=START, sender="am-1", group="g"):
    """Have an Alertmanager tell of the alert; return what the receiver said and what became of the newest row."""
    receipt = at.commit(Alert(status, LABELS, {}, start, end, "f"), group=group, sender=sender)
    at.turn()
    return ("new" if receipt.new else "duplicate"), at.rows(schema.alerts)[-1].outcome


def fires(at):
    """Tell whether the receiver believes that the alert fires."""
    with at.database.reading() as connection:
        going_on = [row.id for row in at.rows(schema.incidents) if row.state not in ("resolved", "closed")]
        return any(taken_together(store.latest_news(connection, number)).fires for number in going_on)


def test_what_fires_again_after_its_end_is_news_though_its_start_is_the_same(at):
    assert tell(at, "firing") == ("new", "joined")
    assert tell(at, "firing") == ("duplicate", "joined")
    assert tell(at, "resolved", START + 240) == ("new", "joined")
    assert tell(at, "resolved", START + 240)[0] == "duplicate"
    assert not fires(at)
    assert tell(at, "firing") == ("new", "joined")
    assert tell(at, "firing")[0] == "duplicate"
    assert fires(at)
    assert tell(at, "resolved", START + 500) == ("new", "joined")
    assert not fires(at)
    assert tell(at, "firing") == ("new", "joined")
    assert fires(at)


@pytest.mark.parametrize(("sender", "group"), [("am-2", "g"), ("am-1", "h")])
def test_a_late_copy_from_elsewhere_does_not_reopen(at, sender, group):
    tell(at, "firing")
    tell(at, "resolved", START + 60)
    assert tell(at, "firing", sender=sender, group=group) == ("new", "doubted")
    assert not fires(at)
    tell(at, "resolved", START + 60, sender=sender, group=group)
    at.pass_time(LATE_AT_MOST_S * 10)
    at.turn()
    assert not fires(at)
    assert "late" in {row.outcome for row in at.rows(schema.alerts)}


def test_what_was_doubted_counts_when_its_sender_does_not_take_it_back(at):
    tell(at, "firing")
    tell(at, "resolved", START + 60)
    tell(at, "firing", sender="am-2")
    at.pass_time(LATE_AT_MOST_S - 1)
    at.turn()
    assert not fires(at)
    at.pass_time(1)
    at.turn()
    assert fires(at)


def test_what_comes_from_elsewhere_when_nothing_can_be_so_late_counts_at_once(at):
    tell(at, "firing")
    tell(at, "resolved", START + 60)
    at.pass_time(LATE_AT_MOST_S)
    assert tell(at, "firing", sender="am-2") == ("new", "joined")
    assert fires(at)


def test_the_end_of_before_does_not_end_what_fires_now(at):
    tell(at, "firing")
    tell(at, "resolved", START + 60)
    tell(at, "firing")
    assert tell(at, "resolved", START + 60, sender="am-2") == ("new", "late")
    assert fires(at)
    assert tell(at, "firing", start=START + 100) == ("new", "joined")
    assert tell(at, "resolved", START + 60, sender="am-2", group="h") == ("new", "late")
    assert fires(at)


def test_a_sender_that_lags_behind_ends_nothing_that_began_after_what_it_tells_of(at):
    """Its firing of before comes as news, and so it is not the newest delivery that says what fires now."""
    tell(at, "firing", start=START + 100)
    assert tell(at, "firing", sender="am-2") == ("new", "joined")
    assert tell(at, "resolved", START + 60, sender="am-2") == ("new", "late")
    assert fires(at)
    assert tell(at, "resolved", START + 200, start=START + 100) == ("new", "joined")
    assert not fires(at)


def test_what_a_sender_tells_late_of_before_ends_when_nothing_else_fires(at):
    tell(at, "firing", start=START + 100)
    tell(at, "resolved", START + 200, start=START + 100)
    tell(at, "firing", sender="am-2")
    tell(at, "resolved", START + 60, sender="am-2")
    at.pass_time(LATE_AT_MOST_S)
    at.turn()
    assert not fires(at)


class Telling(RuleBasedStateMachine):
    """One alert, and four streams of notifications about it, each in order, none in step with another."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.desk = self.stack.enter_context(desk(Path(self.stack.enter_context(tempfile.TemporaryDirectory()))))
        self.start: float | None = None
        self.fires = False
        self.episode = 0
        # What each has seen and not told yet: episode, status, start, end, and when it saw it.
        self.waiting: dict[tuple[str, str], deque] = {stream: deque() for stream in STREAMS}
        self.last_told: dict[tuple[str, str], tuple[int, str]] = {}
        self.opened = 0
        self.starts: set[float] = set()
        self.unheard = False
        self.contradicting: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        """In the end the receiver believes what is."""
        try:
            for stream, waiting in self.waiting.items():
                while waiting:
                    self.tell(stream, waiting.popleft())
                if self.fires:
                    self.tell(stream, (self.episode, "firing", self.start, None, self.desk.now))
            for _ in range(3):
                self.desk.pass_time(LATE_AT_MOST_S)
                self.desk.turn()
            # An end that was lost everywhere is known to nobody.
            known = not self.last_told or any(told == (self.episode, "resolved") for told in self.last_told.values())
            # Who tells that it fires when another has told its end, and gives up telling the end too, is believed.
            if self.fires or (known and not self.contradicting):
                assert fires(self.desk) == self.fires
        finally:
            self.stack.close()

    def tell(self, stream, seen) -> None:
        episode, status, start, end, _ = seen
        # An end of which nobody had told that it fired is news of both.
        self.unheard |= status == "resolved" and start not in self.starts
        self.starts.add(start)
        tell(self.desk, status, end, start=start, sender=stream[0], group=stream[1])
        ends = [told for told, how in self.last_told.values() if how == "resolved"]
        if status == "resolved":
            self.contradicting.discard(stream)
        elif any(told >= episode for told in ends):
            self.contradicting.add(stream)
        self.last_told[stream] = (episode, status)

    def see(self, status: str, end: float | None = None) -> None:
        for waiting in self.waiting.values():
            waiting.append((self.episode, status, self.start, end, self.desk.now))

    @precondition(lambda self: not self.fires)
    @rule(keeps_start=st.booleans())
    def fire(self, keeps_start):
        """It fires: anew, or on after it had expired."""
        self.desk.pass_time(1)
        self.episode += 1
        self.fires = True
        if not keeps_start or self.start is None:
            self.start = self.desk.now
        self.see("firing")

    @precondition(lambda self: self.fires)
    @rule()
    def end(self):
        """It ends, or expires."""
        self.desk.pass_time(1)
        self.fires = False
        self.see("resolved", self.desk.now)

    @rule(stream=st.sampled_from(STREAMS), again=st.booleans(), loses=st.booleans())
    def notify(self, stream, again, loses):
        """One notification goes out, once or again because its answer was lost; or it is given up."""
        waiting = self.waiting[stream]
        if not waiting:
            return
        seen = waiting.popleft()
        if loses:
            return
        self.tell(stream, seen)
        if again:
            self.tell(stream, seen)

    @rule(stream=st.sampled_from(STREAMS))
    def repeat(self, stream):
        """The repeat interval is over."""
        if self.fires and not self.waiting[stream]:
            self.waiting[stream].append((self.episode, "firing", self.start, None, self.desk.now))

    @rule(seconds=st.sampled_from([5, 30, 100, 1000]))
    def pass_time(self, seconds):
        """Time passes; what an Alertmanager could not tell in its time it gives up."""
        self.desk.pass_time(seconds)
        for waiting in self.waiting.values():
            while waiting and self.desk.now - waiting[0][4] >= LATE_AT_MOST_S:
                waiting.popleft()
        self.desk.turn()

    @invariant()
    def nothing_is_opened_by_a_late_copy(self):
        """While it is over, and one that told of it has said so, nothing new begins."""
        count = len(self.desk.rows(schema.incidents))
        over = not self.fires and any(told == (self.episode, "resolved") for told in self.last_told.values())
        in_order = {told[0] for told in self.last_told.values()} == {self.episode}
        if over and in_order and not self.unheard:
            assert count == self.opened
        self.opened, self.unheard = count, False


TestTelling = pytest.mark.slow(Telling.TestCase)
TestTelling.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
