# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang's adapter against answers written after the source of 0.5.23."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported

ENGINE = "sglang"
pytestmark = pytest.mark.recorded

IDLE = (
    200,
    json.dumps({"loads": [{"num_running_reqs": 0, "num_waiting_reqs": 0, "token_usage": 0, "gen_throughput": 0}]}),
)
LOADS = "GET /v1/loads?include=core"


def test_figures_of_all_ranks(play) -> None:
    stats = play().engine.stats()
    assert (stats.running, stats.waiting, stats.in_flight) == (4, 2, 6)
    assert (stats.kv_cache_usage, stats.tokens_per_second) == (0.25, 280.5)
    assert (stats.prompt_tokens_total, stats.generation_tokens_total) == (200, 4400)
    assert (stats.version, stats.models) == ("0.5.23", ("qwen/qwen2.5-0.5b-instruct",))
    assert not stats.unread


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"GET /server_info": "timeout"}, "did not answer"),  # the schedulers hang; /v1/loads would tell the past
        ({"GET /server_info": (500, "")}, "may be of the past"),
        ({LOADS: (404, "")}, "num_running_reqs of /v1/loads is not there"),
        ({LOADS: (200, '{"loads":[{"num_running_reqs":1},{}]}')}, "is not there"),
        ({LOADS: (200, '{"loads":[{"num_running_reqs":-1,"num_waiting_reqs":0}]}')}, "cannot be"),
        ({LOADS: IDLE, "GET /ready": (503, "")}, "holds back while it is paused"),
    ],
)
def test_what_is_not_surely_zero_is_unknown(play, changes, reason) -> None:
    stats = play(changes).engine.stats()
    assert stats.in_flight is None
    assert reason in stats.in_flight_unread


@pytest.mark.parametrize(
    ("changes", "ready", "accepting"),
    [
        ({}, True, True),
        ({"GET /ready": (503, "")}, False, False),  # paused: /ping still answers 200
        ({"GET /ready": (503, ""), "GET /ping": (503, "")}, False, None),  # starting, unhealthy or shutting down
        ({"GET /ready": (404, "")}, True, None),  # an older server
        ({"GET /ready": (404, ""), "GET /health": (503, "")}, False, None),
        ({"GET /health": "timeout"}, None, True),  # no token came
        ({"GET /ready": "refused"}, None, None),
    ],
)
def test_readiness_and_pauses(play, changes, ready, accepting) -> None:
    engine = play(changes).engine
    assert (engine.ready().value, engine.accepting().value) == (ready, accepting)
    assert engine.live().value is True


def test_orders(play) -> None:
    recording = play({LOADS: IDLE})
    engine = recording.engine
    engine.pause()
    assert recording.body_of("/pause_generation") == {"mode": "in_place"}
    engine.abort_all()
    assert recording.body_of("/abort_request") == {"abort_all": True}
    for act in (engine.resume_accepting, engine.reset, engine.sleep, engine.wake):
        act()
    with pytest.raises(NotSupported, match="load balancer"):
        engine.stop_accepting()


def test_a_server_that_does_not_get_on_is_cleared_by_an_abort_and_a_flush_that_waits_for_it(play) -> None:
    """Not by its pause, after which a scheduler that stands keeps the API process closed."""
    recording = play()
    recording.engine.clear()
    assert recording.paths[-2:] == ["POST /abort_request", "POST /flush_cache?timeout=2.5"]
    assert not [path for path in recording.paths if "pause" in path]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"POST /flush_cache?timeout=2.5": "timeout"}, "timeout"),  # the scheduler stands
        ({"POST /flush_cache?timeout=2.5": (400, "Flush cache failed.")}, "Flush cache failed"),
        ({"GET /ready": (503, "")}, "paused by somebody"),
    ],
)
def test_what_was_not_cleared_is_no_success(play, changes, reason) -> None:
    with pytest.raises(EngineError, match=reason):
        play(changes).engine.clear()


def test_a_busy_server_is_not_put_to_sleep(play) -> None:
    """Its scheduler asserts that it is idle, and would end."""
    recording = play()
    with pytest.raises(EngineError, match="6 requests are in flight"):
        recording.engine.sleep()
    assert "POST /release_memory_occupation" not in recording.paths


def test_sleep_without_the_memory_saver_would_do_nothing_and_say_yes(play) -> None:
    with pytest.raises(NotSupported, match="--enable-memory-saver"):
        play({"GET /server_info": (200, '{"enable_memory_saver":false}')}).engine.sleep()


def test_a_refused_flush_is_no_success(play) -> None:
    with pytest.raises(EngineError, match="400"):
        play({"POST /flush_cache": (400, "Flush cache failed.")}).engine.reset()


def test_a_completion(play) -> None:
    made = play().engine.generate("The quick brown fox", 8)
    assert (made.tokens, made.finish_reason) == (8, "length")
    aborted = '{"choices":[{"text":" a","finish_reason":"abort"}],"usage":{"completion_tokens":1}}'
    with pytest.raises(EngineError, match="abort"):
        play({"POST /v1/completions": (200, aborted)}).engine.generate("hi", 8)
