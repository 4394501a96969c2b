# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line is painted as what it tells, and what was found is told first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.console.findings import Findings, FindingShown, findings
from autoglm_recovery.receiver.console.incident import TimelineRow
from autoglm_recovery.receiver.console.tones import ASK, DANGER, GOOD, NONE, tone
from autoglm_recovery.receiver.runs.narrate import narrate
from tests.unit.receiver.console.test_incident import at, run


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("proof", "node-a is healthy", GOOD),
        ("proof", "node-a is healthy: it generates", GOOD),
        ("proof", "node-a is unhealthy: is healthy: no", DANGER),
        ("proof", "node-a is unknown: no answer", ASK),
        ("proof", "the playbook succeeded, but the alert did not resolve in time", ASK),
        ("proof", "the alert has resolved; verify has not been seen to hold: 0 samples", ASK),
        ("task", "Wait: ok (0.1 s)", NONE),
        ("task", "Wait: failed (0.1 s): refused", DANGER),
        ("task", "Wait: unreachable: no route", DANGER),
        ("task", "Fail where told to: failed", DANGER),
        ("task", "Count what failed: ok (1.0 s)", NONE),
        ("task", "Wait: failed, and the playbook goes on (0.1 s): refused", ASK),
        ("task", "no task was begun: no such image", DANGER),
        ("run_finished", "restart_process succeeded after 1.0 s", GOOD),
        ("run_finished", "restart_process failed after 1.0 s", DANGER),
        ("run_finished", "restart_process lost after 1.0 s: it was killed", DANGER),
        ("run_finished", "restart_process fenced after 1.0 s", ASK),
        ("run_finished", "restart_process kept out after 1.0 s", ASK),
        ("run_finished", "restart_process not launched after 1.0 s: AWX has no job template", ASK),
        ("run_started", "restart_process started on failed", NONE),
        ("fenced", "node-a has seen a higher token", ASK),
        ("kept_out", "node-a is held by ann", ASK),
        ("unproven", "nothing proves that it is over", DANGER),
        ("resolved", "the alert has resolved", GOOD),
        ("alert", "X fires: failed", NONE),
    ],
)
def test_a_line_has_the_tone_of_what_it_tells(kind, text, expected):
    assert tone(kind, text) == expected


@pytest.mark.parametrize(("verdict", "expected"), [("healthy", GOOD), ("unhealthy", DANGER), ("unknown", ASK)])
def test_the_verdicts_that_playbooks_return_are_known_here(verdict, expected):
    event = {
        "event": "runner_on_failed",
        "created": "2026-11-24T03:00:00",
        "event_data": {
            "host": "node-a",
            "task": "Prove",
            "duration": 0.1,
            "res": {"verdict": verdict, "reasons": ["r"], "msg": "no"},
        },
    }
    task, proof, _ = narrate(event)
    assert (tone(task.kind, task.text), tone(proof.kind, proof.text)) == (DANGER, expected)


@given(st.sampled_from(["proof", "task", "run_finished", "x"]), st.text())
def test_any_text_has_a_tone(kind, text):
    assert tone(kind, text) in (DANGER, ASK, GOOD, NONE)


def ended(number, state, *lines):
    """Return a run that told something."""
    of = run(number, number, number + 1)
    told = tuple(TimelineRow(at(number), kind, text) for kind, text in lines)
    return type(of)(**{**{name: getattr(of, name) for name in of.__dataclass_fields__}, "state": state, "lines": told})


def test_of_a_failed_run_the_task_that_ended_it_comes_first_then_the_verdict_then_evidence_newest_first():
    first = ended(1, "failed", ("evidence", "node-a:/old"), ("task", "Old: failed: x"), ("proof", "node-a is unknown"))
    last = ended(
        2,
        "failed",
        ("evidence", "node-a:/new"),
        ("task", "Look: failed, and the playbook goes on: y"),
        ("proof", "node-a is unhealthy: dead"),
        ("task", "Prove: failed: dead"),
        ("task", "Tell: ok"),
    )
    assert findings([first, last]) == Findings(
        "restart_process failed",
        (
            FindingShown("failed task", "Prove: failed: dead", DANGER, 2),
            FindingShown("found", "node-a is unhealthy: dead", DANGER, 2),
            FindingShown("evidence", "node-a:/new", "", 2),
            FindingShown("evidence", "node-a:/old", "", 1),
        ),
        2,
        None,
    )


def test_an_earlier_failure_is_not_told_of_a_run_that_succeeded():
    found = findings([ended(1, "failed", ("task", "Old: failed: x")), ended(2, "succeeded", ("proof", "a is healthy"))])
    assert found.failed is None
    assert [line.kind for line in found.lines] == ["found"]


def test_without_runs_there_is_nothing():
    assert findings([]) == Findings(None, (), None, None)
