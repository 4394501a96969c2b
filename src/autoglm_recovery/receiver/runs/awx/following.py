# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a job of AWX's to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from autoglm_recovery.receiver.runs import kept_evidence
from autoglm_recovery.receiver.runs.awx import jobs
from autoglm_recovery.receiver.runs.awx.client import AwxClient, AwxRefused, AwxUnavailable, Deadline
from autoglm_recovery.receiver.runs.awx.finder import JobFinder
from autoglm_recovery.receiver.runs.awx.jobs import JobId
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings
from autoglm_recovery.receiver.runs.protocol import RunRecord, RunReport, RunSpec, RunStatus

log = structlog.get_logger()

_EVENTS_PER_PAGE = 200
_EVENT_PAGES_PER_LOOK = 3
# AWX writes the last events of a job some seconds after its status.
_LAST_EVENTS_S = 20.0
_LAST_EVENTS = "ended; waiting for its last events"


@dataclass
class FollowMemory:
    """What this process knows about a job, all of it only to save time."""

    timeout_s: float | None = None
    ended_at: float | None = None
    cancelling: str | None = None


class Following:
    """Reads jobs: status, events, timeouts."""

    def __init__(self, client: AwxClient, finder: JobFinder, settings: AwxSettings, runs_in: Path | None) -> None:
        """Share the launcher's client.  Evidence is kept below ``runs_in``, as that of runs on this machine is."""
        self._runs_in = runs_in
        self._client = client
        self._finder = finder
        self._settings = settings

    def look(
        self, run: RunRecord, job: JobId, memory: FollowMemory, order: Callable[[], RunSpec], deadline: Deadline
    ) -> RunReport:
        """Tell how the job stands.

        Raises AwxUnavailable if AWX does not say.
        """
        try:
            shown, awx_now = self._client.get_dated(job.path, deadline)
        except AwxRefused as error:
            if error.status != 404:
                raise AwxUnavailable(str(error), processed=False) from error
            return RunReport(
                RunStatus.ended, cursor=run.cursor, why=f"{job} is not in AWX any more: deleted", reference=str(job)
            )
        if memory.timeout_s is None:
            memory.timeout_s = order().timeout_s
        stands = jobs.standing(shown, memory.timeout_s)
        if stands.status is RunStatus.running:
            stands = self._cancel_if_overdue(job, shown, awx_now, memory, stands, deadline)
        whole = stands.status is RunStatus.ended and self._has_all(shown, memory)
        lines, cursor, more = self._news(run, job, deadline, whole=whole)
        if stands.status is RunStatus.ended and (more or not whole):
            return self.looked(run, job, RunStatus.running, lines=lines, cursor=cursor, why=_LAST_EVENTS)
        rc, why = stands.rc, stands.why
        if stands.status is RunStatus.ended:
            rc, why = self._verdict(job, shown, stands, memory, deadline)
        return self.looked(run, job, stands.status, lines=lines, cursor=cursor, why=why, rc=rc)

    def _verdict(
        self, job: JobId, shown: Mapping[str, Any], stands: jobs.JobStatus, memory: FollowMemory, deadline: Deadline
    ) -> tuple[int | None, str | None]:
        """Return the exit code of an ended job, None if nobody knows it, and why it is so."""
        if stands.rc is None and memory.cancelling is not None:
            return None, f"{stands.why}: {memory.cancelling}"
        if stands.rc != 0 or self._began_a_task(job, deadline):
            return stands.rc, stands.why
        if shown.get("event_processing_finished") is False:
            return (
                None,
                "AWX calls it successful, but has written no event of it: whether anything was done is not known",
            )
        return 1, "no task was begun on the host, so that nothing was done"

    def looked(
        self,
        run: RunRecord,
        job: JobId,
        status: RunStatus,
        *,
        lines: tuple[Mapping[str, Any], ...] = (),
        cursor: int | None = None,
        why: str | None = None,
        rc: int | None = None,
    ) -> RunReport:
        """Build a look at a job that AWX has shown."""
        link = jobs.output_link(self._settings.url, job)
        return RunReport(status, lines, run.cursor if cursor is None else cursor, rc, why, str(job), link)

    def _has_all(self, shown: Mapping[str, Any], memory: FollowMemory) -> bool:
        """Tell whether AWX has written all events of an ended job, or has had its time for it."""
        memory.ended_at = memory.ended_at or time.monotonic()
        waited = time.monotonic() - memory.ended_at
        return shown.get("event_processing_finished") is not False or waited > _LAST_EVENTS_S

    def _cancel_if_overdue(
        self,
        job: JobId,
        shown: Mapping[str, Any],
        awx_now: str | None,
        memory: FollowMemory,
        stands: jobs.JobStatus,
        deadline: Deadline,
    ) -> jobs.JobStatus:
        assert memory.timeout_s is not None  # noqa: S101 - the caller has set it
        waits = self._waits_for_approval(job, shown, deadline)
        if waits is not None:
            # People take their time, and that is none of the strategy's.
            return jobs.JobStatus(RunStatus.running, why=f"waits for {waits} to be approved in AWX")
        why = jobs.overdue(shown, awx_now, memory.timeout_s, self._settings.queue_s)
        if why is None:
            return stands
        if memory.cancelling is None:
            self._finder.cancel(job, why, deadline)
            memory.cancelling = why
        return jobs.JobStatus(RunStatus.running, why=f"being cancelled: {why}")

    def _news(
        self, run: RunRecord, job: JobId, deadline: Deadline, *, whole: bool
    ) -> tuple[tuple[Mapping[str, Any], ...], int, bool]:
        """Return lines, the new cursor, and whether there is more than one look may fetch."""
        cursor = run.cursor
        if job.kind == "workflow_job":
            nodes = self._nodes(job, deadline)
            told, cursor = jobs.told_nodes(nodes, cursor, time.time())
            for ended in jobs.ended_nodes(nodes, run.cursor, cursor):
                self._keep_evidence_of(run, ended, deadline)
            return told, cursor, False
        lines: tuple[Mapping[str, Any], ...] = ()
        for _page in range(_EVENT_PAGES_PER_LOOK):
            params = {"order_by": "counter", "counter__gt": cursor, "page_size": _EVENTS_PER_PAGE}
            answer = self._client.get(f"{job.path}job_events/", deadline, **params)
            events = jobs.listed(answer)
            news, reached = jobs.told(events, cursor, whole=whole)
            self._keep_evidence(run, jobs.passed(events, cursor, reached))
            lines += news
            more, cursor = bool(answer.get("next")) and reached > cursor, reached
            if not more:
                return lines, cursor, False
        return lines, cursor, True

    def _keep_evidence_of(self, run: RunRecord, job: JobId, deadline: Deadline) -> None:
        """Look once for the evidence among the events of a workflow's job; what cannot be read there stays there."""
        params = {"event": "runner_on_ok", "order_by": "counter", "page_size": _EVENTS_PER_PAGE}
        try:
            for events in self._client.pages(f"{job.path}job_events/", deadline, most=_EVENT_PAGES_PER_LOOK, **params):
                self._keep_evidence(run, events)
        except AwxRefused as error:
            log.warning("the evidence of a workflow's job cannot be read", run=run.id, job=str(job), reason=str(error))

    def _keep_evidence(self, run: RunRecord, events: Sequence[Mapping[str, Any]]) -> None:
        """Keep what events have of evidence: the run's news do not wait for a disk that is full."""
        if self._runs_in is None or not run.directory.name:
            return
        for event in events:
            try:
                kept_evidence.keep(self._runs_in / run.directory.name, event)
            except OSError as error:
                log.warning("evidence could not be kept", run=run.id, reason=str(error))

    def _waits_for_approval(self, job: JobId, shown: Mapping[str, Any], deadline: Deadline) -> str | None:
        if job.kind != "workflow_job" or shown.get("status") != "running":
            return None
        return jobs.waits_for_approval(self._nodes(job, deadline))

    def _nodes(self, job: JobId, deadline: Deadline) -> list[Mapping[str, Any]]:
        answer = self._client.get(f"{job.path}workflow_nodes/", deadline, order_by="id", page_size=200)
        return jobs.listed(answer)

    def _began_a_task(self, job: JobId, deadline: Deadline) -> bool:
        """Tell whether a job began a task on a host: Ansible's exit code is 0 too where no host or no task matched."""
        if job.kind == "job":
            params = {"event__startswith": "runner_on_", "page_size": 1}
            return bool(jobs.listed(self._client.get(f"{job.path}job_events/", deadline, **params)))
        spawned = [jobs.node_job(node) for node in self._nodes(job, deadline)]
        try:
            played = [jobs.job_id(each, "job") for each in spawned if each and each.get("type") == "job"]
        except ValueError as error:
            raise AwxUnavailable(str(error), processed=True) from error
        return bool(played) and all(self._began_a_task(each, deadline) for each in played)
