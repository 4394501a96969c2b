# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that makes progress is never called dead, and one that makes none is never called well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_recovery.policy import Policy
from autoglm_recovery.rules.engine_metrics import ALL
from autoglm_recovery.rules.render import render_rules
from tests.unit.rules.timeline import UNIT, Player, Timeline

STALLED, CRASHED, UNRESPONSIVE, DOWN = "InferenceStalled", "InferenceCrashed", "InferenceUnresponsive", "NodeDown"
HOST = "node-a"
FIXTURES = Path(__file__).parents[1] / "plugins" / "fixtures"
Timelines = Callable[[int], Timeline]
Values = Callable[[int], float | None]

# What shows that an engine has work and that it does it: (queue, counter that grows at once, their labels).
ENGINES = {
    "vllm": ("vllm:num_requests_waiting", "vllm:generation_tokens_total", 'engine="0", model_name="m"'),
    "llama_cpp": ("llamacpp:requests_processing", "llamacpp:n_decode_total", ""),
    "sglang": ("sglang:num_running_reqs", "sglang:realtime_tokens_total", 'dp_rank="0"'),
    "tgi": ("tgi_batch_current_size", "tgi_batch_inference_success", ""),
}


@pytest.fixture
def timeline(promtool: str, policy: Policy, tmp_path: Path) -> Timelines:
    return lambda seconds: Timeline(seconds, Player(promtool, render_rules(policy), tmp_path))


def growing(rate: float = 50.0, until: int = 10**9, start: float = 1000.0) -> Values:
    """A counter that grows up to some second, and stands still from there."""
    return lambda second: start + rate * min(second, until)


def constant(value: float) -> Values:
    return lambda _second: value


def vllm(t: Timeline, running: float = 0, waiting: float = 3, tokens: Values | None = None) -> None:
    """The page of a vLLM."""
    labels = 'engine="0", model_name="m"'
    t.engine(HOST, "vllm:num_requests_running", constant(running), labels)
    t.engine(HOST, "vllm:num_requests_waiting", constant(waiting), labels)
    t.engine(HOST, "vllm:generation_tokens_total", tokens or growing(), labels)
    t.engine(HOST, "vllm:prompt_tokens_total", constant(1234), labels)
    t.engine(HOST, "vllm:kv_cache_usage_perc", constant(0.5), labels)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_that_has_requests_and_does_nothing_is_found_within_15_seconds(
    timeline: Timelines, engine: str
) -> None:
    queue, work, labels = ENGINES[engine]
    with timeline(100) as t:
        t.engine(HOST, queue, constant(3), labels)
        t.engine(HOST, work, growing(until=40), labels)
        t.expect(40)
        t.expect(54, (STALLED, HOST))
        t.expect(100, (STALLED, HOST))
        t.expect_labels(
            60,
            {
                "alertname": STALLED,
                "failure_class": "deadlock",
                "nature": "state",
                "severity": "critical",
                "host": HOST,
                "service": f"llm-{HOST}",
                "pool": "llm",
                "unit": UNIT,
            },
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_saturated_engine_raises_nothing(timeline: Timelines, engine: str) -> None:
    queue, work, labels = ENGINES[engine]
    with timeline(200) as t:
        t.engine(HOST, queue, constant(356), labels)
        t.engine(HOST, work, growing(4000), labels)
        for at in (20, 60, 200):
            t.expect(at)


def test_a_slow_engine_is_a_live_one(timeline: Timelines) -> None:
    """A token every eight seconds."""
    with timeline(200) as t:
        vllm(t, running=1, waiting=0, tokens=lambda second: second // 8)
        for at in (20, 60, 100, 200):
            t.expect(at)


def llama(t: Timeline, decoded: Values, seconds_read: float, tokens_read: float) -> None:
    """The page of a llama-server whose one slot is at work."""
    t.engine(HOST, "llamacpp:requests_processing", constant(1))
    t.engine(HOST, "llamacpp:requests_deferred", constant(3))
    t.engine(HOST, "llamacpp:n_decode_total", decoded)
    t.engine(HOST, "llamacpp:prompt_seconds_total", constant(seconds_read))
    t.engine(HOST, "llamacpp:prompt_tokens_total", constant(tokens_read))


@pytest.mark.parametrize(
    ("seconds_read", "tokens_read", "quiet", "found"),
    [(1.0, 1000, 10, 16), (5.0, 1000, 50, 66), (0.0, 0, 50, 66), (60.0, 1000, 290, 306), (900.0, 1000, 290, 306)],
    ids=["1000 tokens a second", "200 tokens a second", "none yet", "17 tokens a second", "one token a second"],
)
def test_a_batch_of_a_prompt_may_take_as_long_as_the_engine_s_own_pace_makes_it(
    timeline: Timelines, seconds_read: float, tokens_read: float, quiet: int, found: int
) -> None:
    """llama-server counts nothing while it reads a batch, and answers all the while."""
    with timeline(420) as t:
        llama(t, growing(until=40), seconds_read, tokens_read)
        t.expect(40 + quiet)
        t.expect(40 + found, (STALLED, HOST))


def test_a_batch_that_comes_to_its_end_is_no_stall(timeline: Timelines) -> None:
    with timeline(300) as t:
        llama(t, lambda second: second // 45, 5.0, 1000)
        for at in (40, 88, 134, 300):
            t.expect(at)


def test_the_pace_counts_also_where_only_the_patient_job_reads_it(timeline: Timelines) -> None:
    with timeline(420) as t:
        t.endpoint(HOST, answers=False, since=10)
        t.slow_up(HOST, up=constant(1), seconds=3.0)
        for metric, value in (
            ("requests_processing", 1.0),
            ("prompt_seconds_total", 20.0),
            ("prompt_tokens_total", 1e3),
        ):
            t.slow_page(HOST, f"llamacpp:{metric}", constant(value))
        t.slow_page(HOST, "llamacpp:n_decode_total", growing(until=60))
        for at in (60, 110, 200, 350):
            t.expect(at)
        t.expect(380, (STALLED, HOST))


def test_an_idle_engine_is_well(timeline: Timelines) -> None:
    with timeline(200) as t:
        vllm(t, running=0, waiting=0, tokens=constant(5000))
        t.expect(200)


def test_requests_that_come_and_go_quickly_are_no_stall(timeline: Timelines) -> None:
    """Of each look one finds a request, and none of them has been there for long."""
    with timeline(100) as t:
        vllm(t, waiting=0, tokens=constant(5000))
        t.engine(HOST, "vllm:num_requests_running", lambda second: second // 2 % 2, 'engine="0", model_name="m"')
        t.expect(100)


def test_reading_a_long_prompt_is_work(timeline: Timelines) -> None:
    """Its tokens are counted when all of it was read; until then the cache fills."""
    with timeline(100) as t:
        vllm(t, running=1, waiting=0, tokens=constant(5000))
        t.engine(HOST, "vllm:kv_cache_usage_perc", lambda second: 0.001 * second, 'engine="0", model_name="m"')
        t.expect(100)


def test_requests_that_give_up_are_no_work(timeline: Timelines) -> None:
    labels = 'engine="0", model_name="m"'
    with timeline(100) as t:
        vllm(t, running=9, tokens=constant(5000))
        t.engine(HOST, "vllm:kv_cache_usage_perc", lambda second: 0.9 - 0.001 * second, labels)
        t.engine(HOST, "vllm:request_success_total", growing(), f'{labels}, finished_reason="abort"')
        t.expect(60, (STALLED, HOST))


def test_prompt_tokens_or_an_ended_request_are_work(timeline: Timelines) -> None:
    labels = 'engine="0", model_name="m"'
    with timeline(100) as t:
        vllm(t, running=9, tokens=constant(5000))
        t.engine(HOST, "vllm:prompt_tokens_total", lambda second: 8000 * (second // 8), labels)
        t.expect(100)


def test_each_engine_core_is_asked(timeline: Timelines) -> None:
    """One of two data-parallel cores is dead, and the other works on."""
    with timeline(100) as t:
        vllm(t, tokens=growing(until=40))
        for metric, values in (("vllm:num_requests_running", constant(3)), ("vllm:generation_tokens_total", growing())):
            t.engine(HOST, metric, values, 'engine="1", model_name="m"')
        t.expect(40)
        t.expect(54, (STALLED, HOST))


def test_an_engine_that_sleeps_on_order_is_left_alone(timeline: Timelines) -> None:
    with timeline(100) as t:
        vllm(t, tokens=constant(5000))
        labels = 'engine="0", model_name="m", sleep_state="weights_offloaded"'
        t.engine(HOST, "vllm:engine_sleep_state", constant(1), labels)
        t.expect(100)


@pytest.mark.parametrize(
    ("queue", "work"),
    [
        # An SGLang that counts tokens when a request has ended only, and servers that count nothing of the kind.
        ("sglang:num_running_reqs", "sglang:generation_tokens_total"),
        ("nv_inference_pending_request_count", "nv_inference_count"),
        ("llamacpp:requests_processing", "llamacpp:tokens_predicted_total"),
        ("vllm:num_requests_running", "vllm:prompt_tokens_total"),
    ],
)
def test_an_engine_without_counters_that_move_at_once_is_not_judged(timeline: Timelines, queue: str, work: str) -> None:
    with timeline(100) as t:
        t.engine(HOST, queue, constant(3))
        t.engine(HOST, work, constant(9))
        t.expect(100)


def test_an_engine_that_was_started_a_moment_ago_is_given_the_same_time(timeline: Timelines) -> None:
    with timeline(100) as t:
        vllm(t, tokens=constant(0))
        t.only_from(20)
        t.expect(28)
        t.expect(34, (STALLED, HOST))


def test_an_empty_queue_is_no_proof_that_a_stalled_engine_is_alive(timeline: Timelines) -> None:
    """Its clients have given up."""
    with timeline(100) as t:
        vllm(t, tokens=growing(until=20))
        t.engine(
            HOST, "vllm:num_requests_waiting", lambda second: 3 if second < 50 else 0, 'engine="0", model_name="m"'
        )
        t.expect(48, (STALLED, HOST))
        t.expect(100, (STALLED, HOST))


def test_the_first_token_ends_it(timeline: Timelines) -> None:
    with timeline(100) as t:
        vllm(t, tokens=lambda second: 900 if second < 60 else 901 + second)
        t.expect(58, (STALLED, HOST))
        # Groups of rules are evaluated in any order: what one reads of another may be a step old.
        t.expect(62)
        t.expect(100)


def test_a_restart_ends_it_when_the_engine_answers_and_its_counters_begin_again(timeline: Timelines) -> None:
    with timeline(200) as t:
        vllm(t)
        t.engine(HOST, "vllm:num_requests_waiting", _restarted(constant(3), constant(0)), 'engine="0", model_name="m"')
        for metric in ("vllm:generation_tokens_total", "vllm:prompt_tokens_total"):
            t.engine(HOST, metric, _restarted(constant(700), constant(0)), 'engine="0", model_name="m"')
        t.unit(HOST, "deactivating", since=60)
        t.endpoint(HOST, answers=False, since=60, until=100)
        t.unit(HOST, "active", since=64)
        for at in (58, 62, 80, 98):
            t.expect(at, (STALLED, HOST))
        t.expect(102)
        t.expect(200)


def _restarted(before: Values, after: Values) -> Values:
    """Values of an engine that is away from second 60 to second 100."""
    return lambda second: before(second) if second < 60 else None if second < 100 else after(second)


def test_a_crash_of_a_stalled_engine_is_a_crash(timeline: Timelines) -> None:
    with timeline(100) as t:
        vllm(t, tokens=constant(900))
        t.unit(HOST, "failed", since=60)
        t.endpoint(HOST, answers=False, since=60)
        t.expect(58, (STALLED, HOST))
        t.expect(62, (CRASHED, HOST))
        t.expect(100, (CRASHED, HOST))


def test_a_stalled_engine_that_falls_silent_stays_stalled(timeline: Timelines) -> None:
    with timeline(100) as t:
        vllm(t, tokens=constant(900))
        t.endpoint(HOST, answers=False, since=60)
        for at in (58, 70, 100):
            t.expect(at, (STALLED, HOST))


def test_an_engine_that_was_at_work_a_moment_ago_has_longer_than_an_idle_one(timeline: Timelines) -> None:
    """llama-server answers nothing while it decodes a batch."""
    with timeline(100) as t:
        t.engine(HOST, "llamacpp:requests_processing", constant(1))
        t.engine(HOST, "llamacpp:n_decode_total", lambda second: second if second < 20 or 30 <= second < 60 else None)
        t.endpoint(HOST, answers=False, since=20, until=30)
        t.endpoint(HOST, answers=False, since=60)
        for at in (26, 28, 30, 40, 66):
            t.expect(at)
        t.expect(74, (UNRESPONSIVE, HOST))


def test_an_engine_whose_page_takes_three_seconds_is_not_silent(timeline: Timelines) -> None:
    """The heartbeat waits one second; the patient job reads the page, and sees that tokens grow."""
    with timeline(300) as t:
        t.endpoint(HOST, answers=False, since=20)
        t.slow_up(HOST, up=constant(1), seconds=3.0)
        t.slow_page(HOST, "vllm:num_requests_waiting", constant(100))
        t.slow_page(HOST, "vllm:generation_tokens_total", growing(4000))
        for at in (20, 26, 60, 120, 300):
            t.expect(at)


def test_an_engine_that_is_slow_from_the_first_scrape_on_is_not_silent_until_the_patient_job_has_asked(
    timeline: Timelines,
) -> None:
    with timeline(100) as t:
        t.endpoint(HOST, answers=False, since=0)
        t.slow_up(HOST, up=constant(1), seconds=3.0)
        t.only_from(20)
        t.without_slow_until(HOST, 36)
        for at in (28, 34, 40, 60):
            t.expect(at)


def test_one_that_was_silent_before_prometheus_came_is_found(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.endpoint(HOST, answers=False, since=0)
        t.only_from(20)
        t.expect(38)
        t.expect(50, (UNRESPONSIVE, HOST))


def test_one_whose_page_is_slow_and_whose_tokens_stand_still_is_stalled(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.endpoint(HOST, answers=False, since=0)
        t.slow_up(HOST, up=constant(1), seconds=3.0)
        t.slow_page(HOST, "vllm:num_requests_waiting", constant(100))
        t.slow_page(HOST, "vllm:generation_tokens_total", growing(4000, until=60))
        t.expect(60)
        t.expect(120, (STALLED, HOST))


def test_what_the_patient_job_still_believes_hides_no_silence(timeline: Timelines) -> None:
    """It asks every ten seconds; an engine that answered it at once is silent when heartbeats are lost."""
    with timeline(100) as t:
        t.slow_up(HOST, up=constant(1), seconds=0.02)
        t.endpoint(HOST, answers=False, since=20)
        t.expect(26, (UNRESPONSIVE, HOST))


def test_a_slow_engine_that_falls_silent_is_unresponsive(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.endpoint(HOST, answers=False, since=0)
        t.slow_up(HOST, up=lambda second: int(second < 40), seconds=3.0)
        t.expect(44)
        t.expect(46, (UNRESPONSIVE, HOST))


@pytest.mark.parametrize(("engine", "page"), [("vllm:", "vllm_metrics.txt"), ("llamacpp:", "llama_cpp_metrics.txt")])
def test_the_names_are_those_of_real_pages(engine: str, page: str) -> None:
    samples = {
        line.split("{")[0].split(" ")[0] for line in (FIXTURES / page).read_text().splitlines() if line[:1] != "#"
    }
    missing = {name for name in ALL if name.startswith(engine)} - samples
    # Of the cache's use, older servers have the one name and newer ones the other.
    assert missing <= {"vllm:gpu_cache_usage_perc"}
