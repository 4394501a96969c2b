# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet's own word on codes, in the policy."""

from __future__ import annotations

import re

import pytest

from autoglm_recovery.knowledge.faults.catalogue.kinds import NAMED_KINDS
from autoglm_recovery.knowledge.faults.catalogue.numbers import lookup_xid
from autoglm_recovery.knowledge.gpu.judging.witnesses import check_overrides
from autoglm_recovery.policy import Policy, PolicyError, parse_policy


def test_without_any_the_catalogue_holds():
    assert Policy().faults.overrides() == {"xid": {}, "sxid": {}}


def test_overrides_are_what_the_catalogue_takes():
    policy = parse_policy("faults:\n  xid:\n    63: {action: reset_gpu}\n  sxid:\n    20034: {severity: critical}\n")
    own = policy.faults.overrides()
    assert own == {"xid": {63: {"action": "reset_gpu"}}, "sxid": {20034: {"severity": "critical"}}}
    assert lookup_xid(63, own).action == "reset_gpu"


@pytest.mark.parametrize(
    ("text", "line", "said", "suggested"),
    [
        ("faults:\n  xid:\n    63:\n      action: reset_gpuu\n", 4, "is not known", "did you mean reset_gpu?"),
        ("faults:\n  xid:\n    63:\n      failure_class: gpufault\n", 4, "is not known", "did you mean gpu_fault?"),
        ("faults:\n  xid:\n    63:\n      severity: fatal\n", 4, "is not known", "known: info, warning, critical"),
        ("faults:\n  xid:\n    63:\n      actoin: observe\n", 4, "unknown key", "did you mean action?"),
        ("faults:\n  xidd: {}\n", 2, "unknown key", "did you mean xid?"),
        ("faults:\n  xid:\n    79: {}\n", 3, "says nothing", None),
        ("faults:\n  xid:\n    '79': {action: observe}\n", 3, "is no code", None),
        ("faults:\n  xid:\n    yes: {action: observe}\n", 2, "is no code", None),
        ("faults:\n  xid:\n    fell_off: {action: observe}\n", 3, "is no code", None),
        ("faults:\n  xid:\n    0: {action: observe}\n", 3, "is no code", None),
        ("faults:\n  xid:\n    1000000: {action: observe}\n", 3, "is no code", None),
        ("faults:\n  xid:\n    999: {action: reset_gpu}\n", 1, "name its failure_class", None),
        ("faults:\n  xid:\n    79: {failure_class: unknown, action: reset_gpu}\n", 3, "never acted on", None),
        ("faults:\n  xid:\n    79: {action: observe}\n    79: {action: observe}\n", 4, "given twice", None),
    ],
)
def test_a_mistake_is_told_with_its_line(text, line, said, suggested):
    with pytest.raises(PolicyError) as error:
        parse_policy(text)
    problem = error.value.problems[0]
    assert said in problem.message
    assert problem.line == line
    assert problem.suggestion == suggested


@pytest.mark.parametrize("kind", sorted(NAMED_KINDS))
def test_each_kind_that_a_policy_may_name_is_one_that_modules_take(kind):
    policy = parse_policy(f"faults: {{kind: {{{kind}: {{failure_class: deadlock, action: observe}}}}}}")
    check_overrides(policy.faults.overrides())


def test_kinds_of_lines_are_overridden_as_codes_are():
    policy = parse_policy("faults: {kind: {rcu_stall: {failure_class: deadlock, action: reboot_node}}}")
    assert policy.faults.overrides()["kind"] == {"rcu_stall": {"failure_class": "deadlock", "action": "reboot_node"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faults: {kind: {rcu_stal: {action: observe}}}", "did you mean rcu_stall?"),
        ("faults: {kind: {ib_heath: {action: observe}}}", "did you mean ib_health?"),
        ("faults: {kind: {mce: {action: reboot_node}}}", "name its failure_class"),
    ],
)
def test_a_kind_that_is_none_or_has_no_class_is_an_error(text, said):
    with pytest.raises(PolicyError, match=re.escape(said)):
        parse_policy(text)
