# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the alerts about a host as a whole, its services and its exporter fire and resolve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_recovery.policy import Policy
from autoglm_recovery.rules.render import render_rules
from tests.unit.rules.gpu_timeline import GPUS, HOST, GpuTimeline
from tests.unit.rules.timeline import Player

Timelines = Callable[[int], GpuTimeline]

OOM = {"kind": "oom_kill", "service": "llm-node-a", "pool": "llm", "failure_class": "oom"}


@pytest.fixture
def timeline(promtool: str, policy: Policy, tmp_path: Path) -> Timelines:
    return lambda seconds: GpuTimeline(seconds, Player(promtool, render_rules(policy), tmp_path))


@pytest.mark.parametrize("witness", ["nvml", "pci"])
def test_fewer_gpus_than_expected(timeline: Timelines, witness: str) -> None:
    with timeline(100) as t:
        t.present(witness, 1, since=20, until=60)
        t.expect(28)
        t.expect(30, ("GPUCountBelowExpected", HOST))
        t.expect(60)


def test_a_driver_that_does_not_answer(timeline: Timelines) -> None:
    with timeline(200) as t:
        for at in range(20, 100, 2):
            t.host_values(autoglm_probe_age_seconds=at - 20, since=at, until=at + 2)
        t.host_values(autoglm_probe_age_seconds=1, since=100)
        t.expect(50)
        t.expect(52, ("GPUUnreadable", HOST))
        t.expect_labels(
            52,
            {
                "alertname": "GPUUnreadable",
                "failure_class": "gpu_lost",
                "nature": "state",
                "severity": "critical",
                "host": HOST,
            },
        )
        t.expect(100)


def test_driver_and_library_that_do_not_fit(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.gpu_nvml_error("NVML_ERROR_LIB_RM_VERSION_MISMATCH", since=20, until=60)
        t.expect(30, ("GPUDriverMismatch", HOST))
        t.expect(60)


def test_an_oom_kill_is_over_when_the_service_answers(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.fault(OOM, at=20)
        t.endpoint_of("llm-node-a", answers=False, since=20, until=100)
        t.unit(HOST, "failed", since=20)
        t.unit(HOST, "active", since=98)
        t.expect(22, ("ServiceOOMKilled", HOST), ("InferenceOOMKilled", HOST))
        t.expect(98, ("ServiceOOMKilled", HOST), ("InferenceOOMKilled", HOST))
        t.expect(100)


def test_a_kill_elsewhere_on_the_host_explains_no_crash_where_the_kernels_log_is_read(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.host_values(autoglm_kernel_log_readable=1)
        t.oom_kill(at=20)
        t.endpoint_of("llm-node-a", answers=False, since=20)
        t.unit(HOST, "failed", since=20)
        t.expect(24, ("InferenceCrashed", HOST))
        t.expect(60, ("InferenceCrashed", HOST))


def test_a_kill_somewhere_on_the_host_is_all_there_is_where_nobody_reads_the_log(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.host_values(autoglm_kernel_log_readable=0)
        t.oom_kill(at=20)
        t.endpoint_of("llm-node-a", answers=False, since=20)
        t.unit(HOST, "failed", since=20)
        t.expect(24, ("InferenceOOMKilled", HOST))


def test_a_kill_long_ago_explains_no_crash(timeline: Timelines) -> None:
    with timeline(240) as t:
        t.fault(OOM, at=20)
        t.endpoint_of("llm-node-a", answers=False, since=160)
        t.unit(HOST, "failed", since=160)
        t.expect(164, ("InferenceCrashed", HOST))


def killed_and_started_again(t: GpuTimeline) -> None:
    """At 20 for lack of memory, at 30 started, from 36 on answering; the kernel's log is read."""
    t.host_values(autoglm_kernel_log_readable=1)
    t.fault(OOM, at=20)
    t.unit(HOST, "failed", since=20)
    t.endpoint_of("llm-node-a", answers=False, since=20, until=36)
    t.unit(HOST, "active", since=30)


def test_a_kill_of_the_process_before_explains_no_crash_of_this_one(timeline: Timelines) -> None:
    """Killed for lack of memory, started again, and ended by somebody within two minutes."""
    with timeline(120) as t:
        killed_and_started_again(t)
        t.endpoint_of("llm-node-a", answers=False, since=70)
        t.unit(HOST, "failed", since=70)
        t.expect(24, ("ServiceOOMKilled", HOST), ("InferenceOOMKilled", HOST))
        t.expect(60)
        t.expect(72, ("InferenceCrashed", HOST))
        t.expect(120, ("InferenceCrashed", HOST))


def test_a_kill_in_the_unit_s_next_start_is_an_oom_kill_again(timeline: Timelines) -> None:
    with timeline(120) as t:
        killed_and_started_again(t)
        t.fault(OOM, at=70)
        t.endpoint_of("llm-node-a", answers=False, since=70)
        t.unit(HOST, "failed", since=70)
        t.expect(74, ("ServiceOOMKilled", HOST), ("InferenceOOMKilled", HOST))
        t.expect(120, ("ServiceOOMKilled", HOST), ("InferenceOOMKilled", HOST))


def test_an_oom_kill_that_the_service_survives_is_over_soon(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.fault(OOM, at=20)
        t.expect(48, ("ServiceOOMKilled", HOST))
        t.expect(50)


def test_an_oom_kill_of_nobody_known_and_a_fault_without_a_class_raise_nothing(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.fault({"kind": "oom_kill", "failure_class": "oom"}, at=20)
        t.fault({"kind": "xid", "xid": "43", "gpu": GPUS[0], "failure_class": ""}, at=20)
        t.fault({"kind": "xid", "xid": "31", "gpu": GPUS[0], "failure_class": "crash"}, at=20)
        t.expect(30)


def test_a_heart_that_stands_still_is_a_warning(timeline: Timelines) -> None:
    with timeline(300) as t:
        t.heart_stops(since=20)
        t.expect(300, ("AutoglmExporterStale", HOST))


def test_a_kernel_log_that_nobody_reads_is_a_warning(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.host_values(autoglm_kernel_log_readable=0)
        t.expect(100, ("AutoglmKernelLogUnread", HOST))


def test_a_quarantine_that_was_meant_to_be_over_is_a_warning_until_it_is_lifted_or_meant_for_longer(
    timeline: Timelines,
) -> None:
    with timeline(400) as t:
        t.host_values(autoglm_quarantine_meant_until_timestamp_seconds=100)
        t.host_values(since=300, autoglm_quarantine_meant_until_timestamp_seconds=5000)
        t.expect(100)
        t.expect(150)
        t.expect(200, ("AutoglmQuarantineOverdue", HOST))
        t.expect(310)


def test_load_that_no_run_brings_back_is_a_warning(timeline: Timelines) -> None:
    """While a run holds the host it may bring it back; without the note it is back."""
    with timeline(2000) as t:
        t.host_values(autoglm_host_at_work=1, until=400)
        t.host_values(autoglm_host_at_work=0, since=400)
        t.load_shed("llama", since=100, until=1600)
        t.expect(1280)
        t.expect(1400, ("AutoglmLoadLeftShed", HOST))
        t.expect(1620)


@pytest.mark.parametrize("notes", ["autoglm_taken_out_readable", "autoglm_load_shed_readable"])
def test_notes_that_nobody_reads_are_a_warning(timeline: Timelines, notes: str) -> None:
    with timeline(100) as t:
        t.host_values(**{notes: 0})
        t.expect(100, ("AutoglmNotesUnread", HOST))


def test_a_dead_host_has_no_exporter_down(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.exporter_silent(HOST, since=20)
        t.endpoint(HOST, answers=False, since=20)
        t.silent(since=20)
        t.expect(200, ("NodeDown", HOST))
