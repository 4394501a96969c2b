# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy file may say, and what is said about one that is wrong."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.durations import format_duration, parse_duration
from autoglm_recovery.knowledge.faults.classes import (
    ACTIONS,
    DEFAULT_LADDERS,
    DESTRUCTIVENESS,
    FAILURE_CLASSES,
    ROOT_CAUSE_ORDER,
    destroys,
)
from autoglm_recovery.policy import Policy, PolicyError, load_policy, parse_policy
from autoglm_recovery.policy.model import Strategy
from autoglm_recovery.policy.repertoire import OURS

# The file of the design, as it stands.
DESIGN = """\
monitoring:
  interval: 2s
  metrics: [gpu_memory, cpu_load, request_queue]
recovery:
  strategies:
    oom:
      action: restart_process
      delay: 1s
    deadlock:
      action: clear_queue_and_reset
"""


def problems(text: str) -> list[str]:
    """Return what is said about a wrong policy."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_file_of_the_design_works_as_it_stands():
    policy = parse_policy(DESIGN)
    assert policy.monitoring.interval == timedelta(seconds=2)
    oom = policy.recovery.strategy("oom")
    assert oom.delay == timedelta(seconds=1)
    assert oom.ladder("oom") == ("restart_process", "failover_and_rebuild")
    assert policy.recovery.strategy("deadlock").ladder("deadlock") == DEFAULT_LADDERS["deadlock"]


def test_what_the_documentation_shows_is_read():
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text("utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(examples) >= 4
    for example in examples:
        assert parse_policy(example) != Policy()


def test_an_empty_file_is_all_defaults():
    assert parse_policy("") == Policy()
    for failure_class, ladder in DEFAULT_LADDERS.items():
        assert Policy().recovery.strategy(failure_class).ladder(failure_class) == ladder


def test_every_class_has_a_place_among_the_causes():
    assert sorted(ROOT_CAUSE_ORDER) == sorted(FAILURE_CLASSES)


def test_unknown_failures_have_no_action():
    assert Policy().recovery.strategy("unknown").ladder("unknown") == ()


@pytest.mark.parametrize(
    ("failure_class", "action", "ladder"),
    [
        ("gpu_fault", "quarantine_node", ("quarantine_node",)),
        ("gpu_fault", "reboot_node", ("reboot_node", "quarantine_node")),
        ("deadlock", "restart_process", ("restart_process", "failover_and_rebuild")),
        ("deadlock", "clear_queue_and_reset", DEFAULT_LADDERS["deadlock"]),
        # Not on the default ladder: it stands where its cost puts it.
        ("crash", "quarantine_node", ("quarantine_node",)),
        ("gpu_fault", "restart_process", ("restart_process", *DEFAULT_LADDERS["gpu_fault"])),
        ("oom", "clear_queue_and_reset", ("clear_queue_and_reset", "restart_process", "failover_and_rebuild")),
        ("thermal", "restart_process", ("restart_process", "quarantine_node")),
    ],
)
def test_an_action_alone_means_this_rung_and_those_above_it(failure_class, action, ladder):
    policy = parse_policy(f"recovery: {{strategies: {{{failure_class}: {{action: {action}}}}}}}")
    assert policy.recovery.strategy(failure_class).ladder(failure_class) == ladder


def test_nothing_that_follows_an_action_destroys_less_on_a_ladder_of_ours():
    for failure_class, default in DEFAULT_LADDERS.items():
        for action in ACTIONS:
            ladder = Strategy(action=action).ladder(failure_class)
            assert ladder[0] == action
            below = default[: default.index(action)] if action in default else ()
            assert not set(below) & set(ladder)


def test_every_action_has_its_place_in_the_order_of_destruction():
    assert set(DESTRUCTIVENESS) == set(ACTIONS)
    assert destroys("an action of nobody") == max(DESTRUCTIVENESS.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("monitoring:\n  intervall: 2s\n", "p.yaml:2: monitoring.intervall: unknown key (did you mean interval?)"),
        (
            "recovery:\n  strategies:\n    oomm: {}\n",
            "p.yaml:3: recovery.strategies.oomm: 'oomm' is not known (did you mean oom?)",
        ),
        (
            "recovery:\n  strategies:\n    oom:\n      action: restart\n",
            "p.yaml:4: recovery.strategies.oom.action: 'restart' is not known (did you mean restart_process?)",
        ),
        (
            "recovery:\n  strategies:\n    oom:\n\n      delay: 1\n",
            "p.yaml:5: recovery.strategies.oom.delay: 1 has no unit; write 1s for seconds or 1ms for milliseconds",
        ),
        (
            "recovery:\n  strategies:\n    oom:\n      delay: 3q\n",
            "p.yaml:4: recovery.strategies.oom.delay: '3q' is not a duration; write for example 2s, 500ms, 1m30s or 1d",
        ),
        (
            "recovery:\n  autonomy: actt\n",
            "p.yaml:2: recovery.autonomy.default: 'actt' is not known (did you mean act?)",
        ),
        (
            "classify:\n- match: 'a=~\"(\"'\n  failure_class: oom\n",
            'p.yaml:2: classify.0.match: a=~"(": not a regular expression: missing ): (',
        ),
        (
            "monitoring:\n  metrics: [cpu_load]\n  thresholds:\n    cpu_load: 85\n",
            "p.yaml:4: monitoring.thresholds.cpu_load.above: 85 has no unit; write 85%",
        ),
        (
            "monitoring:\n  metrics: [memory]\n  thresholds:\n    memory: {above: 0.9}\n",
            "p.yaml:4: monitoring.thresholds.memory.above: 0.9 has no unit; write 90%",
        ),
        (
            "monitoring:\n  metrics: [cpu_load]\n  thresholds:\n    cpu_load: 850%\n",
            "p.yaml:4: monitoring.thresholds.cpu_load.above: '850%' is no share; write for example 85%, above 0% "
            "and up to 100%",
        ),
        (
            "monitoring:\n  metrics: [latency]\n  thresholds:\n    latency: {above: 500}\n",
            "p.yaml:4: monitoring.thresholds.latency.above: 500 has no unit; write 500s for seconds or 500ms for "
            "milliseconds",
        ),
        (
            "monitoring:\n  metrics: [cpu_load]\n  thresholds:\n    cpu_laod: 85%\n",
            "p.yaml:4: monitoring.thresholds.cpu_laod: unknown key (did you mean cpu_load?)",
        ),
        (
            "guardrails:\n  max_pool_unavailable: 130%\n",
            "p.yaml:2: guardrails.max_pool_unavailable: '130%' must be 1% to 100%, or 1 or more members",
        ),
        (
            "guardrails:\n  circuit_breaker:\n    failure: 3\n",
            "p.yaml:3: guardrails.circuit_breaker.failure: unknown key (did you mean failures?)",
        ),
        (
            "guardrails:\n  max_concurrent_runs: 0\n",
            "p.yaml:2: guardrails.max_concurrent_runs: input should be greater than or equal to 1, not 0",
        ),
        ("- 1\n", "p.yaml:1: must be a mapping with keys such as monitoring and recovery"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(text, said):
    assert problems(text) == [said]


def test_every_mistake_is_told_at_once_in_the_order_of_the_file():
    text = DESIGN.replace("interval: 2s", "interval: 2").replace("delay: 1s", "dely: 1s")
    assert [line.split(":")[1] for line in problems(text)] == ["2", "8"]


def test_a_key_given_twice_is_a_mistake():
    assert problems("monitoring: {}\nrecovery: {}\nmonitoring: {}\n") == [
        "p.yaml:3: monitoring: given twice, first in line 1"
    ]


@pytest.mark.parametrize("text", ["a: [", "x: !!python/object:os.system {}", "&a [*a]", "\x00", "a: &a {b: *a}"])
def test_what_is_not_plain_yaml_is_refused(text):
    assert "not YAML" in problems(text)[0]


def test_a_file_that_cannot_be_read_is_a_policy_error(tmp_path):
    with pytest.raises(PolicyError, match="No such file"):
        load_policy(tmp_path / "none.yaml")
    (tmp_path / "bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_policy(tmp_path / "bin")
    (tmp_path / "big").write_text("#" * (2 << 20))
    with pytest.raises(PolicyError, match="larger than"):
        load_policy(tmp_path / "big")


def test_the_heartbeat_follows_the_interval_unless_it_has_its_own():
    assert parse_policy("monitoring: {interval: 7s}").monitoring.heartbeat.interval == timedelta(seconds=7)
    own = parse_policy("monitoring: {interval: 7s, heartbeat: {interval: 3s}}")
    assert own.monitoring.heartbeat.interval == timedelta(seconds=3)


def test_then_replaces_the_rest_of_the_ladder():
    policy = parse_policy("recovery: {strategies: {oom: {action: safe_shutdown, then: [reboot_node]}}}")
    assert policy.recovery.strategy("oom").ladder("oom") == ("safe_shutdown", "reboot_node")


def test_backoff_doubles_up_to_its_end():
    policy = parse_policy("recovery: {strategies: {oom: {backoff: 5s}}}")
    backoff = policy.recovery.strategy("oom").backoff
    assert [backoff.pause(n).total_seconds() for n in (1, 2, 3)] == [5, 10, 20]
    assert backoff.pause(10_000) == backoff.max


def test_the_most_cautious_autonomy_wins():
    policy = parse_policy("recovery: {autonomy: {default: act, classes: {oom: ask}, pools: {chat: watch}}}")
    autonomy = policy.recovery.autonomy
    assert [autonomy.of(*which) for which in (("oom", "chat"), ("oom", None), ("crash", "x"))] == [
        "watch",
        "ask",
        "act",
    ]
    # What is said of a class or a pool is its own word, whatever the rest of the fleet does.
    autonomy = parse_policy("recovery: {autonomy: {default: watch, pools: {lab: act}}}").recovery.autonomy
    assert [autonomy.of("oom", pool) for pool in ("lab", "chat", None)] == ["act", "watch", "watch"]


def test_the_schema_knows_the_words_and_forbids_others():
    schema = Policy.model_json_schema()
    assert schema["additionalProperties"] is False
    text = json.dumps(schema)
    assert all(action in text for action in ACTIONS)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000)))
def test_durations_survive_being_written_and_read(value):
    whole = timedelta(milliseconds=round(value.total_seconds() * 1000))
    assert parse_duration(format_duration(whole)) == whole


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.text()), st.booleans()))
def test_a_duration_is_read_or_refused_and_nothing_else(value):
    try:
        assert parse_duration(value) >= timedelta(0)
    except ValueError as error:
        assert str(error)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    try:
        parse_policy(text)
    except PolicyError as error:
        assert error.problems


@pytest.mark.parametrize("action", ACTIONS)
def test_what_destroys_needs_its_evidence_first_and_a_restart_does_not(action):
    evidence = Policy().recovery.strategy("crash").evidence_for(action)
    assert evidence == ("required" if OURS.destructive(action) else "best_effort")


@pytest.mark.parametrize("word", ["required", "best_effort"])
def test_a_strategy_may_say_what_its_evidence_is_worth(word):
    strategy = parse_policy(f"recovery: {{strategies: {{oom: {{evidence: {word}}}}}}}").recovery.strategy("oom")
    assert {strategy.evidence_for(action) for action in ACTIONS} == {word}


def test_another_word_about_evidence_is_an_error_with_a_suggestion():
    with pytest.raises(PolicyError, match="best_effort"):
        parse_policy("recovery: {strategies: {oom: {evidence: best_efort}}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("retention: {incidents: 12h}", "must be 1d or more"),
        ("retention: {alerts: 0s}", "must be longer than nothing"),
        (
            "{retention: {incidents: 2d}, recovery: {gpu_memory: {within: 3d}}}",
            "retention.incidents is shorter than recovery.gpu_memory.within",
        ),
    ],
)
def test_a_retention_that_forgets_what_decisions_look_back_on(text: str, expected: str) -> None:
    with pytest.raises(PolicyError, match=expected):
        parse_policy(text)
