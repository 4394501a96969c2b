# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The llama.cpp adapter against a real llama-server."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Engine, EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import CompletionAsked, Watch, observe
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge

from tests.integration.engines.streams import Stream
from tests.support.servers import llama, root
from tests.support.servers.freezing import freeze
from tests.support.servers.waiting import until

LONG = 4000  # tokens, about as many as a slot's context holds
PROMPT = "the people of the long day " * 40


def open_it(server: llama.Llama, **more: object) -> Engine:
    return open_engine("llama_cpp", server.url, **{"timeout": 10.0, "generate_timeout": 60.0, **more})


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[str]:
    """A folder for saved slots, as the server sees it: it runs in a root of its own."""
    inside = f"/var/lib/llama/{tmp_path.name}-{os.getpid()}"
    outside = root.ensure() / inside.lstrip("/")
    outside.mkdir(parents=True)
    yield f"{inside}/"
    shutil.rmtree(outside)


def test_it_is_healthy_and_proves_it(server: llama.Llama) -> None:
    seen = observe(open_it(server), CompletionAsked(), None)
    assert judge(seen).verdict == "healthy"
    assert (seen.stats.running, seen.stats.waiting, seen.stats.models) == (0, 0, ("tiny",))
    assert seen.stats.version
    assert set(seen.stats.unread) == {"kv_cache_usage"}


def test_a_full_server_is_live_ready_and_says_how_full(server: llama.Llama) -> None:
    engine = open_it(server)
    streams = [Stream(server.port, LONG) for _ in range(5)]
    until("all five are in flight", lambda: engine.stats().in_flight == 5)
    stats = engine.stats()
    assert (stats.running, stats.waiting) == (2, 3)
    assert (engine.live().value, engine.ready().value) == (True, True)
    with pytest.raises(EngineError) as caught:
        open_it(server, generate_timeout=0.2).generate("hi", 8)
    assert caught.value.kind == "timeout", "it waits in the queue, which is no refusal"
    server.kill()
    for stream in streams:
        stream.wait()


def test_a_full_server_is_busy_and_never_called_dead(server: llama.Llama) -> None:
    streams = [Stream(server.port, LONG) for _ in range(8)]
    engine = open_it(server, generate_timeout=0.2)
    until("all others wait", lambda: engine.stats().waiting == 6)
    seen = observe(engine, CompletionAsked(), None)
    assert seen.generated is not None
    assert seen.generated.kind == "timeout"
    verdict = judge(seen)
    assert (verdict.verdict, verdict.failure_class) == ("healthy", "overload"), verdict.reasons
    unasked = judge(observe(engine, None, None))
    assert (unasked.verdict, unasked.failure_class) == ("healthy", None), "tokens that come prove it"
    server.kill()
    for stream in streams:
        stream.wait()


def test_an_idle_server_that_nobody_asks_proves_nothing(server: llama.Llama) -> None:
    seen = observe(open_it(server), None, None)
    assert (seen.motion.kind, judge(seen).verdict) == ("idle", "unknown")


def test_what_it_cannot_do_it_says(server: llama.Llama) -> None:
    engine = open_it(server)
    for act in (engine.stop_accepting, engine.pause, engine.resume_accepting, engine.abort_all, engine.sleep):
        with pytest.raises(NotSupported):
            act()
    told = engine.accepting()
    assert (told.value, told.kind) == (None, "not_supported")
    with pytest.raises(NotSupported, match="--slot-save-path"):
        engine.save_state("x")


def test_a_server_that_sleeps_by_itself_says_so_and_is_ready(tmp_path: Path) -> None:
    with llama.running(tmp_path, "--sleep-idle-seconds", "1") as server:
        engine = open_it(server)
        until("it has fallen asleep", lambda: engine.awake().value is False)
        assert (engine.ready().value, engine.stats().in_flight) == (True, 0)
        assert engine.generate("hi", 8).tokens == 8
        assert engine.awake().value is True


def test_slots_outlive_a_kill(tmp_path: Path, slots: str) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots) as server:
        first = ask(server, PROMPT)
        saved = open_it(server).save_state("before").parts
        assert sum(saved.values()) > 100
        server.kill()
    with llama.running(tmp_path, "--slot-save-path", slots, port=server.port) as again:
        engine = open_it(again)
        assert engine.load_state("before").parts == saved
        second = ask(again, PROMPT)
        assert second["timings"]["prompt_n"] == 1, "the prompt was not worked out anew"
        assert second["content"] == first["content"]
        engine.reset()
        assert ask(again, PROMPT)["timings"]["prompt_n"] > 100, "nothing was left of it"
        with pytest.raises(EngineError, match="slot 0: restore"):
            engine.load_state("never-saved")


def test_a_busy_slot_is_not_saved(tmp_path: Path, slots: str) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots) as server:
        engine = open_it(server)
        stream = Stream(server.port, LONG)
        until("it is in flight", lambda: engine.stats().running == 1)
        with pytest.raises(EngineError, match="busy"):
            engine.save_state("x")
        assert not stream.over


def test_a_server_that_is_stopped_by_a_signal_is_never_healthy(server: llama.Llama) -> None:
    """It accepts connections, and answers none of them."""
    freeze(server.pid)
    engine = open_it(server, timeout=0.5)
    seen = observe(engine, CompletionAsked(), None, Watch(stall_seconds=2.0))
    verdict = judge(seen)
    assert (seen.live.value, seen.live.kind) == (None, "timeout")
    assert (verdict.verdict, verdict.failure_class) == ("unhealthy", "unresponsive")
    assert engine.stats().in_flight is None
    os.kill(server.pid, signal.SIGCONT)
    until("it goes on", lambda: judge(observe(open_it(server), CompletionAsked(), None)).verdict == "healthy")


def test_a_killed_server_is_gone_in_the_middle_of_a_stream(server: llama.Llama) -> None:
    engine = open_it(server)
    stream = Stream(server.port, LONG)
    until("the stream flows", lambda: stream.tokens > 0)
    server.kill()
    assert engine.live().kind == "refused"
    assert engine.stats().in_flight is None
    stream.wait()
    assert stream.end != "length"
    assert judge(observe(engine, None, None)).failure_class == "unresponsive"


def test_a_wrong_key_is_unknown_not_unhealthy(tmp_path: Path) -> None:
    with llama.running(tmp_path, "--api-key", "s3cret") as server:
        verdict = judge(observe(open_it(server, api_key="wrong"), CompletionAsked(), None))
        assert (verdict.verdict, verdict.failure_class) == ("unknown", "unknown")
        assert "401" in " ".join(verdict.reasons)
        assert judge(observe(open_it(server, api_key="s3cret"), CompletionAsked(), None)).verdict == "healthy"


def test_the_generic_engine_can_be_told_all_that_the_adapter_knows(server: llama.Llama) -> None:
    options = {
        "metrics_path": "/metrics",
        "running_metric": "llamacpp:requests_processing",
        "waiting_metric": "llamacpp:requests_deferred",
        "models_path": "/v1/models",
        "completion": "openai_chat",
    }
    engine = open_engine("generic", server.url, options=options)
    seen = observe(engine, CompletionAsked(), None)
    assert judge(seen).verdict == "healthy"
    assert (seen.stats.in_flight, seen.stats.models) == (0, ("tiny",))


def ask(server: llama.Llama, prompt: str) -> dict[str, dict[str, int]]:
    """A completion that may use what is cached, in slot 0."""
    body = {"prompt": prompt, "n_predict": 8, "temperature": 0, "cache_prompt": True, "id_slot": 0}
    answer = httpx.post(f"{server.url}/completion", json=body, timeout=60, trust_env=False)
    answer.raise_for_status()
    document: dict[str, dict[str, int]] = answer.json()
    return document
