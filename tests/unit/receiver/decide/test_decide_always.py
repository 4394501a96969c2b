# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every decision, whatever the policy and the situation."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.faults.classes import (
    ACTIONS,
    FAILURE_CLASSES,
    GPU_ACTIONS,
    OUT_OF_SERVICE,
    destroys,
)
from autoglm_recovery.policy import Policy
from autoglm_recovery.policy.guardrails import allowed
from autoglm_recovery.policy.repertoire import OURS
from autoglm_recovery.receiver.decide.breaker import Circuit, read_breaker
from autoglm_recovery.receiver.decide.decide import decide
from autoglm_recovery.receiver.values.model import Attempt, FaultMode, RunState, Target, Verb
from autoglm_recovery.receiver.values.situation import CapacityGroup, Explanation, PastRun, Silence, Situation

_NOW = 1_800_000_000.0
# Around the moment of the decision, where the rules have their edges, and far away from it.
_moments = st.integers(-7200, 7200).map(lambda s: _NOW + s) | st.floats(0, 2e9)
_counts = st.integers(0, 9)

_windows = st.fixed_dictionaries(
    {
        "name": st.just("w"),
        "start": st.just("2027-01-15T07:00:00Z"),
        "end": st.just("2027-01-15T09:00:00Z"),
        "hosts": st.sampled_from([[], ["node-a"], ["node-b"]]),
    }
)
_strategies = st.fixed_dictionaries(
    {
        "retries": st.integers(0, 3),
        "delay": st.integers(0, 100).map("{}s".format),
        "cooldown": st.integers(0, 100).map("{}s".format),
    }
)
_guardrails = st.fixed_dictionaries(
    {
        "max_concurrent_runs": st.integers(1, 6),
        "max_concurrent_runs_per_pool": st.none() | st.integers(1, 4),
        "max_actions_per_host_per_hour": st.integers(1, 8),
        "max_pool_unavailable": st.integers(1, 100).map("{}%".format),
        "max_fleet_unavailable": st.integers(1, 100).map("{}%".format),
        "circuit_breaker": st.fixed_dictionaries({"failures": st.integers(1, 4)}),
        "maintenance_windows": st.lists(_windows, max_size=2),
        "silences": st.none()
        | st.fixed_dictionaries(
            {"alertmanager": st.just("http://am:9093"), "when_unreachable": st.sampled_from(["act", "hold"])}
        ),
    }
)
_policies = st.builds(
    lambda autonomy, strategies, unknown, guardrails, flapping: Policy.model_validate(
        {
            "recovery": {
                "autonomy": autonomy,
                "strategies": {**strategies, **unknown},
                "flapping": flapping,
            },
            "guardrails": guardrails,
        }
    ),
    st.sampled_from(["act", "ask", "watch"]),
    st.dictionaries(st.sampled_from([c for c in FAILURE_CLASSES if c != "unknown"]), _strategies, max_size=6),
    st.sampled_from([{}, {"unknown": {"action": "safe_shutdown"}}, {"unknown": {"action": "restart_process"}}]),
    _guardrails,
    st.sampled_from([False, {"times": 3, "person_at": 5}]),
)
_past_runs = st.lists(st.builds(PastRun, failed=st.booleans(), pending=st.booleans(), at=_moments), max_size=8).map(
    lambda runs: tuple(sorted(runs, key=lambda run: -run.at))
)
_groups = st.tuples(
    st.builds(CapacityGroup, st.just("pool chat"), st.integers(1, 9), _counts, st.integers(0, 2)),
    st.builds(CapacityGroup, st.just("the fleet"), st.integers(1, 9), _counts, st.just(1)),
)
_situations = st.builds(
    Situation,
    failure_class=st.sampled_from(FAILURE_CLASSES),
    mode=st.sampled_from(FaultMode),
    target=st.sampled_from([Target("node-a"), Target("node-a", "llama", "chat"), Target("node-a", gpu="GPU-1")]),
    opened_at=_moments,
    now=st.just(_NOW),
    # Mostly as in the field: all of them, or no more than the lowest rungs.
    playbooks=st.sampled_from(
        [
            frozenset(ACTIONS),
            frozenset({"restart_process"}),
            frozenset({"restart_process", "shed_load", "retry_with_backoff"}),
            frozenset({"reset_gpu", "quarantine_node"}),
        ]
    )
    | st.frozensets(st.sampled_from(ACTIONS)),
    incident_id=st.integers(1, 10**9),
    in_inventory=st.sampled_from([True, True, True, False]),
    attempts=st.lists(
        st.builds(
            Attempt,
            action=st.sampled_from(ACTIONS),
            state=st.sampled_from([RunState.failed, RunState.lost, RunState.unverified]),
            ended_at=_moments,
        ),
        max_size=8,
    ).map(tuple),
    earlier_actions=st.frozensets(st.sampled_from(ACTIONS), max_size=2),
    gpu_actions=st.none() | st.dictionaries(st.sampled_from(ACTIONS), st.integers(0, 4), max_size=3),
    approved=st.booleans(),
    explained_by=st.none() | st.just(Explanation(7, "node_down", "node-a")),
    paused=st.none() | st.just("paused by me"),
    fired=_counts,
    silence=st.none() | st.just(Silence("1", "me", "", _NOW + 60)),
    silences_unknown=st.booleans(),
    last_action_on_target_at=st.none() | _moments,
    action_runs=_past_runs,
    pool_runs=_past_runs,
    capacity_groups=_groups,
    busy_with=st.none() | st.integers(1, 9),
    rebooting_beside=st.none() | st.just("node-b"),
    running=_counts,
    running_in_pool=_counts,
    host_actions_last_hour=_counts,
)
# So that most of what can stop a run is out of the way, and runs are decided at all.
_calm = _situations.map(
    lambda s: replace(s, explained_by=None, paused=None, silence=None, busy_with=None, running=0, fired=1)
)


@given(_policies, _situations | _calm)
def test_every_decision_has_a_reason_and_is_the_same_again(policy, situation):
    decision = decide(policy, situation)
    assert decision.reason
    assert decide(policy, situation) == decision


@given(_policies, _situations | _calm)
def test_what_waits_has_a_time_or_waits_for_others(policy, situation):
    decision = decide(policy, situation)
    if decision.verb is Verb.wait:
        assert decision.queued or (decision.not_before is not None and decision.not_before > situation.now)


@given(_policies, _calm)
def test_a_run_is_on_the_ladder_and_installed_and_never_too_often(policy, situation):
    decision = decide(policy, situation)
    if decision.verb is not Verb.run:
        return
    strategy = policy.recovery.strategy(situation.failure_class)
    ladder = strategy.ladder(situation.failure_class)
    assert decision.action in ladder
    assert decision.action in situation.playbooks
    above = ladder[ladder.index(decision.action) + 1 :]
    # What is installed nowhere above is no reason to give up, if the action destroys nothing.
    repeatable = not OURS.destructive(decision.action) and above and not situation.playbooks & set(above)
    tried = sum(attempt.action == decision.action for attempt in situation.attempts)
    assert repeatable or tried <= strategy.retries
    if tried or (situation.attempts == () and decision.action in situation.earlier_actions):
        last = situation.attempts[-1].ended_at if situation.attempts else situation.last_action_on_target_at
        climbed = situation.attempts and situation.attempts[-1].action != decision.action
        assert climbed or last is None or situation.now >= last + strategy.backoff.base.total_seconds()


@given(_policies, _calm)
def test_a_higher_rung_comes_only_after_the_lower_ones_failed(policy, situation):
    decision = decide(policy, situation)
    if decision.verb is not Verb.run:
        return
    strategy = policy.recovery.strategy(situation.failure_class)
    ladder = strategy.ladder(situation.failure_class)
    for rung, lower in enumerate(ladder[: ladder.index(decision.action)]):
        here = sum(attempt.action == lower for attempt in situation.attempts) > strategy.retries
        before = any(earlier in ladder[rung:] for earlier in situation.earlier_actions)
        worn = (
            lower in GPU_ACTIONS and (situation.gpu_actions or {}).get(lower, 0) >= policy.recovery.gpu_memory.attempts
        )
        missing = lower not in situation.playbooks and destroys(decision.action) <= destroys(lower)
        assert here or before or worn or missing


@given(_calm, st.sampled_from(["crash", "oom", "unresponsive", "deadlock"]))
def test_only_a_guardrail_ends_at_a_person_where_a_restart_is_all_that_is_installed(situation, failure_class):
    situation = replace(
        situation,
        failure_class=failure_class,
        mode=FaultMode.persistent,
        in_inventory=True,
        playbooks=frozenset({"restart_process"}),
        host_actions_last_hour=5,
    )
    decision = decide(Policy(), situation)
    if decision.verb is Verb.escalate:
        assert decision.reason.startswith("waited 30m in vain: ")
    else:
        assert decision.action == "restart_process"


@given(_policies, _situations | _calm)
def test_never_without_leave(policy, situation):
    decision = decide(policy, situation)
    if decision.verb is Verb.run:
        assert situation.approved or policy.recovery.autonomy.default == "act"
        assert situation.paused is None
        assert situation.in_inventory
        assert situation.approved or situation.explained_by is None


@given(_policies, _calm)
def test_never_destructive_on_what_nobody_has_named_or_in_a_partition(policy, situation):
    decision = decide(policy, situation)
    if decision.verb is Verb.run and OURS.destructive(decision.action):
        assert situation.mode is not FaultMode.partitioned
        asked_for = policy.recovery.strategy("unknown").action
        assert situation.failure_class != "unknown" or (decision.action == asked_for == "safe_shutdown")


@given(_policies, _situations | _calm)
def test_never_above_a_guardrail(policy, situation):
    decision = decide(policy, situation)
    if decision.verb is not Verb.run:
        return
    rails = policy.guardrails
    assert situation.busy_with is None
    assert situation.rebooting_beside is None or decision.action != "reboot_node"
    assert situation.running < rails.max_concurrent_runs
    assert situation.host_actions_last_hour < rails.max_actions_per_host_per_hour
    if rails.max_concurrent_runs_per_pool is not None and situation.target.pool:
        assert situation.running_in_pool < rails.max_concurrent_runs_per_pool
    assert not any(w.covers("node-a", (), ()) and w.until(situation.now) for w in rails.maintenance_windows)
    assert rails.silences is None or situation.silence is None
    assert read_breaker(rails.circuit_breaker, situation.action_runs, situation.now).circuit is not Circuit.open
    for crowd, share in zip(
        situation.capacity_groups, (rails.max_pool_unavailable, rails.max_fleet_unavailable), strict=True
    ):
        takes_nothing_away = situation.failure_class in OUT_OF_SERVICE and not OURS.destructive(decision.action)
        assert takes_nothing_away or crowd.others_out + crowd.affected <= allowed(share, crowd.size)


_obstacles = st.sampled_from(
    [
        {"paused": "paused by me"},
        {"in_inventory": False},
        {"silence": Silence("1", "me", "", _NOW + 60)},
        {"explained_by": Explanation(7, "node_down", "node-a")},
        {"busy_with": 3},
        {"running": 10},
        {"host_actions_last_hour": 10},
        {"action_runs": (PastRun(True, False, _NOW - 1),) * 5},
        {"capacity_groups": (CapacityGroup("pool chat", 9, 9, 1), CapacityGroup("the fleet", 9, 9, 1))},
        {"fired": 9},
    ]
)
_tighter = st.sampled_from(
    [
        {"maintenance_windows": [{"name": "w", "start": "2027-01-15T07:00:00Z", "end": "2027-01-15T09:00:00Z"}]},
        {"max_concurrent_runs": 1},
        {"max_actions_per_host_per_hour": 1},
        {"max_pool_unavailable": "1%", "max_fleet_unavailable": "1%"},
        {"circuit_breaker": {"failures": 1}},
    ]
)


@given(_policies, _situations | _calm, _obstacles)
def test_one_more_obstacle_never_makes_a_run_of_what_was_none(policy, situation, obstacle):
    if decide(policy, situation).verb is not Verb.run:
        assert decide(policy, replace(situation, **obstacle)).verb is not Verb.run


@given(_policies, _situations | _calm, _tighter)
def test_one_more_guardrail_never_makes_a_run_of_what_was_none(policy, situation, tighter):
    rails = policy.guardrails.model_dump(by_alias=True)
    rails["silences"] = policy.guardrails.silences
    kept = {name: value for name, value in rails.items() if name != "maintenance_windows"}
    windows = [*policy.guardrails.maintenance_windows, *tighter.get("maintenance_windows", ())]
    tightened = {**kept, **tighter, "maintenance_windows": windows}
    narrower = Policy.model_validate(
        {"recovery": policy.recovery, "guardrails": {k: v for k, v in tightened.items() if k != "patience"}}
    )
    if decide(policy, situation).verb is not Verb.run:
        assert decide(narrower, situation).verb is not Verb.run
