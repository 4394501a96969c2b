# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about an incident now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoglm_recovery.knowledge.faults.classes import ACTIONS, DEFAULT_LADDERS
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.receiver.decide.decide import decide
from autoglm_recovery.receiver.decide.ladder import rungs
from autoglm_recovery.receiver.values.model import Attempt, FaultMode, RunState, Target, Verb
from autoglm_recovery.receiver.values.situation import Situation

ALL = frozenset(ACTIONS)
NOW = 1_000_000.0
FIRST = Situation(
    failure_class="oom",
    mode=FaultMode.transient,
    target=Target("node-a", "llama", "chat"),
    opened_at=NOW,
    now=NOW,
    playbooks=ALL,
)


def failed(action: str, ago: float = 0.0) -> Attempt:
    """Return a run that failed so many seconds ago."""
    return Attempt(action, RunState.failed, NOW - ago)


def test_the_first_rung_comes_first():
    decision = decide(Policy(), FIRST)
    assert (decision.verb, decision.action, decision.attempt) == (Verb.run, "restart_process", 1)
    assert decision.reason == "restart_process, rung 1 of 2 for oom: first time within the window"


def test_a_delay_is_waited_for():
    policy = parse_policy("recovery: {strategies: {oom: {delay: 1s}}}")
    decision = decide(policy, FIRST)
    assert (decision.verb, decision.not_before) == (Verb.wait, NOW + 1)
    assert decide(policy, replace(FIRST, now=NOW + 1)).verb is Verb.run


def test_a_failed_rung_leads_to_the_next():
    decision = decide(Policy(), replace(FIRST, attempts=(failed("restart_process"),)))
    assert (decision.verb, decision.action, decision.attempt) == (Verb.run, "failover_and_rebuild", 2)


def test_retries_come_before_the_next_rung_each_after_a_longer_pause():
    policy = parse_policy("recovery: {strategies: {oom: {retries: 2, backoff: {base: 5s, jitter: 0}}}}")
    once = replace(FIRST, attempts=(failed("restart_process"),))
    assert decide(policy, once).not_before == NOW + 5
    twice = replace(FIRST, attempts=(failed("restart_process", 60), failed("restart_process")))
    assert decide(policy, twice).not_before == NOW + 10
    assert decide(policy, replace(twice, now=NOW + 10)).action == "restart_process"
    thrice = replace(FIRST, attempts=(failed("restart_process"),) * 3)
    assert decide(policy, thrice).action == "failover_and_rebuild"


def test_a_failure_that_came_back_begins_at_the_next_rung():
    back = replace(FIRST, mode=FaultMode.persistent, earlier_actions=frozenset({"restart_process"}))
    decision = decide(Policy(), back)
    assert decision.action == "failover_and_rebuild"
    assert "came back: restart_process ran for an earlier incident" in decision.reason


def test_the_end_of_the_ladder_is_a_person():
    both = replace(FIRST, attempts=(failed("restart_process"), failed("failover_and_rebuild")))
    decision = decide(Policy(), both)
    assert decision.verb is Verb.escalate
    assert decision.reason == "the ladder has ended: restart_process failed, failover_and_rebuild failed"


RESTART = frozenset({"restart_process"})


def test_a_rung_without_a_playbook_is_passed_over_if_the_next_destroys_no_more():
    decision = decide(Policy(), replace(FIRST, failure_class="deadlock", playbooks=RESTART))
    assert (decision.verb, decision.action) == (Verb.run, "restart_process")
    assert "passing over clear_queue_and_reset, for which no playbook is installed" in decision.reason


@pytest.mark.parametrize(
    ("failure_class", "missing", "above"),
    [
        ("gpu_fault", "reset_gpu", "reboot_node"),
        ("not_ready", "retry_with_backoff", "restart_process"),
        ("gpu_comm", "switch_comm_path", "failover_and_rebuild"),
        ("thermal", "shed_load", "quarantine_node"),
        ("node_down", "failover_and_rebuild", "quarantine_node"),
    ],
)
def test_a_rung_without_a_playbook_is_a_person_if_the_next_destroys_more(failure_class, missing, above):
    decision = decide(Policy(), replace(FIRST, failure_class=failure_class, playbooks=ALL - {missing}))
    assert (decision.verb, decision.action) == (Verb.escalate, above)
    assert decision.reason == (
        f"the next action is {missing}, for which no playbook is installed, and {above} above it destroys more"
    )


def test_what_is_passed_over_is_measured_by_the_mildest_of_it():
    policy = parse_policy("recovery: {strategies: {oom: {then: [reboot_node, quarantine_node]}}}")
    decision = decide(policy, replace(FIRST, playbooks=frozenset({"quarantine_node"})))
    assert decision.verb is Verb.escalate


def test_no_playbook_at_all_is_a_person():
    decision = decide(Policy(), replace(FIRST, playbooks=frozenset()))
    assert decision.verb is Verb.escalate
    assert decision.reason == "the next action is restart_process, for which no playbook is installed"


def test_the_last_rung_that_is_installed_repeats_after_a_longer_and_longer_pause():
    policy = parse_policy("recovery: {strategies: {oom: {backoff: {base: 10s, jitter: 0}}}}")
    once = replace(FIRST, playbooks=RESTART, attempts=(failed("restart_process"),))
    decision = decide(policy, once)
    assert (decision.verb, decision.not_before) == (Verb.wait, NOW + 10)
    twice = replace(once, attempts=(failed("restart_process", 60), failed("restart_process")))
    assert decide(policy, twice).not_before == NOW + 20
    decision = decide(policy, replace(twice, now=NOW + 20))
    assert (decision.verb, decision.action, decision.attempt) == (Verb.run, "restart_process", 3)
    assert decision.reason == (
        "restart_process once more, rung 1 of 2 for oom: failover_and_rebuild, for which no playbook is installed; "
        "restart_process failed, restart_process failed"
    )


def test_a_second_crash_within_the_window_is_restarted_again():
    policy = parse_policy("recovery: {strategies: {oom: {backoff: {base: 10s, jitter: 0}}}}")
    back = replace(
        FIRST,
        playbooks=RESTART,
        earlier_actions=RESTART,
        earlier_counts={"restart_process": 3},
        last_action_on_target_at=NOW - 39,
    )
    assert decide(policy, back).not_before == NOW + 1
    decision = decide(policy, replace(back, now=NOW + 1))
    assert (decision.verb, decision.action) == (Verb.run, "restart_process")
    assert "restart_process ran for earlier incidents 3 times" in decision.reason


def test_what_destroys_something_is_not_repeated():
    attempts = (failed("failover_and_rebuild"), failed("reboot_node"))
    known = replace(FIRST, failure_class="gpu_lost", playbooks=frozenset({"reboot_node"}), attempts=attempts)
    decision = decide(Policy(), known)
    assert decision.verb is Verb.escalate
    assert decision.reason.startswith("the next action is quarantine_node, for which no playbook is installed; ")


def test_a_ladder_that_the_policy_ends_is_not_climbed_on():
    policy = parse_policy("recovery: {strategies: {oom: {then: []}}}")
    decision = decide(policy, replace(FIRST, playbooks=RESTART, attempts=(failed("restart_process"),)))
    assert (decision.verb, decision.reason) == (Verb.escalate, "the ladder has ended: restart_process failed")


def test_the_end_of_a_ladder_whose_lower_rung_is_missing_is_its_end():
    policy = parse_policy("recovery: {strategies: {deadlock: {then: [restart_process]}}}")
    known = replace(FIRST, failure_class="deadlock", playbooks=RESTART, attempts=(failed("restart_process"),))
    assert decide(policy, known).reason == "the ladder has ended: restart_process failed"


def test_rungs_say_what_becomes_of_those_without_a_playbook():
    ladders = {name: dict(rungs(ladder, RESTART)) for name, ladder in DEFAULT_LADDERS.items()}
    assert ladders["deadlock"] == {
        "clear_queue_and_reset": "no playbook installed: passed over, restart_process destroys no more",
        "restart_process": "repeated after that, no higher one is installed",
        "failover_and_rebuild": "no playbook installed: restart_process is repeated",
    }
    assert ladders["not_ready"] == {
        "retry_with_backoff": "no playbook installed: a person is called, because restart_process destroys more",
        "restart_process": "",
    }
    assert set(ladders["gpu_fault"].values()) == {"no playbook installed: a person is called"}


def test_nothing_is_done_about_what_nobody_has_named():
    assert decide(Policy(), replace(FIRST, failure_class="unknown")).verb is Verb.escalate


def test_unknown_may_be_shut_down_only_if_the_policy_says_so():
    policy = parse_policy("recovery: {strategies: {unknown: {action: safe_shutdown}}}")
    assert decide(policy, replace(FIRST, failure_class="unknown")).action == "safe_shutdown"


@pytest.mark.parametrize(("autonomy", "verb"), [("watch", Verb.hold), ("ask", Verb.hold), ("act", Verb.run)])
def test_autonomy(autonomy, verb):
    policy = parse_policy(f"recovery: {{autonomy: {autonomy}}}")
    assert decide(policy, FIRST).verb is verb
    assert decide(policy, replace(FIRST, approved=True)).verb is Verb.run


def test_a_busy_host_a_full_fleet_and_a_spent_budget():
    assert "incident 7 has a run on node-a" in decide(Policy(), replace(FIRST, busy_with=7)).reason
    assert decide(Policy(), replace(FIRST, busy_with=7)).verb is Verb.wait
    assert decide(Policy(), replace(FIRST, running=4)).verb is Verb.wait
    spent = decide(Policy(), replace(FIRST, host_actions_last_hour=6))
    assert spent.verb is Verb.escalate
    assert "6 actions ran on node-a" in spent.reason


def test_a_cooldown_of_the_target_is_waited_for():
    policy = parse_policy("recovery: {strategies: {oom: {cooldown: 1m}}}")
    decision = decide(policy, replace(FIRST, last_action_on_target_at=NOW - 20))
    assert (decision.verb, decision.not_before) == (Verb.wait, NOW + 40)
