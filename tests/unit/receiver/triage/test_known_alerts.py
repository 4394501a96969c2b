# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts that people already have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.faults.catalogue.numbers import KNOWN_XIDS, lookup_xid
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.policy.matchers import parse_matchers
from autoglm_recovery.receiver.triage.classify import classify
from autoglm_recovery.receiver.triage.known_alerts import NAMED, known_alerts

DCGM = {"alertname": "GpuXid", "gpu": "3", "UUID": "GPU-1", "modelName": "NVIDIA H100", "Hostname": "n1"}


@pytest.mark.parametrize(
    ("labels", "failure_class"),
    [
        # dcgm-exporter, DCGM_EXP_XID_ERRORS_COUNT
        ({**DCGM, "xid": "79"}, "gpu_lost"),
        ({**DCGM, "xid": "48"}, "gpu_fault"),
        ({**DCGM, "xid": "31"}, "crash"),
        ({**DCGM, "xid": "74"}, "gpu_comm"),
        # dcgm-exporter, DCGM_FI_DEV_XID_ERRORS
        ({**DCGM, "err_code": "119", "err_msg": "GSP RPC Timeout"}, "gpu_fault"),
        # nvidia_gpu_exporter, nvidia_smi_xid_errors_total
        ({"alertname": "x", "uuid": "b4d5", "xid": "95"}, "gpu_fault"),
        ({"alertname": "KubePodCrashLooping"}, "crash"),
        ({"alertname": "KubeNodeNotReady"}, "node_down"),
        ({"alertname": "NodeMemoryHighUtilization"}, "overload"),
        ({"alertname": "HostOomKillDetected"}, "oom"),
        # rule files on vLLM's metrics
        ({"alertname": "VLLMDown"}, "unresponsive"),
        ({"alertname": "vLLMServiceDown"}, "unresponsive"),
        ({"alertname": "VLLMMetricsDown"}, "unresponsive"),
        ({"alertname": "VLLMHighQueueWait"}, "overload"),
        ({"alertname": "VllmKvCacheNearFull"}, "overload"),
    ],
)
def test_what_is_known(labels, failure_class):
    found, reason = classify(labels, Policy())
    assert found == failure_class
    assert "known alert" in reason


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"alertname": "InstanceDown"},
        {"alertname": "TargetDown"},
        {"alertname": "VLLMDownstreamSlow"},
        {"alertname": "HighQueueDepth"},
        {"alertname": "NvidiaGpuExporterCollectionFailing"},
        {"alertname": "kubepodcrashlooping"},
        {"alertname": "KubePodCrashLoopingX"},
        DCGM,  # an Xid, but which?
        {**DCGM, "xid": "0"},
        {**DCGM, "xid": "999"},
        {**DCGM, "xid": "79 "},
        {**DCGM, "xid": "63"},  # only to be observed: nothing to be repaired
        {**DCGM, "xid": "149"},  # its words decide
        {**DCGM, "xid": "154"},
        {**DCGM, "xid": "65"},
        {"alertname": "Payment", "err_code": "79"},  # somebody else's label of that name
        {"alertname": "Payment", "err_code": "79", "err_msg": "declined"},
    ],
)
def test_what_is_left_to_a_person(labels):
    assert classify(labels, Policy())[0] == "unknown"


def test_the_policy_comes_first_and_may_switch_it_off():
    mapped = parse_policy("classify:\n- match: alertname=KubeNodeNotReady\n  failure_class: not_ready\n")
    assert classify({"alertname": "KubeNodeNotReady"}, mapped)[0] == "not_ready"
    off = parse_policy("classify_known_alerts: false\n")
    assert classify({"alertname": "KubeNodeNotReady"}, off)[0] == "unknown"


def test_a_class_named_wrongly_is_not_replaced():
    assert classify({"alertname": "KubeNodeNotReady", "failure_class": "node-down"}, Policy())[0] == "unknown"


def test_the_fleets_word_on_a_code_counts_here_too():
    policy = parse_policy(
        "faults: {xid: {79: {action: observe}, 63: {action: reset_gpu}, 999: {failure_class: crash,"
        " action: restart_process}}}"
    )
    assert classify({**DCGM, "xid": "79"}, policy)[0] == "unknown"
    assert classify({**DCGM, "xid": "63"}, policy)[0] == "gpu_fault"
    assert classify({**DCGM, "xid": "999"}, policy)[0] == "crash"


@pytest.mark.parametrize("entry", known_alerts(), ids=lambda entry: entry.match[:40])
def test_every_entry_is_one_that_a_policy_could_hold(entry):
    assert parse_matchers(entry.match)
    assert entry.failure_class != "unknown"


def test_no_name_is_listed_twice_in_other_letters():
    assert len({name.lower() for name in NAMED}) == len(NAMED)


@given(st.sampled_from(sorted(KNOWN_XIDS)))
def test_a_code_is_what_the_catalogue_says_or_unknown(code):
    found, _reason = classify({**DCGM, "xid": str(code)}, Policy())
    entry = lookup_xid(code)
    assert found in (entry.failure_class, "unknown")
    if not entry.needs_action:
        assert found == "unknown"
