# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module inference_health judges by progress: servers that answer and are dead, and full ones that are not.

The server is a fake, tests/support/fake_vllm, whose README names the source of each answer.
"""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import inference_health

from tests.support.fake_vllm import FakeVllm, Rank, State

HUNG = Rank(waiting=3)
FULL = Rank(running=256, waiting=100, rate=4000.0, made=100_000, cache=0.97)
IDLE = Rank()


@pytest.fixture
def ask(run_module):
    def call(state: State, **arguments: object) -> dict:
        with FakeVllm(state).serving() as server:
            options = {"engine": "vllm", "url": server.url, "stall_seconds": 2.0, "timeout": 30.0, **arguments}
            return run_module(inference_health, **options)

    return call


@pytest.mark.parametrize("generate", [False, True])
def test_a_dead_core_behind_an_api_that_answers_is_a_deadlock(ask, generate: bool) -> None:
    result = ask(State([HUNG]), generate=generate, generate_timeout=0.5)
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "deadlock")
    assert result["recommended_action"] == "clear_queue_and_reset"
    assert result["inference"]["live"]["value"] is True
    assert "no token, no prompt token and no finished request" in result["reasons"][0]


@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_a_full_server_is_busy_however_long_a_completion_waits(ask, delay: float) -> None:
    result = ask(State([FULL], delay=delay), generate=True, generate_timeout=0.5)
    assert (result["verdict"], result["failure_class"]) == ("healthy", "overload")
    assert result["recommended_action"] == "shed_load"
    assert result["inference"]["motion"]["kind"] == "generates"


def test_a_full_server_that_answers_everything_late_is_busy(ask) -> None:
    """Every answer takes longer than the time-out, that of liveness too."""
    result = ask(State([FULL], delay=1.0), generate=True, timeout=0.3, stall_seconds=20.0)
    assert (result["verdict"], result["failure_class"]) == ("healthy", "overload")
    assert result["inference"]["live"]["kind"] == "timeout"


def test_a_server_that_is_given_tokens_needs_no_completion(ask) -> None:
    result = ask(State([FULL]))
    assert (result["verdict"], result["failure_class"]) == ("healthy", None)
    assert result["inference"]["generated"] is None


def test_an_idle_server_proves_nothing_unless_it_is_asked(ask) -> None:
    assert ask(State([IDLE]))["verdict"] == "unknown"
    assert ask(State([IDLE]), answers_suffice=True)["verdict"] == "healthy"
    assert ask(State([IDLE], completion=0.0), generate=True)["verdict"] == "healthy"


def test_an_idle_server_whose_completion_does_not_come_is_unresponsive(ask) -> None:
    result = ask(State([IDLE]), generate=True, generate_timeout=0.5)
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "unresponsive")


def test_one_dead_rank_of_two_is_a_deadlock_though_a_completion_comes(ask) -> None:
    result = ask(State([FULL, HUNG], completion=0.0), generate=True)
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "deadlock")
    assert "engine=1" in result["reasons"][0]


def test_a_sleeper_is_not_ready_and_no_deadlock(ask) -> None:
    result = ask(State([HUNG], asleep=True))
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "not_ready")


def test_a_server_that_was_restarted_meanwhile_is_looked_at_anew(ask) -> None:
    """Its counters go down: what was seen before is another process's."""
    result = ask(State([Rank(running=1, rate=50.0)], restarts_after=0.2), generate=True, generate_timeout=0.5)
    assert (result["verdict"], result["failure_class"]) == ("healthy", "overload")


@pytest.mark.parametrize("seconds", [0, -1, "nan", "inf"])
def test_the_time_must_be_a_time(run_module, seconds: object) -> None:
    result = run_module(inference_health, engine="vllm", url="http://127.0.0.1:1", stall_seconds=seconds)
    assert result["failed"]
    assert "stall_seconds" in result["msg"]
