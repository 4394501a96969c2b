# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX says about jobs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.runs.awx.jobs import (
    JobId,
    JobStatus,
    job_id,
    output_link,
    overdue,
    parse_reference,
    standing,
    told,
    told_nodes,
)
from autoglm_recovery.receiver.runs.protocol import RunStatus


@pytest.mark.parametrize("status", ["new", "pending", "waiting", "running"])
def test_jobs_that_go_on(status: str) -> None:
    assert standing({"status": status}).status is RunStatus.running


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"status": "successful"}, JobStatus(RunStatus.ended, 0)),
        ({"status": "failed"}, JobStatus(RunStatus.ended, 1)),
        (
            {"status": "failed", "job_explanation": "Previous Task\n Failed"},
            JobStatus(RunStatus.ended, 1, "Previous Task Failed"),
        ),
        (
            {"status": "error", "job_explanation": "no capacity"},
            JobStatus(RunStatus.ended, None, "AWX could not run it: no capacity"),
        ),
        ({"status": "canceled", "elapsed": 3.0}, JobStatus(RunStatus.ended, None, "cancelled in AWX")),
        (
            {"status": "canceled", "elapsed": 61.0},
            JobStatus(RunStatus.ended, None, "cancelled in AWX after 60 s, its timeout"),
        ),
    ],
)
def test_jobs_that_ended(job: dict[str, Any], expected: JobStatus) -> None:
    assert standing(job, 60.0) == expected


@given(st.one_of(st.none(), st.integers(), st.text()))
def test_only_the_one_word_is_success(status: object) -> None:
    found = standing({"status": status})
    assert (found.rc == 0) == (status == "successful")
    assert found.status is not RunStatus.not_begun


NOW = "Tue, 24 Nov 2026 21:00:00 GMT"


@pytest.mark.parametrize(
    ("job", "due"),
    [
        ({"status": "running", "elapsed": 61.0}, "timeout of 60 s"),
        ({"status": "running", "elapsed": 59.0, "created": "2020-01-01T00:00:00Z"}, None),
        ({"status": "pending", "created": "2026-11-24T20:44:59Z"}, "waited for more than 900 s"),
        ({"status": "waiting", "created": "2026-11-24T20:45:01.5Z"}, None),
        ({"status": "successful", "elapsed": 99.0}, None),
        ({"status": "pending", "created": None}, None),
        ({"status": "running", "elapsed": None}, None),
    ],
)
def test_what_takes_too_long_by_awx_own_clock(job: dict[str, Any], due: str | None) -> None:
    why = overdue(job, NOW, 60.0, 900.0)
    assert (why is None) if due is None else (due in str(why))


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_awx_clock_nothing_waits_too_long(date: str | None) -> None:
    assert overdue({"status": "pending", "created": "2020-01-01T00:00:00Z"}, date, 60.0, 900.0) is None


def _event(counter: int, **fields: Any) -> dict[str, Any]:
    data = {"task": f"t{counter}", "res": {}}
    return {"counter": counter, "event": "runner_on_ok", "created": "2026-11-24T20:00:00Z", "event_data": data} | fields


def test_events_become_lines_beyond_the_cursor() -> None:
    lines, cursor = told([_event(1), _event(2), _event(3, event="playbook_on_start")], 1, whole=False)
    assert [line["text"] for line in lines] == ["t2: ok"]
    assert cursor == 3


def test_an_event_after_a_gap_waits_until_awx_has_all() -> None:
    events = [_event(1), _event(3)]
    assert told(events, 0, whole=False)[1] == 1
    lines, cursor = told(events, 0, whole=True)
    assert [line["text"] for line in lines] == ["t1: ok", "t3: ok"]
    assert cursor == 3


def test_an_event_that_cannot_be_read_stops_nothing() -> None:
    lines, cursor = told(
        [_event(1, created=None), _event(2, event_data="?"), {"counter": "x"}, _event(3)], 0, whole=False
    )
    assert [line["text"] for line in lines] == ["t3: ok"]
    assert cursor == 3


def test_nodes_of_a_workflow_are_told_once_in_the_order_of_their_ends() -> None:
    def node(status: str) -> dict[str, Any]:
        return {"summary_fields": {"job": {"name": f"n-{status}", "status": status}}}

    nodes = [node("running"), node("successful"), {"summary_fields": {}}]
    lines, cursor = told_nodes(nodes, 0, 5.0)
    assert lines == ({"at": 5.0, "kind": "task", "text": "n-successful: successful"},)
    nodes[0] = node("failed")
    lines, cursor = told_nodes(nodes, cursor, 6.0)
    assert [line["text"] for line in lines] == ["n-failed: failed"]
    assert told_nodes(nodes, cursor, 7.0) == ((), cursor)


def test_references_are_read_as_they_were_written() -> None:
    for job in (JobId("job", 12), JobId("workflow_job", 3)):
        assert parse_reference(str(job)) == job
    for text in (None, "", "job:", "job:0", "job:-1", "job:1 ", "job:1/../2", "launching:job:1", "jobs:1", "job:1\n"):
        assert parse_reference(text) is None


def test_what_a_launch_made_is_read_from_the_answer() -> None:
    assert job_id({"job": 4, "id": 4, "type": "job"}, "job") == JobId("job", 4)
    assert job_id({"workflow_job": 5}, "workflow_job") == JobId("workflow_job", 5)
    # A job template that slices its jobs makes a workflow job.
    assert job_id({"workflow_job": 6, "id": 6, "type": "workflow_job"}, "job") == JobId("workflow_job", 6)
    for answer in ({}, {"id": "4"}, {"id": 4, "type": "project_update"}, {"id": -4}):
        with pytest.raises(ValueError, match="no job"):
            job_id(answer, "job")


def test_links_lead_to_the_page_behind_the_login() -> None:
    assert output_link("https://awx/", JobId("job", 4)) == "https://awx/#/jobs/playbook/4/output"
    assert output_link("https://awx", JobId("workflow_job", 5)) == "https://awx/#/jobs/workflow/5/output"


def test_an_error_without_words_is_told_by_the_end_of_its_traceback() -> None:
    assert "no route" in str(standing({"status": "error", "result_traceback": "Traceback\n  x\nno route\n"}).why)
    assert "no explanation given" in str(standing({"status": "error"}).why)
