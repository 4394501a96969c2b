# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX says about a job, in the receiver's words.  Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.receiver.runs.narrate import narrate
from autoglm_recovery.receiver.runs.protocol import RunStatus

MOST_TOLD_NODES = 62

_GOING_ON = frozenset({"new", "pending", "waiting", "running"})
_REFERENCE = re.compile(r"(job|workflow_job):([1-9][0-9]{0,17})\Z", re.ASCII)
_COLLECTIONS = {"job": "jobs", "workflow_job": "workflow_jobs"}


@dataclass(frozen=True)
class JobId:
    """Which job: AWX counts both kinds together but keeps them apart."""

    kind: str
    number: int

    @property
    def path(self) -> str:
        """Return its place below the API's root."""
        return f"{_COLLECTIONS[self.kind]}/{self.number}/"

    def __str__(self) -> str:
        """Return the reference that the receiver's database keeps."""
        return f"{self.kind}:{self.number}"


def parse_reference(reference: str | None) -> JobId | None:
    """Read what ``str(JobId)`` wrote; anything else is no job."""
    found = _REFERENCE.match(reference or "")
    return JobId(found[1], int(found[2])) if found else None


def job_id(job: Mapping[str, Any], kind: str) -> JobId:
    """Name a job that AWX returned.  A job template that slices its jobs answers with a workflow job.

    Raises ValueError if AWX returned no job.
    """
    kind = str(job.get("type") or kind)
    number = job.get("id") or job.get(kind)
    if kind not in _COLLECTIONS or not isinstance(number, int) or number < 1:
        raise ValueError(f"AWX returned no job but {kind} {number!r}")
    return JobId(kind, number)


@dataclass(frozen=True)
class JobStatus:
    """How a job stands: ``rc`` and ``why`` are for one that has ended."""

    status: RunStatus
    rc: int | None = None
    why: str | None = None


def standing(job: Mapping[str, Any], timeout_s: float | None = None) -> JobStatus:
    """Read a job's status.  A status that is not known here is taken for one that goes on, and said."""
    status = str(job.get("status"))
    explanation = _explanation(job)
    if status in _GOING_ON:
        return JobStatus(RunStatus.running, why=None if status == "running" else f"AWX: {status}")
    if status == "successful":
        return JobStatus(RunStatus.ended, rc=0)
    if status == "failed":
        return JobStatus(RunStatus.ended, rc=1, why=explanation or None)
    if status == "canceled":
        elapsed = job.get("elapsed")
        late = timeout_s is not None and isinstance(elapsed, (int, float)) and elapsed >= timeout_s
        why = f"cancelled in AWX after {timeout_s:.0f} s, its timeout" if late else "cancelled in AWX"
        return JobStatus(RunStatus.ended, why=f"{why}: {explanation}" if explanation else why)
    if status == "error":
        return JobStatus(RunStatus.ended, why=f"AWX could not run it: {explanation or 'no explanation given'}")
    return JobStatus(RunStatus.running, why=f"AWX gives a status that is not known here: {status[:40]!r}")


def _explanation(job: Mapping[str, Any]) -> str:
    """Return why AWX says a job ended so: in words, or else the last line of its own traceback."""
    words = str(job.get("job_explanation") or "").strip()
    if not words:
        words = str(job.get("result_traceback") or "").strip().rpartition("\n")[2]
    return one_line(words, 300)


def overdue(job: Mapping[str, Any], awx_now: str | None, timeout_s: float, queue_s: float) -> str | None:
    """Say why a job must be cancelled now, by AWX's own clock; None if it need not be."""
    elapsed = job.get("elapsed")
    if job.get("status") == "running" and isinstance(elapsed, (int, float)) and elapsed > timeout_s:
        return f"it has run for more than its timeout of {timeout_s:.0f} s"
    if job.get("status") in ("new", "pending", "waiting"):
        age = _age(job.get("created"), awx_now)
        if age is not None and age > queue_s:
            return f"it has waited for more than {queue_s:.0f} s to begin"
    return None


def _age(created: Any, awx_now: str | None) -> float | None:
    try:
        born = datetime.fromisoformat(str(created))
        now = bounded_http.moment_of(awx_now)
    except ValueError:
        return None
    born = born if born.tzinfo else born.replace(tzinfo=UTC)
    return (now - born).total_seconds()


def told(events: Sequence[Mapping[str, Any]], cursor: int, *, whole: bool) -> tuple[tuple[Mapping[str, Any], ...], int]:
    """Return the timeline lines of events beyond the cursor, and the new cursor.

    Events reach AWX's database out of order: one after a gap waits until the gap is filled, or until AWX says that it
    has all (``whole``).
    """
    lines: list[Mapping[str, Any]] = []
    for event in events:
        counter = event.get("counter")
        if not isinstance(counter, int) or counter <= cursor:
            continue
        if counter != cursor + 1 and not whole:
            break
        cursor = counter
        try:
            lines.extend(line.as_dict() for line in narrate(event))
        except (KeyError, ValueError):  # an event without its time tells nothing that can be placed
            continue
    return tuple(lines), cursor


def passed(events: Sequence[Mapping[str, Any]], before: int, cursor: int) -> list[Mapping[str, Any]]:
    """Return the events by which the cursor went on."""
    return [each for each in events if isinstance(n := each.get("counter"), int) and before < n <= cursor]


def ended_nodes(nodes: Sequence[Mapping[str, Any]], before: int, cursor: int) -> list[JobId]:
    """Return the jobs of the nodes that were told to have ended between two cursors."""
    places = (place for place in range(min(len(nodes), MOST_TOLD_NODES)) if (cursor & ~before) >> place & 1)
    ended = [node_job(nodes[place]) for place in places]
    return [JobId("job", each["id"]) for each in ended if each and _is_job(each)]


def _is_job(job: Mapping[str, Any]) -> bool:
    return job.get("type") == "job" and isinstance(job.get("id"), int)


def listed(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the objects of a list that AWX answered; none where it is no list."""
    results = answer.get("results")
    return [each for each in results if isinstance(each, Mapping)] if isinstance(results, list) else []


def told_nodes(
    nodes: Sequence[Mapping[str, Any]], cursor: int, now: float
) -> tuple[tuple[Mapping[str, Any], ...], int]:
    """Return lines about the nodes of a workflow that have ended since, and the new cursor.

    Nodes end in any order, so that the cursor has one bit for each, by its place among the nodes' ids; a database
    keeps 63 of them, and nodes beyond are not told.
    """
    lines: list[Mapping[str, Any]] = []
    for place, node in enumerate(nodes[:MOST_TOLD_NODES]):
        job = node_job(node)
        if job is None or str(job.get("status")) in _GOING_ON or cursor >> place & 1:
            continue
        cursor |= 1 << place
        lines.append({"at": now, "kind": "task", "text": f"{job.get('name')}: {job.get('status')}"[:600]})
    return tuple(lines), cursor


def node_job(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a workflow's node says about its job, if that has begun."""
    summary = node.get("summary_fields")
    job = summary.get("job") if isinstance(summary, Mapping) else None
    return job if isinstance(job, Mapping) else None


def waits_for_approval(nodes: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the name of the approval that a workflow waits for, if it waits for one."""
    for node in nodes:
        job = node_job(node)
        if job is not None and job.get("type") == "workflow_approval" and str(job.get("status")) in _GOING_ON:
            return str(job.get("name") or "an approval")[:200]
    return None


def output_link(url: str, job: JobId) -> str:
    """Return the page where a person reads the whole output; who is not logged in comes to it after the login."""
    page = "playbook" if job.kind == "job" else "workflow"
    return f"{url.rstrip('/')}/#/jobs/{page}/{job.number}/output"
