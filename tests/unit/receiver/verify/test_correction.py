# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook's own reading corrects the class, and what is remembered and done next follows it."""

from __future__ import annotations

import pytest

from autoglm_recovery.receiver.runs.follow import Follower
from autoglm_recovery.receiver.runs.protocol import RunReport, RunStatus
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs, schema
from autoglm_recovery.receiver.verify.correction import corrected
from tests.unit.receiver.desk import desk


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path) as made:
        yield made


def read(at, verdict, failure_class=None):
    """Have the playbook that runs tell what it read, as the follower writes it down."""
    line = {"at": at.now, "kind": "proof", "text": "node-c is so", "verdict": verdict, "failure_class": failure_class}
    with at.database.reading() as connection:
        (run,) = runs.unfinished(connection)
    follower = Follower(at.database, at.metrics, None, {})
    with at.clock():
        follower._record_progress(run, RunReport(RunStatus.running, (line,), run.cursor + 1), at.config)


@pytest.mark.parametrize(
    ("was", "read", "is_now"),
    [
        ("oom", "crash", "crash"),
        ("crash", "oom", "oom"),
        ("unresponsive", "deadlock", "deadlock"),
        ("oom", "oom", None),
        ("gpu_lost", "crash", None),
        ("node_down", "unresponsive", None),
        ("oom", "gpu_lost", None),
        ("unknown", "oom", None),
        ("oom", None, None),
    ],
)
def test_a_reading_names_what_a_process_died_of_and_nothing_else(was, read, is_now):
    assert corrected(was, read) == is_now


def test_kill_9_beside_somebody_else_s_oom_kill_is_a_crash(at):
    at.fire("node-c", "oom")
    read(at, "unhealthy", "crash")
    assert (at.incident().failure_class, at.incident().ruled_out) == ("crash", "oom")
    assert "class crash, and not oom" in at.timeline()[-1] or any(
        "class crash, and not oom" in t for t in at.timeline()
    )
    # What came of the run is remembered under what it was.
    with at.database.reading() as connection:
        target = schema.incidents.c.target_key
        assert store.acted_on(connection, {at.incident().target_key}, 0.0) == {(at.incident().target_key, "crash")}
        assert target is not None
    # The same alert, fired again, does not say again what the evidence has denied.
    at.fire("node-c", "oom", alertname="Again")
    assert at.incident().failure_class == "crash"
    at.fire("node-c", "gpu_lost")
    assert at.incident().failure_class == "gpu_lost"


def test_what_came_back_is_what_the_evidence_says_and_not_what_the_alert_guessed(at):
    """Three times the alert says oom; it was a crash, then a crash again, then what it says."""

    def incident(number, found):
        began = at.fire("node-c", "oom")
        read(at, "unhealthy", found)
        at.end_run("node-c", 0)
        at.resolve("node-c", "oom", began)
        assert at.state(number) == "resolved"
        at.pass_time(600)
        return at.incident(number).failure_class, at.incident(number).fault_mode

    assert incident(1, "crash") == ("crash", "transient")
    assert incident(2, "crash") == ("crash", "persistent")
    assert incident(3, "oom") == ("oom", "transient")
    # As the alert says it, it has come back now; as it was, it has not.
    assert incident(4, "deadlock") == ("deadlock", "transient")
    count = at.metrics.registry.get_sample_value
    corrected_to = {"was": "oom", "failure_class": "crash"}
    assert count("autoglm_class_corrections_total", corrected_to) == 2


def test_a_reading_after_the_repair_corrects_nothing(at):
    at.fire("node-c", "oom")
    read(at, "unhealthy", "oom")
    read(at, "unhealthy", "not_ready")
    assert at.incident().failure_class == "oom"


def test_what_could_not_be_read_corrects_nothing(at):
    at.fire("node-c", "oom")
    read(at, "unknown", "crash")
    assert at.incident().failure_class == "oom"
