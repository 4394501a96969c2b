# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vLLM adapter against a real vLLM on the CPU, started once. The test that kills it is the last."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import (
    Engine,
    EngineError,
    NotSupported,
    Stats,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import CompletionAsked, Watch, observe
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge

from tests.integration.engines.streams import Stream
from tests.support.servers.freezing import freeze
from tests.support.servers.vllm import Vllm
from tests.support.servers.waiting import until

ENDLESS = 8000  # tokens, which take longer than any of these tests


@pytest.fixture
def open_it(vllm_server: Vllm) -> Callable[..., Engine]:
    def open_it(timeout: float = 10.0, generate_timeout: float = 60.0, **options: object) -> Engine:
        return open_engine("vllm", vllm_server.url, timeout=timeout, generate_timeout=generate_timeout, options=options)

    return open_it


@pytest.fixture
def engine(open_it: Callable[..., Engine], vllm_server: Vllm) -> Iterator[Engine]:
    """The server, which takes requests and has none at the end of each test."""
    subject = open_it()
    yield subject
    if vllm_server.process.poll() is None and subject.live().value is True:
        subject.wake()
        subject.resume_accepting()
        subject.abort_all()
        until("the server is idle again", lambda: subject.stats().in_flight == 0)


def start(server: Vllm, number: int, tokens: int = ENDLESS) -> list[Stream]:
    streams = [Stream(server.port, tokens) for _ in range(number)]
    until("the streams flow", lambda: sum(stream.tokens > 0 for stream in streams) == min(number, 4))
    return streams


def test_it_is_healthy_and_proves_it(engine: Engine) -> None:
    verdict = judge(observe(engine, CompletionAsked(), None))
    assert verdict.verdict == "healthy"
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.models) == (0, 0, ("tiny",))
    assert stats.version is not None
    assert set(stats.unread) == {"tokens_per_second"}


def six_in_flight(engine: Engine, server: Vllm) -> tuple[list[Stream], Stats]:
    """Return six streams, and what the server says while it has them all."""
    streams: list[Stream] = []

    def six() -> Stats | None:
        """Look while six are there: on a busy machine one may have ended before the last has begun."""
        streams[:] = [stream for stream in streams if not stream.over]
        streams.extend(Stream(server.port, ENDLESS) for _ in range(6 - len(streams)))
        stats = engine.stats()
        return stats if stats.in_flight == 6 else None

    return streams, until("six requests are in flight", six)


def test_what_runs_and_what_waits_is_counted(engine: Engine, vllm_server: Vllm) -> None:
    before = engine.stats()
    _streams, stats = six_in_flight(engine, vllm_server)
    assert (stats.running, stats.waiting) == (4, 2)
    assert stats.kv_cache_usage is not None
    assert stats.kv_cache_usage > 0
    assert stats.generation_tokens_total > before.generation_tokens_total
    assert (engine.live().value, engine.ready().value) == (True, True)


def test_all_requests_are_aborted_and_new_ones_are_taken(engine: Engine, vllm_server: Vllm) -> None:
    streams, _stats = six_in_flight(engine, vllm_server)
    engine.abort_all()
    for stream in streams:
        stream.wait()
    # On a busy machine the first may have said all before the abort came.
    cut_off = [stream for stream in streams if stream.tokens < ENDLESS]
    assert {stream.end for stream in cut_off} <= {"abort", None}  # those that waited have no reason at all
    assert len(cut_off) >= 2, "two of six had not begun when the others ran"
    until("nothing is in flight", lambda: engine.stats().in_flight == 0)
    assert engine.generate("hi", 8).tokens == 8


def test_what_was_stopped_lets_requests_end_and_holds_back_new_ones(
    engine: Engine, open_it: Callable[..., Engine], vllm_server: Vllm
) -> None:
    streams = start(vllm_server, 2, 1000)
    engine.stop_accepting()
    for stream in streams:
        stream.wait()
        assert stream.end == "length"
    assert (engine.accepting().value, engine.awake().value, engine.ready().value) == (False, True, False)
    assert engine.live().value is True
    held = Stream(vllm_server.port, 20)
    tracking = open_it(load_tracking=True)
    until("the request that is held back is counted", lambda: tracking.stats().in_flight == 1)
    assert (tracking.stats().running, tracking.stats().waiting) == (0, 1)
    assert engine.stats().in_flight is None, "the metrics alone count 0 while a client waits"
    assert "is_paused" in (engine.stats().in_flight_unread or "")
    engine.resume_accepting()
    held.wait()
    assert held.end == "length"
    assert (engine.accepting().value, engine.ready().value) == (True, True)


def test_it_has_stopped_even_when_nobody_waits_for_the_last_request(
    open_it: Callable[..., Engine], engine: Engine, vllm_server: Vllm
) -> None:
    streams = start(vllm_server, 1)
    open_it(generate_timeout=2.0).stop_accepting()
    assert engine.accepting().value is False
    assert not streams[0].over


def test_a_pause_freezes_and_loses_nothing(engine: Engine, vllm_server: Vllm) -> None:
    streams = start(vllm_server, 2)
    engine.pause()
    frozen = engine.stats().generation_tokens_total
    assert (engine.accepting().value, engine.awake().value) == (False, True)
    until("both are counted: the server writes its gauges after its steps", lambda: engine.stats().running == 2)
    with pytest.raises(EngineError):
        open_engine("vllm", vllm_server.url, generate_timeout=1.0).generate("hi", 1)
    assert engine.stats().generation_tokens_total == frozen
    sent = [stream.tokens for stream in streams]
    engine.resume_accepting()
    until("they go on", lambda: all(stream.tokens > before for stream, before in zip(streams, sent, strict=True)))
    assert not any(stream.end for stream in streams)


# On a busy machine all tokens may have come before the order.
@pytest.mark.flaky(reruns=2)
def test_a_sleeper_is_not_ready_and_must_be_woken(engine: Engine, vllm_server: Vllm) -> None:
    streams = start(vllm_server, 1)
    engine.sleep()
    streams[0].wait()
    assert streams[0].end == "abort"
    assert (engine.live().value, engine.ready().value, engine.awake().value) == (True, False, False)
    assert engine.stats().in_flight is None
    with pytest.raises(EngineError, match="wake it"):
        engine.resume_accepting()
    verdict = judge(observe(engine, CompletionAsked(), None))
    assert (verdict.verdict, verdict.failure_class) == ("unhealthy", "not_ready")
    engine.wake()
    assert (engine.awake().value, engine.accepting().value) == (True, True)
    assert engine.generate("hi", 8).tokens == 8


def test_the_cache_is_dropped_unless_it_is_in_use(engine: Engine, vllm_server: Vllm) -> None:
    engine.reset()
    start(vllm_server, 1)
    with pytest.raises(EngineError, match="still use it"):
        engine.reset()


def test_generation_state_cannot_be_saved(engine: Engine) -> None:
    with pytest.raises(NotSupported):
        engine.save_state("x")


def test_a_stopped_core_answers_and_is_never_healthy(
    engine: Engine, open_it: Callable[..., Engine], vllm_server: Vllm
) -> None:
    """/health and /metrics stay 200, with the figures of before."""
    core = vllm_server.core()
    freeze(core)
    try:
        impatient = open_it(timeout=2.0, generate_timeout=2.0)
        assert impatient.live().value is True
        stats = impatient.stats()
        assert (stats.running, stats.waiting, stats.in_flight) == (None, None, None)
        assert "may be of the past" in stats.unread["running"]
        verdict = judge(observe(impatient, CompletionAsked(), None))
        assert (verdict.verdict, verdict.failure_class) == ("unhealthy", "unresponsive")
    finally:
        os.kill(core, signal.SIGCONT)
    until("the core goes on", lambda: engine.stats().in_flight == 0)
    assert judge(observe(engine, CompletionAsked(), None)).verdict == "healthy"


def test_a_core_that_is_stopped_with_requests_in_hand_is_a_deadlock(
    engine: Engine, open_it: Callable[..., Engine], vllm_server: Vllm
) -> None:
    start(vllm_server, 5)
    until("all five are counted", lambda: engine.stats().in_flight == 5)
    core = vllm_server.core()
    freeze(core)
    try:
        impatient = open_it(timeout=2.0, generate_timeout=1.0)
        verdict = judge(observe(impatient, CompletionAsked(), None, Watch(stall_seconds=3.0)))
        assert (verdict.verdict, verdict.failure_class) == ("unhealthy", "deadlock"), verdict.reasons
    finally:
        os.kill(core, signal.SIGCONT)


@pytest.mark.usefixtures("engine")  # which ends what is in flight
def test_a_full_server_is_busy_and_never_called_dead(open_it: Callable[..., Engine], vllm_server: Vllm) -> None:
    start(vllm_server, 6)
    verdict = judge(observe(open_it(generate_timeout=0.2), CompletionAsked(), None))
    # On a machine that is busy itself the streams may end, and the completion gets its turn after all.
    assert verdict.verdict == "healthy", verdict.reasons
    assert verdict.failure_class in {"overload", None}, verdict.reasons


def test_a_killed_core_is_dead_at_once(open_it: Callable[..., Engine], vllm_server: Vllm) -> None:
    core, engine = vllm_server.core(), open_it()
    streams = start(vllm_server, 1)
    os.kill(core, signal.SIGKILL)
    until("it no longer calls itself alive", lambda: engine.live().value is not True)
    seen = observe(engine, CompletionAsked(), None)
    verdict = judge(seen)
    assert (verdict.verdict, verdict.failure_class) == ("unhealthy", "unresponsive")
    assert seen.stats.in_flight is None
    streams[0].wait()
    assert streams[0].end != "length"
