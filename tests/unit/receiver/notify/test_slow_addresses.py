# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address that hangs keeps nobody else from being told, and hears nothing twice, however late it answers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from autoglm_recovery.receiver.notify import notifier as notifier_module
from autoglm_recovery.receiver.notify import paging
from autoglm_recovery.receiver.notify.calls import Calls
from autoglm_recovery.receiver.notify.letters import Letter
from autoglm_recovery.receiver.notify.notifier import CLAIM_S, Notifier, pause_after
from autoglm_recovery.receiver.notify.recipients import digest
from autoglm_recovery.receiver.store import notices, schema
from tests.unit.receiver.desk import desk

DEADLINE_S = 60.0
HANGS = "json://127.0.0.1:1/hangs"
WELL = "json://127.0.0.1:1/well"


class Addresses:
    """Takes what is sent in place of Apprise.  Who ``hangs`` answers no call until it is let go."""

    def __init__(self) -> None:
        self.hangs: set[str] = set()
        self.wrong: dict[str, str] = {}
        self.called: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def send(self, url, letter):
        """Take a letter."""
        with self._changed:
            self.called.append((url, letter.title))
            self._changed.notify_all()
            self._changed.wait_for(lambda: url not in self.hangs)
            return self.wrong.get(url)

    def let_go(self, url: str) -> None:
        """Answer what has hung."""
        with self._changed:
            self.hangs.discard(url)
            self._changed.notify_all()

    def calls_of(self, url: str) -> int:
        """Return how often an address was called."""
        return [each for each, _ in self.called].count(url)

    def await_calls(self, url: str, count: int) -> None:
        """Wait until an address was called so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.calls_of(url) >= count, DEADLINE_S)


@pytest.fixture
def people(monkeypatch):
    """Return the addresses, and let go whatever hangs at the end."""
    made = Addresses()
    monkeypatch.setattr(notifier_module, "send", made.send)
    yield made
    for url in list(made.hangs):
        made.let_go(url)


@pytest.fixture
def at(tmp_path):
    """Return a desk whose policy tells one that hangs and one that is well."""
    with desk(tmp_path, f"notify: ['{HANGS}', '{WELL}']") as made:
        yield made


@pytest.fixture
def sender(at, people):
    """Return a notifier whose thread does not run, which has all time to answer."""
    made = Notifier(at.database, lambda: at.config.policy)
    assert made._calls._send == people.send
    return made


def step(at, sender) -> int:
    """Do a step of the notifier's thread."""
    with at.clock():
        return sender.send_due()


def finish(at, sender) -> None:
    """Wait until no call goes on, and have what was answered written down."""
    with at.clock():
        sender.finish(DEADLINE_S)


def written(at, sender, holds) -> None:
    """Have what is answered written down until something holds."""
    until = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < until
        with at.clock():
            sender.write_down()
        threading.Event().wait(0.01)


def rows(at):
    """Return the notices."""
    return at.rows(schema.notices)


def not_answered_in_time(at, people, sender, monkeypatch) -> None:
    """Have the only address hang for longer than a call may take."""
    monkeypatch.setattr(notifier_module, "LONGEST_SEND_S", 0.0)
    people.hangs.add(HANGS)
    at.policy(f"notify: ['{HANGS}']")
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    written(at, sender, lambda: rows(at)[0].error)


def test_however_many_hang_the_others_are_told_again_and_again(at, people, sender):
    many = [f"{HANGS}/{number}" for number in range(12)]
    people.hangs |= set(many)
    at.policy(f"notify: {[*many, WELL]}")
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(WELL, 1)
    written(at, sender, lambda: rows(at)[0].delivered == [digest(WELL)])
    at.fire("node-b", "unknown")
    step(at, sender)
    people.await_calls(WELL, 2)
    for url in many:
        people.await_calls(url, 1)
    assert [people.calls_of(url) for url in many] == [1] * 12


def test_an_address_that_hangs_is_called_again_only_after_it_has_answered(at, people, sender, monkeypatch):
    monkeypatch.setattr(notifier_module, "LONGEST_SEND_S", 0.0)
    people.hangs.add(HANGS)
    people.wrong[HANGS] = "503"
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    written(at, sender, lambda: rows(at)[0].error)
    assert "json: no answer in 0 s" in rows(at)[0].error
    for _ in range(3):
        at.pass_time(600)
        assert step(at, sender) == 1
        written(at, sender, lambda: not sender._attempts)
        assert "json: still being sent to, and has not answered yet" in rows(at)[0].error
    assert people.calls_of(HANGS) == 1
    people.let_go(HANGS)
    finish(at, sender)
    at.pass_time(600)
    assert step(at, sender) == 1
    people.await_calls(HANGS, 2)


def test_what_was_taken_late_is_written_down_and_not_sent_again(at, people, sender, monkeypatch):
    not_answered_in_time(at, people, sender, monkeypatch)
    assert (rows(at)[0].delivered, rows(at)[0].sent_at) == ([], None)
    at.pass_time(pause_after(1))
    people.let_go(HANGS)
    # Answered, and due again: what was answered comes first.
    sender._calls.wait(DEADLINE_S)
    assert step(at, sender) == 1
    finish(at, sender)
    (row,) = rows(at)
    assert (row.delivered, row.error, row.sent_at) == ([digest(HANGS)], None, at.now)
    assert people.calls_of(HANGS) == 1


def test_what_was_taken_late_is_settled_at_once(at, people, sender, monkeypatch):
    monkeypatch.setattr(notifier_module, "LONGEST_SEND_S", 0.0)
    people.hangs.add(HANGS)
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    written(at, sender, lambda: rows(at)[0].error)
    people.let_go(HANGS)
    finish(at, sender)
    assert step(at, sender) == 1
    finish(at, sender)
    assert rows(at)[0].sent_at == at.now
    assert [people.calls_of(url) for url in (HANGS, WELL)] == [1, 1]


def test_a_late_answer_leaves_what_others_have_written_since(at, people, sender):
    people.hangs.add(HANGS)
    at.policy(f"notify: ['{HANGS}']")
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    with at.database.writing() as connection:
        notices.settle(connection, 1, delivered=["another"], attempted={digest(HANGS): at.now + 60, "another": 0.0})
    people.let_go(HANGS)
    finish(at, sender)
    (row,) = rows(at)
    assert row.delivered == ["another", digest(HANGS)]
    assert row.attempted == {digest(HANGS): 0.0, "another": 0.0}


def gone(*_):
    """Be a database that is away."""
    raise sa.exc.OperationalError("a statement", {}, OSError())


def test_an_answer_that_could_not_be_written_down_is_written_the_next_time(at, people, sender, monkeypatch):
    at.fire("node-a", "unknown")
    step(at, sender)
    sender._calls.wait(DEADLINE_S)
    with monkeypatch.context() as patch:
        patch.setattr(notices, "hurry", gone)
        with pytest.raises(sa.exc.OperationalError):
            finish(at, sender)
    assert rows(at)[0].delivered == []
    at.pass_time(CLAIM_S)
    assert step(at, sender) == 0
    assert sorted(rows(at)[0].delivered) == sorted([digest(HANGS), digest(WELL)])
    assert len(people.called) == 2


def test_another_receiver_does_not_call_whom_this_one_calls(at, people, sender, monkeypatch):
    not_answered_in_time(at, people, sender, monkeypatch)
    other = Notifier(at.database, lambda: at.config.policy)
    at.pass_time(pause_after(1))
    assert step(at, other) == 1
    finish(at, other)
    assert people.calls_of(HANGS) == 1
    # For all that anybody knows the first one is dead.
    at.pass_time(CLAIM_S)
    assert step(at, other) == 1
    people.await_calls(HANGS, 2)


def test_what_came_while_an_address_was_busy_goes_once_it_has_taken_something(at, people, sender):
    people.hangs.add(HANGS)
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    at.fire("node-b", "unknown")
    step(at, sender)
    people.await_calls(WELL, 2)
    written(at, sender, lambda: rows(at)[1].error)
    assert set(rows(at)[1].attempted) == {digest(WELL)}
    people.let_go(HANGS)
    finish(at, sender)
    assert step(at, sender) == 1
    finish(at, sender)
    assert [people.calls_of(url) for url in (HANGS, WELL)] == [2, 2]
    assert [row.sent_at for row in rows(at)] == [at.now] * 2


def test_what_came_while_an_address_was_busy_waits_for_its_pause_where_that_has_failed(at, people, sender):
    people.hangs.add(HANGS)
    people.wrong[HANGS] = "503"
    at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    at.fire("node-b", "unknown")
    step(at, sender)
    people.await_calls(WELL, 2)
    written(at, sender, lambda: rows(at)[1].error)
    people.let_go(HANGS)
    finish(at, sender)
    assert step(at, sender) == 0
    assert rows(at)[1].due_at == at.now + pause_after(1)


def test_what_was_taken_before_the_next_letter_hung_counts(at, people, sender, monkeypatch):
    monkeypatch.setattr(notifier_module, "LONGEST_SEND_S", 0.0)
    at.policy(f"notify: ['{HANGS}']")
    at.fire("node-a", "unknown")
    at.fire("node-b", "unknown")
    first = threading.Event()

    def send(url, letter):
        if first.is_set():
            people.hangs.add(url)
        first.set()
        return people.send(url, letter)

    sender._calls._send = send
    step(at, sender)
    people.await_calls(HANGS, 2)
    written(at, sender, lambda: all(row.error or row.sent_at for row in rows(at)))
    assert [row.delivered for row in rows(at)] == [[digest(HANGS)], []]


def test_a_call_that_breaks_off_frees_its_address(at, people, sender):
    def breaks(_url, _letter):
        raise SystemExit

    at.fire("node-a", "unknown")
    sender._calls._send = breaks
    step(at, sender)
    finish(at, sender)
    assert "the call broke off: SystemExit" in rows(at)[0].error
    sender._calls._send = people.send
    at.pass_time(pause_after(1))
    step(at, sender)
    finish(at, sender)
    assert rows(at)[0].sent_at == at.now


def test_where_no_thread_is_to_be_had_it_is_tried_again(at, sender, monkeypatch):
    def none_left(_thread):
        raise RuntimeError("can't start new thread")

    at.fire("node-a", "unknown")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        step(at, sender)
    finish(at, sender)
    assert "can't start new thread" in rows(at)[0].error
    at.pass_time(pause_after(1))
    step(at, sender)
    finish(at, sender)
    assert rows(at)[0].sent_at == at.now


def test_the_thread_wakes_for_an_answer(at, people, monkeypatch):
    """Nothing but the wake after the answer has it written down: the thread would sleep on."""
    monkeypatch.setattr(notifier_module, "_LONGEST_SLEEP_S", 3600.0)
    monkeypatch.setattr(notifier_module, "LONGEST_SEND_S", 3600.0)
    monkeypatch.setattr(notifier_module, "CLAIM_S", 7200.0)
    people.hangs.add(HANGS)
    sender = Notifier(at.database, lambda: at.config.policy)
    slept = threading.Event()
    asleep = sender._sleep
    monkeypatch.setattr(sender, "_sleep", lambda: (people.calls_of(HANGS) and slept.set()) or asleep())
    at.now = time.time()
    at.fire("node-a", "unknown")
    sender.start()
    try:
        assert slept.wait(DEADLINE_S)
        people.let_go(HANGS)
        until = time.monotonic() + DEADLINE_S
        while not rows(at)[0].sent_at:
            assert time.monotonic() < until
            threading.Event().wait(0.01)
    finally:
        sender.worker.stop()


def test_who_stops_waits_for_what_is_being_sent_and_writes_it_down(at, people, monkeypatch):
    monkeypatch.setattr(notifier_module, "LONGEST_SEND_S", 3600.0)
    people.hangs.add(HANGS)
    at.now = time.time()
    at.fire("node-a", "unknown")
    sender = Notifier(at.database, lambda: at.config.policy)
    sender.start()
    people.await_calls(HANGS, 1)
    wait = sender._calls.wait
    sender._calls.wait = lambda within: (people.let_go(HANGS), wait(max(within, DEADLINE_S)))
    sender.stop()
    assert rows(at)[0].sent_at


HANGING = """
import threading
from types import SimpleNamespace
from autoglm_recovery.receiver.notify.calls import Calls
called = threading.Event()
def send(_url, _letter):
    called.set()
    threading.Event().wait()
notice = SimpleNamespace(id=1, occasion="escalated", about={}, title="t", body="b", created_at=0.0)
Calls(send, lambda: None).begin("json://x", "x", [notice])
called.wait()
"""


def test_a_process_ends_also_while_an_address_hangs():
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=DEADLINE_S)


def test_no_address_is_called_twice_at_once(people):
    people.hangs.add(HANGS)
    calls = Calls(people.send, lambda: None)
    notice = SimpleNamespace(id=1, occasion="escalated", about={}, title="t", body="b", created_at=0.0)
    calls.begin(HANGS, "x", [notice])
    with pytest.raises(AssertionError):
        calls.begin(HANGS, "x", [notice])
    assert calls.busy() == {"x"}


def test_who_was_called_by_a_receiver_that_died_then_is_told_that_it_is_over(at, people, sender):
    at.policy(f"notify: ['{HANGS}', {{urls: ['{WELL}'], occasions: [resolved]}}]")
    began = at.fire("node-a", "unknown")
    step(at, sender)
    people.await_calls(HANGS, 1)
    # It dies here: the call went out, and nothing more is written.
    (row,) = rows(at)
    assert (row.delivered, set(row.attempted)) == ([], {digest(HANGS)})
    at.resolve("node-a", "unknown", began)
    heir = Notifier(at.database, lambda: at.config.policy)
    at.pass_time(CLAIM_S)
    while step(at, heir):
        finish(at, heir)
    assert [(url, title.rpartition(", ")[2]) for url, title in people.called] == [
        (HANGS, "a person is needed"),
        (HANGS, "it is over"),
    ]


def test_who_is_called_is_written_down_before_the_call(at, sender):
    seen = []

    def send(_url, _letter):
        seen.append(set(rows(at)[0].attempted))

    sender._calls._send = send
    at.fire("node-a", "unknown")
    step(at, sender)
    finish(at, sender)
    assert seen == [{digest(HANGS), digest(WELL)}] * 2


def test_nobody_counts_as_called_by_a_page_that_was_moot(at, people, sender):
    began = at.fire("node-a", "unknown")
    at.resolve("node-a", "unknown", began)
    step(at, sender)
    finish(at, sender)
    assert [(row.attempted, bool(row.given_up_at)) for row in rows(at)] == [({}, True)]
    assert people.called == []


def test_of_many_addresses_that_hang_none_keeps_a_page_from_another(monkeypatch):
    addresses = Addresses()
    many = [f"{HANGS}/{number}" for number in range(20)]
    addresses.hangs.update(many)
    monkeypatch.setattr(paging, "send", addresses.send)
    letter = Letter("t", "b", "failure", (1,))
    # Where the last one is answered depends on no time: it is called although twenty hang.
    sending = threading.Thread(target=paging.send_each, args=(dict.fromkeys([*many, WELL], letter),), daemon=True)
    sending.start()
    addresses.await_calls(WELL, 1)
    for url in many:
        addresses.let_go(url)
    sending.join(DEADLINE_S)
    assert not sending.is_alive()


def test_what_each_answered_is_told_and_who_hangs_is_named(monkeypatch):
    addresses = Addresses()
    addresses.hangs.add(HANGS)
    addresses.wrong[WELL] = "json: 503"
    monkeypatch.setattr(paging, "send", addresses.send)
    sent = paging.send_each(dict.fromkeys([HANGS, WELL], Letter("t", "b", "failure", (1,))), within_s=1.0)
    addresses.let_go(HANGS)
    assert sent == [paging.PageResult(HANGS, "json: no answer in 1 s"), paging.PageResult(WELL, "json: 503")]


def test_the_process_ends_although_a_page_hangs():
    program = (
        "import threading\n"
        "from autoglm_recovery.receiver.notify import paging\n"
        "from autoglm_recovery.receiver.notify.letters import Letter\n"
        "paging.send = lambda url, letter: threading.Event().wait()\n"
        "print(paging.send_each({'json://x': Letter('t', 'b', 'failure', (1,))}, within_s=0.1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert "no answer in 0 s" in done.stdout
