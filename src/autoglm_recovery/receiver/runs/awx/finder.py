# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the job of a run among all of AWX's jobs, and end jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from autoglm_recovery.receiver.runs.awx import jobs, launch_request
from autoglm_recovery.receiver.runs.awx.client import AwxClient, AwxRefused, AwxUnavailable, Deadline
from autoglm_recovery.receiver.runs.awx.jobs import JobId
from autoglm_recovery.receiver.runs.awx.preflight import find_template
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunRecord, RunStatus

# So many of a template's newest jobs (of the run's host, where AWX can search that) are looked through.
_SEARCHED_JOBS = 100
_SEARCHED_PAGES = 5

log = structlog.get_logger()


class JobFinder:
    """Knows the jobs of runs by the mark in their variables."""

    def __init__(self, client: AwxClient, settings: AwxSettings) -> None:
        """Share the launcher's client."""
        self._client = client
        self._settings = settings
        self._last: tuple[Deadline, str, Mapping[str, Any]] | None = None

    def template(self, action: str, deadline: Deadline) -> Mapping[str, Any]:
        """Find the template that carries out an action; AWX is asked once in each look.

        Raises LaunchRefused if there is not exactly one.
        """
        if self._last is None or self._last[0] is not deadline or self._last[1] != action:
            self._last = deadline, action, find_template(self._client, self._settings.template(action), deadline)
        return self._last[2]

    def adopt(self, run: RunRecord, deadline: Deadline) -> JobId | None:
        """Find the run's job by its mark; of several the oldest is the run's, and the others are cancelled.

        So is one whose limit AWX ignored, of which the answer that said so was lost.

        Raises LaunchRefused if there is no other.
        """
        found = self._marked(run, deadline)
        if not found:
            return None
        kept = next((job for job, shown in found if shown.get("limit") == run.host), None)
        wrong = launch_request.other_limit(found[0][1], self._settings.template(run.action).name)
        for other in (job for job, _shown in found if job != kept):
            try:
                self.cancel(other, f"run {run.id} already has {kept}" if kept else wrong, deadline)
            except AwxUnavailable as error:
                if kept is None:
                    raise
                # The run's own job is followed whether or not the other one could be ended.
                log.warning("a second job could not be cancelled", job=str(other), why=str(error))
        if kept is None:
            raise LaunchRefused(f"{wrong}; the job {found[0][0]} was cancelled", launched=True)
        return kept

    def search(self, run: RunRecord, deadline: Deadline) -> list[JobId]:
        """Return the jobs that carry the run's mark, oldest first."""
        return [job for job, _shown in self._marked(run, deadline)]

    def _marked(self, run: RunRecord, deadline: Deadline) -> list[tuple[JobId, Mapping[str, Any]]]:
        wanted = self._settings.template(run.action)
        kind = "workflow_job" if wanted.workflow else "job"
        marked = launch_request.mark(self._settings.installation, run)
        template = self.template(run.action, deadline)
        found = [
            (jobs.job_id(job, kind), job)
            for job in self._newest(kind, template, run.host, deadline)
            if self._carries(job, kind, marked, deadline)
        ]
        return sorted(found, key=lambda each: each[0].number)

    def _newest(
        self, kind: str, template: Mapping[str, Any], host: str, deadline: Deadline
    ) -> Iterator[Mapping[str, Any]]:
        params: dict[str, Any] = {"order_by": "-id", "page_size": _SEARCHED_JOBS}
        # A workflow job keeps its limit where AWX cannot search it.  A job whose limit was ignored has the template's.
        limits = {"or__limit__exact": [host, template.get("limit") or ""]} if kind == "job" else {}
        path = f"{kind}s/"
        params = {f"{kind}_template": launch_request.number_of(template), **limits, **params}
        for page in self._client.pages(path, deadline, most=_SEARCHED_PAGES, **params):
            yield from page

    def _carries(self, job: Mapping[str, Any], kind: str, marked: str, deadline: Deadline) -> bool:
        shown = launch_request.carries(job, marked)
        if shown is None:
            shown = launch_request.carries(self._client.get(jobs.job_id(job, kind).path, deadline), marked)
        return bool(shown)

    def cancel(self, job: JobId, why: str, deadline: Deadline) -> None:
        """End a job.  Does nothing where it has ended.

        Raises AwxUnavailable if AWX does not do it now.
        """
        log.warning("cancelling a job in AWX", job=str(job), why=why)
        try:
            self._client.post(f"{job.path}cancel/", deadline, {})
        except AwxRefused as error:
            # 405: it has ended; 404: it is gone.  There is nothing to end.  Who is no superuser is told 403 where an
            # administrator is told 405 (awx/main/access.py, can_cancel), so that the job itself has to be asked.
            if error.status in (404, 405) or (error.status == 403 and self._has_ended(job, deadline)):
                return
            raise AwxUnavailable(f"{job} could not be cancelled: {error}", processed=False) from error

    def _has_ended(self, job: JobId, deadline: Deadline) -> bool:
        try:
            return jobs.standing(self._client.get(job.path, deadline)).status is RunStatus.ended
        except AwxRefused as error:
            return error.status == 404
