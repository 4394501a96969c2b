# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops the next step, and what each rule says about it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from autoglm_recovery.knowledge.faults.classes import ACTIONS
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.receiver.decide.breaker import Circuit, read_breaker
from autoglm_recovery.receiver.decide.decide import decide, examine
from autoglm_recovery.receiver.decide.gather import _rebooting_beside
from autoglm_recovery.receiver.decide.ladder import next_step
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.values.kept_out import LONGEST_PAUSE_S, PATIENCE_S, KeptOut
from autoglm_recovery.receiver.values.model import Attempt, FaultMode, RunState, Target, Verb
from autoglm_recovery.receiver.values.situation import (
    CapacityGroup,
    Explanation,
    NotLaunched,
    PastRun,
    Silence,
    Situation,
)

NOW = 1_800_000_000.0
GPU = "GPU-11111111-2222-3333-4444-555555555555"
FIRST = Situation(
    failure_class="crash",
    mode=FaultMode.transient,
    target=Target("node-a", "llama", "chat"),
    opened_at=NOW,
    now=NOW,
    playbooks=frozenset(ACTIONS),
    pools=frozenset({"chat"}),
)
DESTRUCTIVE = replace(FIRST, failure_class="gpu_lost")


def failed(ago: float) -> PastRun:
    """Return a run that failed so many seconds ago."""
    return PastRun(failed=True, pending=False, at=NOW - ago)


def test_a_deeper_failure_of_the_host_holds():
    decision = decide(Policy(), replace(FIRST, explained_by=Explanation(7, "gpu_lost", "node-a")))
    assert (decision.verb, decision.reason) == (Verb.hold, "explained by incident 7 (gpu_lost of node-a)")


def test_no_person_is_called_about_an_effect_while_its_cause_is_dealt_with():
    ended = replace(FIRST, failure_class="unknown")
    assert decide(Policy(), ended).verb is Verb.escalate
    assert decide(Policy(), replace(ended, explained_by=Explanation(7, "gpu_lost", "node-a"))).verb is Verb.hold


def test_nothing_is_done_to_what_has_left_the_inventory():
    decision = decide(Policy(), replace(FIRST, in_inventory=False, approved=True))
    assert decision.verb is Verb.escalate
    assert "service llama of host node-a is not in the inventory any more" in decision.reason


def test_a_host_that_refuses_run_after_run_needs_a_person_who_is_told_what_it_says():
    said = "3 runs in a row were refused by node-a: a newer run has been here"
    decision = decide(Policy(), replace(FIRST, fenced=said, approved=True))
    assert (decision.verb, decision.reason) == (Verb.escalate, said)


def test_an_action_that_cannot_be_launched_is_a_persons_and_no_reason_for_another():
    why = NotLaunched("restart_process", "AWX has no such template")
    decision = decide(Policy(), replace(FIRST, not_launched=why, approved=True))
    said = "restart_process was not launched, and nothing was done: AWX has no such template"
    assert (decision.verb, decision.action, decision.reason) == (Verb.escalate, "restart_process", said)
    # A deeper failure that has come since has an action of its own.
    assert decide(Policy(), replace(FIRST, not_launched=replace(why, action="reset_gpu"))).verb is not Verb.escalate


def kept_out(*, times: int = 1, since: float = 60.0, ago: float = 0.0) -> KeptOut:
    """Return what is known of a host that ann holds, whose first refusal is so many seconds ago, and whose last."""
    return KeptOut("node-a", "ann on ops-1", times, NOW - since, NOW - ago)


def test_whoever_is_at_work_on_the_host_is_waited_for_and_named():
    decision = decide(Policy(), replace(FIRST, kept_out=kept_out(), approved=True))
    assert (decision.verb, decision.not_before, decision.queued) == (Verb.wait, NOW + 15, False)
    assert decision.reason == "node-a is held by ann on ops-1, tried again in 15 s"


def test_a_host_that_was_held_is_tried_again_when_the_pause_is_over():
    policy = parse_policy("recovery: {strategies: {crash: {delay: 0s}}}")
    assert decide(policy, replace(FIRST, kept_out=kept_out(ago=15.0))).verb is Verb.run


def test_the_pauses_grow_up_to_the_longest():
    assert [kept_out(times=times).pause_s for times in (1, 2, 3)] == [15, 30, 60]
    assert kept_out(times=1000).pause_s == LONGEST_PAUSE_S


def test_a_host_that_is_held_for_too_long_is_a_persons():
    decision = decide(Policy(), replace(FIRST, kept_out=kept_out(times=12, since=PATIENCE_S), approved=True))
    assert decision.verb is Verb.escalate
    assert decision.reason == (
        "node-a is held by ann on ops-1, and nothing was done: 12 runs were kept out in 60 minutes; see who is at work"
        " there"
    )


def test_a_pause_stops_everything_even_what_was_approved():
    decision = decide(Policy(), replace(FIRST, paused="all actions are paused by me", approved=True))
    assert (decision.verb, decision.queued) == (Verb.wait, True)
    assert "all actions are paused by me" in decision.reason


# --- circuit breaker


@pytest.mark.parametrize(
    ("runs", "circuit"),
    [
        ((), Circuit.closed),
        ([failed(60)] * 4, Circuit.closed),
        ([failed(60)] * 5, Circuit.open),
        ([failed(60)] * 4 + [PastRun(False, False, NOW - 70)] + [failed(80)] * 4, Circuit.closed),
        ([failed(901)] * 5, Circuit.half_open),
        ([failed(3601)] * 5, Circuit.closed),
        ([PastRun(False, True, 0.0)] + [failed(60)] * 5, Circuit.open),
    ],
)
def test_how_a_breaker_stands(runs, circuit):
    assert read_breaker(Policy().guardrails.circuit_breaker, runs, NOW).circuit is circuit


def test_an_open_breaker_waits_and_says_until_when():
    decision = decide(Policy(), replace(FIRST, action_runs=(failed(60),) * 5))
    assert (decision.verb, decision.not_before) == (Verb.wait, NOW - 60 + 900)
    assert "the circuit breaker of restart_process is open until" in decision.reason
    pool = decide(Policy(), replace(FIRST, pool_runs=(failed(60),) * 5))
    assert "the circuit breaker of pool chat is open" in pool.reason


def test_a_half_open_breaker_lets_one_trial_through():
    half = replace(FIRST, action_runs=(failed(1000),) * 5)
    assert decide(Policy(), half).verb is Verb.run
    words = {f.rule: f.stands for f in examine(Policy(), half, next_step(Policy(), half))}
    assert "this run is the one trial" in words["circuit breaker of restart_process"]
    trial = replace(half, action_runs=(PastRun(False, True, 0.0), *half.action_runs))
    assert "its one trial is under way" in decide(Policy(), trial).reason


# --- blast radius


def test_never_more_of_a_pool_out_than_the_policy_allows():
    capacity_groups = (CapacityGroup("pool chat", 10, 5, 1), CapacityGroup("the fleet", 100, 5, 1))
    decision = decide(Policy(), replace(DESTRUCTIVE, capacity_groups=capacity_groups))
    assert (decision.verb, decision.queued) == (Verb.wait, True)
    said = "in pool chat, 6 of 10 would be out of service with this action; the guardrail allows 50%, which is 5"
    assert said in decision.reason
    fewer = (CapacityGroup("pool chat", 10, 4, 1), CapacityGroup("the fleet", 100, 5, 1))
    assert decide(Policy(), replace(DESTRUCTIVE, capacity_groups=fewer)).verb is Verb.run


def test_what_is_down_may_be_restarted_whatever_else_is_down():
    capacity_groups = (CapacityGroup("pool chat", 2, 1, 1), CapacityGroup("the fleet", 2, 1, 1))
    assert decide(Policy(), replace(FIRST, capacity_groups=capacity_groups)).verb is Verb.run
    # What still serves is not taken out as well.
    serving = replace(FIRST, failure_class="gpu_comm", capacity_groups=capacity_groups)
    assert decide(Policy(), serving).verb is Verb.wait


def test_a_person_is_called_when_waiting_for_others_was_in_vain():
    capacity_groups = (CapacityGroup("the fleet", 10, 9, 1),)
    waited = replace(DESTRUCTIVE, capacity_groups=capacity_groups, opened_at=NOW - 1800)
    decision = decide(Policy(), waited)
    assert decision.verb is Verb.escalate
    assert decision.reason.startswith("waited 30m in vain")


# --- maintenance and silences

WINDOW = """
guardrails:
  maintenance_windows:
    - name: power work
      hosts: [node-a]
      start: 2027-01-15T07:00:00Z
      end: 2027-01-15T09:00:00Z
"""


def test_nothing_runs_in_a_maintenance_window_until_it_ends():
    decision = decide(parse_policy(WINDOW), FIRST)
    assert (decision.verb, decision.not_before) == (Verb.wait, NOW + 3600)
    assert "maintenance window 'power work' until 2027-01-15 09:00:00 UTC" in decision.reason
    assert decide(parse_policy(WINDOW), replace(FIRST, target=Target("node-b"))).verb is Verb.run
    assert decide(parse_policy(WINDOW), replace(FIRST, now=NOW + 3600)).verb is Verb.run


SILENCES = "guardrails: {silences: {alertmanager: 'http://am:9093', when_unreachable: %s}}"


def test_what_is_silenced_is_left_alone_and_asked_again_soon():
    silenced = replace(FIRST, silence=Silence("1", "me", "swapping the card", NOW + 3600))
    decision = decide(parse_policy(SILENCES % "act"), silenced)
    assert (decision.verb, decision.not_before) == (Verb.wait, NOW + 15)
    assert "by me: swapping the card" in decision.reason


def test_an_alertmanager_that_cannot_be_asked():
    unknown = replace(FIRST, silences_unknown=True)
    assert decide(parse_policy(SILENCES % "act"), unknown).verb is Verb.run
    assert decide(parse_policy(SILENCES % "hold"), unknown).verb is Verb.wait


# --- memory of a GPU, modes, capacity


def test_a_gpu_that_was_reset_twice_goes_to_the_next_rung_although_the_incident_is_new():
    fresh = replace(FIRST, failure_class="gpu_fault", target=Target("node-a", gpu=GPU))
    assert decide(Policy(), replace(fresh, gpu_actions={"reset_gpu": 1})).action == "reset_gpu"
    decision = decide(Policy(), replace(fresh, gpu_actions={"reset_gpu": 2}))
    assert decision.action == "reboot_node"
    assert f"reset_gpu ran 2 times on {GPU} within 1d" in decision.reason


def test_one_host_of_a_pool_is_rebooted_at_a_time():
    fault = replace(FIRST, failure_class="gpu_fault", target=Target("node-a", gpu=GPU), gpu_actions={"reset_gpu": 2})
    assert decide(Policy(), fault).verb is Verb.run
    decision = decide(Policy(), replace(fault, rebooting_beside="node-b"))
    assert (decision.verb, decision.action) == (Verb.wait, "reboot_node")
    assert "node-b of the same pool is being rebooted" in decision.reason
    assert decide(Policy(), replace(FIRST, rebooting_beside="node-b")).verb is Verb.run, "that is no reboot"


@pytest.mark.parametrize(
    ("run", "beside"),
    [
        (("node-b", "reboot_node"), "node-b"),
        (("node-a", "reboot_node"), None),  # its own
        (("node-b", "reset_gpu"), None),
        (("node-c", "reboot_node"), None),  # of another pool
        (("gone", "reboot_node"), None),
    ],
)
def test_a_reboot_counts_for_every_host_that_shares_a_pool(run: tuple[str, str], beside: str | None):
    pools = {"node-a": ("chat", "code"), "node-b": ("code",), "node-c": ("mail",)}
    fleet = Fleet(
        {name: Host(name, services=tuple(InferenceService(pool, pool) for pool in has)) for name, has in pools.items()}
    )
    going_on = [SimpleNamespace(host=run[0], action=run[1])]
    for target in (Target("node-a"), Target("node-a", "chat", "chat")):
        assert _rebooting_beside(fleet, target, going_on) == beside


def test_nothing_destructive_in_a_partition():
    decision = decide(Policy(), replace(FIRST, failure_class="node_down", mode=FaultMode.partitioned))
    assert decision.verb is Verb.escalate
    assert "in a partition nobody knows who is alive" in decision.reason
    election = decide(Policy(), replace(FIRST, failure_class="partition", mode=FaultMode.partitioned))
    assert election.action == "elect_primary"


def test_runs_in_one_pool_may_be_limited():
    policy = parse_policy("guardrails: {max_concurrent_runs_per_pool: 1}")
    assert decide(policy, FIRST).verb is Verb.run
    assert "1 runs are going on in pool chat" in decide(policy, replace(FIRST, running=1, running_in_pool=1)).reason


def test_jitter_parts_what_failed_together_and_is_no_dice():
    policy = parse_policy("recovery: {strategies: {crash: {retries: 1, backoff: {base: 100s, jitter: 0.5}}}}")
    again = [
        replace(FIRST, incident_id=n, attempts=(Attempt("restart_process", RunState.failed, NOW),)) for n in range(50)
    ]
    moments = [decide(policy, each).not_before for each in again]
    assert moments == [decide(policy, each).not_before for each in again]
    assert len(set(moments)) == 50
    assert all(NOW + 100 <= moment <= NOW + 150 for moment in moments)


def test_every_rule_is_told_also_those_that_do_not_object():
    told = [finding.rule for finding in examine(Policy(), FIRST, next_step(Policy(), FIRST))]
    assert told[:8] == ["explained", "target", "fence", "launch", "host lock", "autonomy", "actions per host", "pause"]
    assert {"maintenance", "silences", "one run per host", "runs in the fleet"} <= set(told)
