# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When each GPU alert fires and when it resolves, decided by Prometheus' own engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_recovery.exporter.alerts import BY_CLASS, KERNEL_ALERTS, alert_of, labels_of, summary_of
from autoglm_recovery.policy import Policy
from autoglm_recovery.rules.render import render_rules
from tests.unit.rules.gpu_timeline import GPUS, HOST, GpuTimeline
from tests.unit.rules.timeline import Player

Timelines = Callable[[int], GpuTimeline]

XID_48 = {
    "kind": "xid",
    "xid": "48",
    "gpu": GPUS[0],
    "service": "llm-node-a",
    "pool": "llm",
    "failure_class": "gpu_fault",
}
XID_79 = {"kind": "xid", "xid": "79", "gpu": GPUS[1], "mig_gi": "3", "failure_class": "gpu_lost"}
SXID = {"kind": "sxid", "sxid": "20034", "device": "0000:c1:00.0", "failure_class": "gpu_comm"}
THERMAL = {"kind": "xid", "xid": "54", "gpu": GPUS[0], "failure_class": "thermal"}
UNKNOWN = {"kind": "xid", "xid": "4711", "gpu": GPUS[0], "failure_class": "unknown"}
OOM = {"kind": "oom_kill", "service": "llm-node-a", "pool": "llm", "failure_class": "oom"}
INTRUSION = {"kind": "unexpected_exec", "service": "llm-node-a", "pool": "llm", "failure_class": "intrusion"}


@pytest.fixture
def timeline(promtool: str, policy: Policy, tmp_path: Path) -> Timelines:
    return lambda seconds: GpuTimeline(seconds, Player(promtool, render_rules(policy), tmp_path))


def test_nothing_fires_while_all_is_well(timeline: Timelines) -> None:
    with timeline(400) as t:
        for at in (0, 2, 60, 200, 400):
            t.expect(at)


def test_a_node_without_gpus_raises_nothing(timeline: Timelines) -> None:
    with timeline(400) as t:
        t.without("autoglm_gpu_")
        t.without("autoglm_nvlink_")
        t.without("autoglm_gpus_present")
        t.host_values(autoglm_gpus_expected=0)
        t.host_values(autoglm_probe_age_seconds=4000)
        t.gpu_host_unknown()
        for at in (0, 60, 200, 400):
            t.expect(at)


@pytest.mark.parametrize(
    "fault", [XID_48, XID_79, SXID, THERMAL, UNKNOWN, OOM, INTRUSION], ids=lambda fault: fault["failure_class"]
)
def test_a_fast_alert_has_the_labels_of_the_rules_alert(timeline: Timelines, fault: dict[str, str]) -> None:
    alert = alert_of(fault)
    assert alert is not None
    with timeline(60) as t:
        t.fault(fault, at=20)
        t.expect(18)
        for at in (20, 30, 48):
            t.expect(at, (alert.name, HOST))
            t.expect_labels(at, labels_of(alert, HOST, fault, {}))


def test_every_kernel_alert_is_among_these() -> None:
    tested = {fault["failure_class"] for fault in (XID_48, XID_79, SXID, THERMAL, UNKNOWN, OOM, INTRUSION)}
    assert tested == {alert.failure_class for alert in KERNEL_ALERTS}


def test_the_words_are_the_same_too(timeline: Timelines) -> None:
    alert = BY_CLASS["gpu_fault"]
    labels = labels_of(alert, HOST, XID_48, {})
    with timeline(60) as t:
        t.fault(XID_48, at=20)
        t.expect_alert(
            at=30,
            name=labels.pop("alertname"),
            labels=labels,
            annotations={
                "summary": summary_of(alert, HOST, XID_48),
                "description": "The kernel of node-a reported it within the last 3m, or has reported it and the GPU "
                "has not read as healthy since. `autoglm xid` explains the code.",
                "runbook": "autoglm.recovery acts by the policy, one step after the other until one helps - "
                "reset_gpu, reboot_node, quarantine_node, a person is called.",
            },
        )


def test_a_fault_without_traces_is_over_after_three_silent_minutes(timeline: Timelines) -> None:
    with timeline(400) as t:
        t.fault(XID_48, at=20)
        t.fault(XID_48, at=100)
        t.expect(278, ("GPUKernelFault", HOST))
        t.expect(280)
        t.expect(400)


@pytest.mark.parametrize("verdict", ["unhealthy", "unknown"])
def test_a_fault_is_not_over_while_its_gpu_is_not_well(timeline: Timelines, verdict: str) -> None:
    with timeline(400) as t:
        t.fault(XID_48, at=20)
        t.verdict(0, verdict, since=20, until=300)
        t.expect(298, ("GPUKernelFault", HOST))
        t.expect(300)


def test_another_gpu_that_is_not_well_does_not_hold_it(timeline: Timelines) -> None:
    with timeline(400) as t:
        t.fault(XID_48, at=20)
        t.verdict(1, "unhealthy", since=20)
        t.expect(202)


def test_old_faults_in_the_first_scrape_raise_nothing(timeline: Timelines) -> None:
    """The exporter has read the whole log of this boot."""
    with timeline(60) as t:
        t.fault(XID_48, at=-600)
        t.expect(2)
        t.expect(60)


def test_a_restart_of_the_exporter_neither_raises_nor_resolves(timeline: Timelines) -> None:
    with timeline(400) as t:
        t.fault(XID_48, at=20)
        t.gpu(1, "autoglm_gpu_remap_pending", 1, since=20)
        t.verdict(1, "unhealthy", since=20)
        t.silent(since=60, until=90)
        for at in (30, 60, 88, 90, 150):
            t.expect(at, ("GPUKernelFault", HOST), ("GPURemapPending", HOST))


def test_an_exporter_that_stays_away_resolves_nothing_and_warns(timeline: Timelines) -> None:
    with timeline(400) as t:
        t.fault(XID_48, at=20)
        t.gpu(0, "autoglm_gpu_lost", 1, since=20)
        t.silent(since=60)
        t.expect(118, ("GPUKernelFault", HOST), ("GPULost", HOST))
        t.expect(400, ("GPUKernelFault", HOST), ("GPULost", HOST), ("AutoglmExporterDown", HOST))
        t.expect_labels(400, {"alertname": "AutoglmExporterDown", "host": HOST, "severity": "warning"})


def test_a_target_that_is_taken_away_resolves(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.gpu(0, "autoglm_gpu_lost", 1, since=20)
        t.removed(since=60)
        t.expect(58, ("GPULost", HOST))
        t.expect(60)


STATES = [
    ("GPULost", "gpu_lost", "autoglm_gpu_lost", 0),
    ("GPUHung", "gpu_lost", "autoglm_gpu_hung", 10),
    ("GPURemapPending", "gpu_fault", "autoglm_gpu_remap_pending", 0),
    ("GPURemapPending", "gpu_fault", "autoglm_gpu_retired_pages_pending", 0),
    ("GPURemapFailure", "gpu_fault", "autoglm_gpu_remap_failure", 0),
    ("GPUResetRecommended", "gpu_fault", 'autoglm_gpu_recovery_action{action="reset"}', 0),
    ("GPUResetRecommended", "gpu_fault", 'autoglm_gpu_recovery_action{action="drain_and_reset"}', 0),
    ("GPURebootRecommended", "gpu_lost", 'autoglm_gpu_recovery_action{action="system_reboot"}', 0),
    ("GPURebootRecommended", "gpu_lost", 'autoglm_gpu_recovery_action{action="bus_reset"}', 0),
    ("GPURecoveryNeedsPerson", "unknown", 'autoglm_gpu_recovery_action{action="recover_imex_domain"}', 0),
    ("GPURecoveryNeedsPerson", "unknown", 'autoglm_gpu_recovery_action{action="unknown"}', 0),
    ("GPUPeerRecoveryRecommended", "gpu_comm", 'autoglm_gpu_recovery_action{action="drain_p2p"}', 0),
    ("NVLinkDown", "gpu_comm", "autoglm_nvlink_links_missing", 10),
    ("GPUThermalSlowdown", "thermal", 'autoglm_gpu_clock_event_active{reason="hw_thermal_slowdown"}', 60),
    ("GPUPowerBrake", "thermal", 'autoglm_gpu_clock_event_active{reason="hw_power_brake_slowdown"}', 60),
]


@pytest.mark.parametrize(("name", "failure_class", "metric", "waits"), STATES)
def test_a_state_fires_with_its_service_and_resolves(
    timeline: Timelines, name: str, failure_class: str, metric: str, waits: int
) -> None:
    with timeline(300) as t:
        t.gpu(0, metric, 1, since=20, until=160)
        t.gpu(1, metric, 1, since=200, until=280)
        if waits:
            t.expect(18 + waits)
        labels = {
            "alertname": name,
            "failure_class": failure_class,
            "nature": "state",
            "severity": "critical",
            "host": HOST,
        }
        for at in (20 + waits, 158):
            t.expect(at, (name, HOST))
            t.expect_labels(at, {**labels, "gpu": GPUS[0], "service": "llm-node-a", "pool": "llm"})
        t.expect(160)
        t.expect_labels(278, {**labels, "gpu": GPUS[1]})
        t.expect(280)


@pytest.mark.parametrize(("name", "failure_class", "metric", "waits"), STATES)
def test_a_state_that_cannot_be_read_any_more_goes_on(
    timeline: Timelines, name: str, failure_class: str, metric: str, waits: int
) -> None:
    """The driver hangs while the GPU is ill; later it is read again, and is well."""
    del failure_class
    begun = 20 + waits
    with timeline(300) as t:
        t.gpu(0, metric, 1, since=20, until=begun + 20)
        t.unreadable(0, since=begun + 20, until=200)
        for at in (begun, begun + 20, 198):
            t.expect(at, (name, HOST))
        t.expect(200)


def test_a_gpu_without_a_known_owner_is_told_of_all_the_same(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.without("autoglm_gpu_owner_info")
        t.gpu(0, "autoglm_gpu_remap_pending", 1, since=20)
        t.expect(20, ("GPURemapPending", HOST))


def test_a_missing_series_is_no_zero_and_no_fault(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.without("autoglm_gpu_remap_pending")
        t.without("autoglm_gpu_clock_event_active")
        t.without("autoglm_gpu_recovery_action")
        t.expect(60)


def test_uncorrectable_errors_count_while_the_gpu_is_not_well(timeline: Timelines) -> None:
    volatile = 'autoglm_gpu_ecc_errors_total{scope="volatile", severity="uncorrected"}'
    with timeline(100) as t:
        t.gpu(0, volatile, 2, since=20, until=80)  # a reset sets it back
        t.verdict(0, "unhealthy", since=20, until=80)
        t.expect(20, ("GPUUncorrectableECC", HOST))
        t.expect(78, ("GPUUncorrectableECC", HOST))
        t.expect(80)


def test_errors_on_links_are_counted_over_time_and_a_counter_that_falls_is_none(timeline: Timelines) -> None:
    replays = 'autoglm_nvlink_errors_total{link="0", counter="replay", weight="grave"}'
    crc = 'autoglm_nvlink_errors_total{link="0", counter="crc", weight="light"}'
    with timeline(500) as t:
        t.gpu(0, crc, 5000, since=20)
        t.gpu(0, replays, 0, since=40, until=60)  # the driver was loaded anew
        t.gpu(0, replays, 9, since=60, until=80)
        t.expect(78)
        t.gpu(0, replays, 40, since=80)
        t.expect(82, ("NVLinkErrors", HOST))
        t.expect(500)


UNSEEN = 'autoglm_service_unseen_execs_total{{service="llm", begun_by="{}"}}'


def test_a_watch_of_programs_that_does_not_hear_is_blind(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.host_values(autoglm_exec_watch_up=1)
        t.host_values(autoglm_exec_watch_up=0, since=20)
        t.expect(18)
        t.expect(200, ("AutoglmExecWatchBlind", HOST))


@pytest.mark.parametrize("begun_by", ["declared", "other"])
def test_helpers_of_a_declared_program_that_end_before_they_are_seen_are_news_once(
    timeline: Timelines, begun_by: str
) -> None:
    with timeline(2600) as t:
        unseen = UNSEEN.format(begun_by)
        t.host_values(**{unseen: 0})
        for number, at in enumerate((20, 2420), 1):
            t.host_values(**{unseen: number}, since=at)
        t.expect(18)
        t.expect(200, ("AutoglmExecWatchBlind", HOST))
        t.expect(1900)
        t.expect(2600, *([] if begun_by == "declared" else [("AutoglmExecWatchBlind", HOST)]))
