# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX says about a job, in the receiver's words.  Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from autoglm_recovery.receiver.launcher import Life
from autoglm_recovery.receiver.narrate import narrate

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
    """Read what C(str(JobId)) wrote; anything else is no job."""
    found = _REFERENCE.match(reference or "")
    return JobId(found[1], int(found[2])) if found else None


def job_id(job: Mapping[str, Any], kind: str) -> JobId:
    """Name a job that AWX returned.  A job template that slices its jobs answers with a workflow job.

    :raises ValueError: if AWX returned no job.
    """
    kind = str(job.get("type") or kind)
    number = job.get("id") or job.get(kind)
    if kind not in _COLLECTIONS or not isinstance(number, int) or number < 1:
        raise ValueError(f"AWX returned no job but {kind} {number!r}")
    return JobId(kind, number)


@dataclass(frozen=True)
class Standing:
    """How a job stands: C(rc) and C(why) are for one that has ended."""

    life: Life
    rc: int | None = None
    why: str | None = None


def standing(job: Mapping[str, Any], timeout_s: float | None = None) -> Standing:
    """Read a job's status.  A status that is not known here is taken for one that goes on, and said."""
    status = job.get("status")
    explanation = " ".join(str(job.get("job_explanation") or "").split())[:300]
    if status in _GOING_ON:
        return Standing(Life.alive, why=None if status == "running" else f"AWX: {status}")
    if status == "successful":
        return Standing(Life.ended, rc=0)
    if status == "failed":
        return Standing(Life.ended, rc=1, why=explanation or None)
    if status == "canceled":
        elapsed = job.get("elapsed")
        late = timeout_s is not None and isinstance(elapsed, (int, float)) and elapsed >= timeout_s
        why = f"cancelled in AWX after {timeout_s:.0f} s, its timeout" if late else "cancelled in AWX"
        return Standing(Life.ended, why=f"{why}: {explanation}" if explanation else why)
    if status == "error":
        return Standing(Life.ended, why=f"AWX could not run it: {explanation or 'no explanation given'}")
    return Standing(Life.alive, why=f"AWX gives a status that is not known here: {str(status)[:40]!r}")


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
        now = parsedate_to_datetime(awx_now or "")
    except ValueError:
        return None
    zoned = born if born.tzinfo else born.replace(tzinfo=UTC)
    return (now - zoned).total_seconds()


def told(events: Sequence[Mapping[str, Any]], cursor: int, *, whole: bool) -> tuple[tuple[Mapping[str, Any], ...], int]:
    """Return the timeline lines of events beyond the cursor, and the new cursor.

    Events reach AWX's database out of order: one after a gap waits until the gap is filled, or until AWX says that it
    has all (C(whole)).
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
        if job is None or job.get("status") in _GOING_ON or cursor >> place & 1:
            continue
        cursor |= 1 << place
        lines.append({"at": now, "kind": "task", "text": f"{job.get('name')}: {job.get('status')}"[:600]})
    return tuple(lines), cursor


def node_job(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a workflow's node says about its job, if that has begun."""
    summary = node.get("summary_fields")
    job = summary.get("job") if isinstance(summary, Mapping) else None
    return job if isinstance(job, Mapping) else None


def output_link(url: str, job: JobId, related: Any) -> str:
    """Return where a person reads the whole output: the page of the output, or of the workflow."""
    if job.kind == "job" and isinstance(related, Mapping) and isinstance(related.get("stdout"), str):
        path = related["stdout"]
        # Only a path: a link to another host would be somebody else's page.
        if path.startswith("/") and not path.startswith("//"):
            return f"{url.rstrip('/')}{path}?format=html"
    page = "playbook" if job.kind == "job" else "workflow"
    return f"{url.rstrip('/')}/#/jobs/{page}/{job.number}/output"
