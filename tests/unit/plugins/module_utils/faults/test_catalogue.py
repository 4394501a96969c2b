# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Xid and SXid numbers mean to us."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.data import NVLINK5, XIDS
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.numbers import (
    FAULT_ACTIONS,
    KNOWN_XIDS,
    RULES,
    SEVERITIES,
    lookup_sxid,
    lookup_xid,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.classes import FAILURE_CLASSES
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tooling.xids import PAGE, TARGET, read_facts, render, render_page


def test_the_targets_part_is_generated_from_facts_and_decisions():
    assert TARGET.read_text("utf-8") == render(read_facts()), "run: python -m tests.support.tooling.xids"


def test_the_table_in_the_documentation_is_generated_too():
    page = PAGE.read_text("utf-8")
    assert page == render_page(page, read_facts()), "run: python -m tests.support.tooling.xids"


def test_the_targets_part_is_small_enough_to_travel():
    assert TARGET.stat().st_size < 40_000


def test_every_number_of_nvidia_and_of_the_driver_is_known():
    assert frozenset(range(1, 177)) == KNOWN_XIDS
    assert len(NVLINK5) == 95


@pytest.mark.parametrize("code", sorted(KNOWN_XIDS))
def test_every_entry_is_made_of_known_words(code):
    entry = lookup_xid(code)
    assert entry.failure_class is None or entry.failure_class in FAILURE_CLASSES
    assert entry.severity in SEVERITIES
    assert entry.action in FAULT_ACTIONS
    assert entry.rule in RULES
    assert entry.title
    assert entry.known


@pytest.mark.parametrize("code", sorted(KNOWN_XIDS))
def test_the_class_leads_to_a_ladder_that_holds_the_action(code):
    entry = lookup_xid(code)
    classes = {
        "restart_process": {"crash"},
        "reset_gpu": {"gpu_fault", "gpu_comm"},
        "reboot_node": {"gpu_lost"},
        "switch_comm_path": {"gpu_comm"},
        "quarantine_node": {"thermal"},
    }.get(entry.action)
    assert classes is None or entry.failure_class in classes


@pytest.mark.parametrize("code", sorted(KNOWN_XIDS))
def test_an_unknown_class_is_a_persons_and_nobody_elses(code):
    entry = lookup_xid(code)
    if entry.failure_class == "unknown":
        assert entry.action == "call_person"
    if entry.failure_class is None:
        assert not entry.needs_action


@pytest.mark.parametrize(
    ("code", "failure_class", "action"),
    [
        (13, "crash", "restart_process"),
        (31, "crash", "restart_process"),
        (43, "crash", "observe"),
        (45, "crash", "observe"),
        (48, "gpu_fault", "reset_gpu"),
        (54, "thermal", "quarantine_node"),
        (62, "gpu_fault", "reset_gpu"),  # not thermal, whatever DCGM calls it
        (63, "gpu_fault", "observe"),
        (64, "gpu_fault", "reset_gpu"),
        (65, "unknown", "call_person"),  # unused since Ampere
        (79, "gpu_lost", "reboot_node"),
        (92, "gpu_fault", "observe"),
        (94, "crash", "restart_process"),
        (95, "gpu_fault", "reset_gpu"),
        (109, "gpu_fault", "reset_gpu"),
        (119, "gpu_fault", "reset_gpu"),
        (121, "gpu_comm", "observe"),
        (137, "crash", "observe"),
        (140, "gpu_fault", "reset_gpu"),
        (149, "gpu_comm", "call_person"),  # without its words nobody can tell
        (159, "unknown", "call_person"),
    ],
)
def test_disputed_codes(code, failure_class, action):
    entry = lookup_xid(code)
    assert (entry.failure_class, entry.action) == (failure_class, action)


@given(st.integers().filter(lambda code: code not in XIDS))
def test_a_number_nobody_knows_is_neither_harmless_nor_acted_on(code):
    entry = lookup_xid(code)
    assert not entry.known
    assert (entry.failure_class, entry.action) == ("unknown", "call_person")


@pytest.mark.parametrize(
    ("severity", "text", "expected"),
    [
        ("fatal", "", ("gpu_comm", "critical", "reboot_node")),
        ("Fatal", "", ("gpu_comm", "critical", "reboot_node")),
        ("non-fatal", "", ("gpu_comm", "warning", "observe")),
        ("correctable", "", ("gpu_comm", "info", "observe")),
        (None, "", ("unknown", "warning", "call_person")),
        ("odd", "", ("unknown", "warning", "call_person")),
        ("non-fatal", "HOST_THERMAL_EVENT_START", ("thermal", "warning", "shed_load")),
        ("fatal", "OSFP thermal", ("thermal", "critical", "shed_load")),
        ("non-fatal", "HOST_THERMAL_EVENT_END", ("thermal", "info", "observe")),
    ],
)
@pytest.mark.parametrize("code", [20034, 28006, 99999])
def test_an_sxids_line_decides_whatever_its_number(code, severity, text, expected):
    entry = lookup_sxid(code, severity, text)
    assert (entry.failure_class, entry.severity, entry.action) == expected


def test_a_number_that_is_always_fatal_counts_where_the_line_says_nothing():
    assert lookup_sxid(23001).action == "reboot_node"
    assert lookup_sxid(23001, "non-fatal").action == "observe"


def test_the_fleets_own_word_wins():
    own = {"xid": {63: {"failure_class": "gpu_fault", "action": "reset_gpu", "severity": "critical", "reason": "ours"}}}
    entry = lookup_xid(63, own)
    assert (entry.failure_class, entry.severity, entry.action) == ("gpu_fault", "critical", "reset_gpu")
    assert entry.overridden
    assert not lookup_xid(64, own).overridden


def test_what_an_override_does_not_mention_stays():
    entry = lookup_xid(109, {"xid": {"109": {"action": "restart_process"}}})  # keys are text in JSON
    assert (entry.failure_class, entry.severity, entry.action) == ("gpu_fault", "critical", "restart_process")


def test_an_override_may_name_a_number_nobody_knows():
    own = {"xid": {999: {"action": "observe", "failure_class": "gpu_fault"}}, "sxid": {1: {"action": "observe"}}}
    assert lookup_xid(999, own).action == "observe"
    assert not lookup_xid(999, own).known
    assert lookup_sxid(1, "fatal", overrides=own).action == "observe"


@pytest.mark.parametrize("own", [{"action": "explode"}, {"failure_class": "bad"}, {"severity": "x"}, {"colour": "red"}])
def test_an_override_of_unknown_words_is_refused(own):
    with pytest.raises(ValueError, match="is not known"):
        lookup_xid(63, {"xid": {63: own}})
