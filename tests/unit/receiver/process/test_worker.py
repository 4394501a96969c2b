# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No error ends a background thread, every one is counted, and one that does not come round is seen."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.worker import UNTIL_WOKEN, Worker, Workers, WorkerTrouble
from autoglm_recovery.receiver.store.standing import Backlog

LONG_S = 60.0


class Steps:
    """A step that raises what it is given, one after the other, and is well from then on."""

    def __init__(self, *errors: BaseException, pause: float = UNTIL_WOKEN) -> None:
        self.errors = list(errors)
        self.pause = pause
        self.well = threading.Event()
        self.done = 0

    def __call__(self) -> float:
        self.done += 1
        if self.errors:
            raise self.errors.pop(0)
        self.well.set()
        return self.pause


@pytest.fixture
def started():
    """Start workers, and end them after the test."""
    made: list[Worker] = []

    def start(step, **settings) -> Worker:
        worker = Worker("made-up", step, **{"first_pause_s": 0.001, **settings})
        made.append(worker)
        worker.start()
        return worker

    yield start
    for worker in made:
        worker.stop(LONG_S)
        assert not worker._thread.is_alive()


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        RecursionError(),
        MemoryError(),
        # What libraries throw to end a program, a thread or a task.
        SystemExit(1),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_no_error_ends_a_worker(started, error):
    step = Steps(error, error)
    worker = started(step)
    assert step.well.wait(LONG_S)
    assert worker.failures == 2
    assert step.done == 3


def test_an_error_is_told_in_full_once_and_another_one_again(started):
    step = Steps(OSError("a"), OSError("a"), OSError("a"), KeyError("b"))
    with structlog.testing.capture_logs() as logs:
        started(step)
        assert step.well.wait(LONG_S)
    told = [(line["log_level"], type(line["exc_info"])) for line in logs if line["event"] == "worker failed"]
    assert told == [("error", OSError), ("debug", OSError), ("debug", OSError), ("error", KeyError)]


def test_that_it_cannot_be_told_ends_no_worker(started, monkeypatch):
    def full_disk(*_args, **_more):
        raise OSError(28, "No space left on device")

    unwritable = SimpleNamespace(**dict.fromkeys(("info", "debug", "error"), full_disk))
    monkeypatch.setattr("autoglm_recovery.receiver.process.worker.log", unwritable)
    step = Steps(OSError("a"), OSError("a"))
    started(step)
    assert step.well.wait(LONG_S)


@given(failures=st.integers(1, 2000), first=st.floats(0.01, 10), longest=st.floats(10, 600))
def test_the_pause_grows_and_has_an_end(failures, first, longest):
    worker = Worker(
        "made-up", Steps(*(OSError() for _ in range(failures))), first_pause_s=first, longest_pause_s=longest
    )
    with structlog.testing.capture_logs():
        pauses = [worker.attempt() for _ in range(failures)]
    assert pauses[0] == min(first, longest)
    assert pauses == sorted(pauses)
    assert pauses[-1] <= longest
    assert worker.attempt() == UNTIL_WOKEN
    assert worker.trouble is None


def test_being_woken_does_not_shorten_the_pause_after_an_error_and_the_word_to_stop_does():
    step = Steps(OSError())
    worker = Worker("made-up", step, first_pause_s=3600.0, longest_pause_s=3600.0)
    failed = threading.Event()
    note = worker._note

    def noting(error):
        failed.set()
        return note(error)

    worker._note = noting
    worker.start()
    assert failed.wait(LONG_S)
    for _ in range(1000):
        worker.wake()
    assert step.done == 1
    worker.stop(LONG_S)
    assert not worker._thread.is_alive()


def test_the_word_to_stop_is_never_missed():
    """It may come at any moment, also just before the worker clears what woke it."""
    for _ in range(200):
        step = Steps()
        worker = Worker("made-up", step)
        worker.start()
        worker.wake()
        worker.stop(LONG_S)
        assert not worker._thread.is_alive()


def test_one_that_hangs_is_stuck_until_it_comes_round(started):
    going_on, let_go, well = threading.Event(), threading.Event(), threading.Event()

    def step() -> float:
        if not let_go.is_set():
            going_on.set()
            let_go.wait(LONG_S)
        else:
            well.set()
        return UNTIL_WOKEN

    patience = [LONG_S]
    worker = started(step, stuck_after=lambda: patience[0])
    assert going_on.wait(LONG_S)
    assert worker.trouble is None
    patience[0] = 0.0
    assert (worker.trouble.name, worker.trouble.stuck) == ("made-up", True)
    let_go.set()
    worker.wake()
    assert well.wait(LONG_S)
    while worker._expected_at != UNTIL_WOKEN:
        well.wait(0.001)
    assert worker.trouble is None


def test_one_that_fails_is_in_trouble_and_not_stuck(started):
    failed = threading.Event()

    def step() -> float:
        failed.set()
        raise OSError("a")

    worker = started(step, first_pause_s=LONG_S, longest_pause_s=LONG_S)
    assert failed.wait(LONG_S)
    while not worker.failures:
        failed.wait(0.001)
    assert worker.trouble.stuck is False
    assert str(worker.trouble).startswith("made-up fails")


def test_one_whose_thread_has_ended_is_stuck():
    worker = Worker("made-up", Steps())
    worker._run = lambda: None
    worker._thread = threading.Thread(target=worker._run)
    worker.start()
    worker._thread.join()
    assert worker.trouble.stuck


def test_the_metrics_say_how_each_is():
    workers, metrics = Workers(), Metrics(lambda: Backlog({}, {}, {}, None, 0, None, 0))
    metrics.watch(workers)
    well, failing = Worker("well", Steps()), Worker("failing", Steps(OSError(), OSError()))
    for worker in (well, failing):
        workers.take(worker)
        worker._thread = threading.current_thread()  # it lives, and does nothing that the test does not
    with structlog.testing.capture_logs():
        well.attempt()
        failing.attempt()
        failing.attempt()
    said = generate_latest(metrics.registry).decode()
    assert 'autoglm_worker_failures_total{worker="failing"} 2.0' in said
    assert 'autoglm_worker_failures_total{worker="well"} 0.0' in said
    assert 'autoglm_worker_well{worker="failing"} 0.0' in said
    assert 'autoglm_worker_well{worker="well"} 1.0' in said
    assert 'autoglm_worker_stuck_seconds{worker="failing"} 0.0' in said
    assert [str(trouble).split()[0] for trouble in workers.troubles] == ["failing"]


def test_the_stuck_come_first():
    workers = Workers()
    for name, stuck in (("a", False), ("b", True), ("c", True)):
        workers.take(SimpleNamespace(trouble=WorkerTrouble(name, stuck, 61.0)))
    assert [trouble.name for trouble in workers.troubles] == ["b", "c", "a"]
    assert str(workers.troubles[0]) == "b is stuck, and has been for 61 s"
