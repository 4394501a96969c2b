# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three witnesses, one verdict."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.arbitration.arbitration import arbitrate
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.arbitration.by_catalogue import WitnessFinding
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.numbers import FAULT_ACTIONS
from hypothesis import given
from hypothesis import strategies as st

CALM = {
    "recovery_action": 0,
    "reset_status": 0,
    "drain_and_reset_status": 0,
    "ecc_volatile_uncorrected": 0,
    "remap_pending": False,
    "remap_failure": False,
    "retired_pending": False,
    "sram_threshold_exceeded": False,
    "clock_reasons": 1,
}
NOT_SUPPORTED = {"error": "NVML_ERROR_NOT_SUPPORTED", "kind": "not_supported", "text": "Not Supported"}
HUNG = {"error": "", "kind": "hung", "text": "no answer in 5 s"}
UNREADABLE = {"error": "NVML_ERROR_UNKNOWN", "kind": "unreadable", "text": "Unknown Error"}
MISSING = {"error": "NVML_ERROR_FUNCTION_NOT_FOUND", "kind": "missing", "text": "Function Not Found"}


def gpu(state: str = "read", errors: dict | None = None, **values: object) -> dict:
    """A GPU that is well but for what is named."""
    errors = errors or {}
    told = {**CALM, **values, **dict.fromkeys(errors)}
    return {"state": state, "error": None, "values": told, "errors": errors}


def xid(code: int, **fields: object) -> dict:
    """A kernel fault as autoglm kernel-events tells it."""
    return {"kind": "xid", "xid": code, "pci": "0000:3b:00", **fields}


def order(action: str | None) -> int:
    return -1 if action is None else FAULT_ACTIONS.index(action)


def test_healthy_is_when_all_three_were_heard_and_are_calm():
    verdict = arbitrate([], gpu())
    assert (verdict.verdict, verdict.failure_class, verdict.recommended_action) == ("healthy", None, None)
    assert {name: witness.verdict for name, witness in verdict.witnesses.items()} == {
        "catalogue": "healthy",
        "driver": "healthy",
        "counters": "healthy",
    }


@pytest.mark.parametrize(
    ("faults", "seen", "failure_class", "action", "rule"),
    [
        ([xid(79)], gpu("lost"), "gpu_lost", "reboot_node", "xid:79"),
        ([], gpu("lost"), "gpu_lost", "reboot_node", "gpu:lost"),
        ([{"kind": "gpu_off_bus_text"}], gpu(), "gpu_lost", "reboot_node", "xid:79"),
        ([xid(48)], gpu(), "gpu_fault", "reset_gpu", "xid:48"),
        ([xid(63)], gpu(remap_pending=True), "gpu_fault", "reset_gpu", "counter:remap_pending"),
        (
            [],
            gpu(ecc_volatile_uncorrected=5, remap_failure=True),
            "gpu_fault",
            "quarantine_node",
            "counter:remap_failure",
        ),
        ([], gpu(sram_threshold_exceeded=True), "gpu_fault", "quarantine_node", "counter:sram_threshold_exceeded"),
        ([], gpu(clock_reasons=0x80), "thermal", "shed_load", "counter:clock_reasons"),
        ([], gpu(recovery_action=1), "gpu_fault", "reset_gpu", "driver:recovery_action=1"),
        ([], gpu(recovery_action=2), "gpu_lost", "reboot_node", "driver:recovery_action=2"),
        ([], gpu(recovery_action=3), "gpu_comm", "switch_comm_path", "driver:recovery_action=3"),
        ([], gpu(recovery_action=4), "gpu_fault", "reset_gpu", "driver:recovery_action=4"),
        ([], gpu(recovery_action=5), "gpu_comm", "call_person", "driver:recovery_action=5"),
        ([], gpu(recovery_action=7), "gpu_lost", "reboot_node", "driver:recovery_action=7"),
        ([], gpu(reset_status=1), "gpu_fault", "reset_gpu", "driver:reset_status"),
        ([], gpu(drain_and_reset_status=1), "gpu_fault", "reset_gpu", "driver:drain_and_reset_status"),
        ([], gpu("reset_required"), "gpu_fault", "reset_gpu", "driver:reset_required"),
        ([xid(31)], gpu(), "crash", "restart_process", "xid:31"),
        ([xid(154, recovery={"from": 0, "to": 2})], gpu(), "gpu_lost", "reboot_node", "driver:xid154=2"),
        (
            [xid(94, containment={"contained": True, "reset_required": True, "drain_and_reset": False})],
            gpu(),
            "gpu_fault",
            "reset_gpu",
            "xid:94:containment",
        ),
    ],
)
def test_what_each_witness_can_prove(faults, seen, failure_class, action, rule):
    verdict = arbitrate(faults, seen, driver_version="580.1")
    assert verdict.verdict == "unhealthy"
    assert (verdict.failure_class, verdict.recommended_action, verdict.rule) == (failure_class, action, rule)
    assert verdict.reasons


@pytest.mark.parametrize(
    ("faults", "seen", "failure_class", "action"),
    [
        ([xid(94)], gpu(recovery_action=1), "gpu_fault", "reset_gpu"),
        ([xid(48)], gpu(recovery_action=2), "gpu_lost", "reboot_node"),
        ([xid(48)], gpu(recovery_action=0), "gpu_fault", "reset_gpu"),  # none lowers nothing
        # The driver may ask for a reset of a GPU that is gone.
        ([xid(79)], gpu(recovery_action=1), "gpu_lost", "reboot_node"),
        ([], gpu("lost", recovery_action=1), "gpu_lost", "reboot_node"),
        ([{"kind": "uvm_fatal", "status": 0x60}], gpu(recovery_action=1), "gpu_lost", "reboot_node"),
        # The driver asks for no more than the catalogue, which knows what failed.
        ([xid(136)], gpu(recovery_action=1), "gpu_comm", "reset_gpu"),
        ([xid(999)], gpu(recovery_action=1), "gpu_fault", "reset_gpu"),
    ],
)
def test_the_driver_raises_and_never_lowers(faults, seen, failure_class, action):
    verdict = arbitrate(faults, seen)
    assert (verdict.verdict, verdict.failure_class, verdict.recommended_action) == ("unhealthy", failure_class, action)


@pytest.mark.parametrize(
    ("number", "words", "action"),
    [
        (1, "GPU Reset Required", "reset_gpu"),
        (1, "PF FLR", "reset_gpu"),  # a driver of 2026
        (2, "Node Reboot Required", "reboot_node"),
        (2, "OS Reboot", "reboot_node"),  # driver 610
        (1, "Node Reboot Required", "reboot_node"),  # GKE
        (2, "GPU Reset Required", "reboot_node"),
        (0, "Drain and Reset", "reset_gpu"),
        (4, "Drain P2P", "reset_gpu"),
        (3, "whatever comes next", "switch_comm_path"),
        (99, "Node Reboot Required", "reboot_node"),
        (99, "Grundinstandsetzung", "call_person"),
    ],
)
def test_of_the_number_and_the_words_of_xid_154_the_graver_counts(number, words, action):
    announced = {"from": 0, "from_text": "None", "to": number, "to_text": words}
    assert arbitrate([xid(154, recovery=announced)], gpu()).recommended_action == action


@pytest.mark.parametrize(
    ("faults", "seen"),
    [
        (None, gpu()),  # the log
        ([], None),  # NVML
        ([], gpu("hung", errors=dict.fromkeys(CALM, HUNG))),
        ([], gpu("unread", errors=dict.fromkeys(CALM, UNREADABLE))),
        ([], gpu(errors={"recovery_action": UNREADABLE})),
        ([], gpu(recovery_action=99)),
        *[
            ([], gpu(errors={name: UNREADABLE}))
            for name in CALM
            if name not in ("reset_status", "drain_and_reset_status")
        ],
        ([], gpu(errors={"remap_failure": MISSING})),
        ([xid(999)], gpu()),
        ([xid(65)], gpu()),
        ([xid(149, nvlink5={"intrinfo": "0xffffffff", "error_status": "0x0", "severity": "non-fatal"})], gpu()),
        ([{"kind": "sxid", "sxid": 12345, "severity": None}], gpu()),
        ([{"kind": "something_new"}], gpu()),
        ([{"kind": "driver_mismatch"}], gpu()),
    ],
)
def test_doubt_is_unknown_and_calls_a_person(faults, seen):
    verdict = arbitrate(faults, seen, driver_version="580.1")
    assert (verdict.verdict, verdict.failure_class) == ("unknown", "unknown")
    assert verdict.recommended_action == "call_person"
    assert verdict.reasons


def test_not_supported_by_this_gpu_is_an_answer():
    errors = dict.fromkeys(
        ("retired_pending", "remap_pending", "remap_failure", "sram_threshold_exceeded"), NOT_SUPPORTED
    )
    assert arbitrate([], gpu(errors=errors)).verdict == "healthy"


@pytest.mark.parametrize("kind", [NOT_SUPPORTED, MISSING, UNREADABLE])
def test_an_old_driver_has_no_verdict_which_is_not_none(kind):
    verdict = arbitrate([], gpu(errors={"recovery_action": kind}), driver_version="550.54.15")
    assert verdict.verdict == "healthy"
    assert verdict.witnesses["driver"].verdict == "absent"
    assert "550.54.15" in verdict.witnesses["driver"].reasons[0]


def test_what_the_caller_calls_optional_may_stay_unread():
    assert arbitrate(None, gpu(), optional=["kernel_log"]).verdict == "healthy"
    assert arbitrate([], gpu(errors={"recovery_action": UNREADABLE}), optional=["driver"]).verdict == "healthy"
    assert arbitrate([], gpu(errors={"clock_reasons": UNREADABLE}), optional=["clock_reasons"]).verdict == "healthy"
    assert arbitrate(None, None, optional=["kernel_log", "driver"]).verdict == "unknown"


def test_a_proof_stands_beside_a_doubt_and_the_doubt_is_told():
    verdict = arbitrate(None, gpu(remap_failure=True))
    assert verdict.verdict == "unhealthy"
    assert any("log" in reason for reason in verdict.reasons)
    assert verdict.witnesses["catalogue"].verdict == "unknown"


def test_what_is_only_observed_leaves_a_gpu_healthy():
    verdict = arbitrate([xid(63), xid(45)], gpu())
    assert (verdict.verdict, verdict.recommended_action) == ("healthy", "observe")
    assert len(verdict.reasons) == 2


def test_lines_that_are_no_faults_of_gpus_say_nothing():
    others = [{"kind": "oom_kill"}, {"kind": "none"}, {"kind": "sxid_detail", "is_new_fault": False}]
    assert arbitrate(others, gpu()).recommended_action is None


def test_a_switch_that_fails_on_one_link_is_lighter_than_a_whole_one():
    fault = {"kind": "sxid", "sxid": 20034, "severity": "fatal"}
    assert arbitrate([{**fault, "link": 30}], gpu()).recommended_action == "reset_gpu"
    assert arbitrate([fault], gpu()).recommended_action == "reboot_node"


def test_the_fleets_word_counts_and_the_driver_may_still_raise_it():
    own = {"xid": {79: {"action": "observe"}, 109: {"action": "restart_process", "failure_class": "crash"}}}
    assert arbitrate([xid(79)], gpu(), overrides=own).verdict == "healthy"
    assert arbitrate([xid(109)], gpu(), overrides=own).rule == "policy:xid:109"
    assert arbitrate([xid(79)], gpu(recovery_action=2), overrides=own).recommended_action == "reboot_node"


def test_what_the_caller_found_counts_as_live_state():
    slow = WitnessFinding("pcie:width", "gpu_fault", "warning", "call_person", "4 of 16 lanes")
    verdict = arbitrate([], gpu(), findings=[slow])
    assert (verdict.verdict, verdict.rule) == ("unhealthy", "pcie:width")
    assert verdict.witnesses["counters"].verdict == "unhealthy"


def test_it_is_fit_for_json():
    verdict = arbitrate([xid(48)], gpu(recovery_action=1)).as_dict()
    assert json.loads(json.dumps(verdict)) == verdict


FAULTS = st.lists(
    st.one_of(
        st.builds(xid, st.integers(0, 180)),
        st.builds(
            lambda code, info, status, severity: xid(
                code, nvlink5={"intrinfo": info, "error_status": status, "severity": severity}
            ),
            st.integers(144, 150),
            st.integers(0, 2**26),
            st.integers(0, 8),
            st.sampled_from([None, "fatal", "non-fatal"]),
        ),
        st.builds(
            lambda code, severity: {"kind": "sxid", "sxid": code, "severity": severity},
            st.integers(10000, 30000),
            st.sampled_from([None, "fatal", "non-fatal", "correctable"]),
        ),
    ),
    max_size=4,
)
LOG = st.one_of(st.none(), FAULTS)
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "ecc_volatile_uncorrected": st.integers(0, 2),
        "remap_pending": st.booleans(),
        "remap_failure": st.booleans(),
        "clock_reasons": st.integers(0, 255),
        "reset_status": st.integers(0, 1),
    },
)
ERRORS = st.dictionaries(
    st.sampled_from(sorted(CALM)), st.sampled_from([NOT_SUPPORTED, UNREADABLE, MISSING]), max_size=3
)
STATES = st.sampled_from(["read", "lost", "hung", "unread", "reset_required"])
GPUS = st.builds(lambda state, errors, values: gpu(state, errors, **values), STATES, ERRORS, VALUES)


@given(LOG, st.one_of(st.none(), GPUS))
def test_never_healthy_with_a_witness_that_is_not(faults, seen):
    verdict = arbitrate(faults, seen)
    told = {witness.verdict for witness in verdict.witnesses.values()}
    if "unhealthy" in told:
        assert verdict.verdict == "unhealthy"
    elif "unknown" in told:
        assert verdict.verdict == "unknown"
    else:
        assert verdict.verdict == "healthy"
    if verdict.verdict == "unknown":
        assert verdict.recommended_action == "call_person"
    if verdict.verdict == "unhealthy":
        assert verdict.failure_class not in (None, "unknown")
        assert order(verdict.recommended_action) > order("observe")
    assert verdict == arbitrate(faults, seen)


@given(LOG, GPUS, st.integers(0, 9))
def test_a_verdict_of_the_driver_never_lowers(faults, seen, action):
    silent = {**seen, "values": {**seen["values"], "recovery_action": 0}}
    saying = {**seen, "values": {**seen["values"], "recovery_action": action}}
    before, after = (arbitrate(faults, one).recommended_action for one in (silent, saying))
    assert order(after) >= order(before)


@given(FAULTS, GPUS, FAULTS)
def test_more_faults_never_lower(faults, seen, more):
    # One exception is meant: an Xid 74 that is an effect in company is alarming only alone; its registers are not here.
    before, after = (arbitrate(some, seen).recommended_action for some in (faults, [*faults, *more]))
    if not any(fault.get("xid") == 154 for fault in (*faults, *more)):
        assert order(after) >= order(before)
