# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow a job of AWX's to its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_recovery.receiver.awx import jobs
from autoglm_recovery.receiver.awx.client import AwxClient, AwxRefused, AwxUnavailable, Deadline
from autoglm_recovery.receiver.awx.finder import JobFinder
from autoglm_recovery.receiver.awx.jobs import JobId
from autoglm_recovery.receiver.awx.settings import AwxSettings
from autoglm_recovery.receiver.launcher import Life, Look, Order, RunView

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

    def __init__(self, client: AwxClient, finder: JobFinder, settings: AwxSettings) -> None:
        """Share the launcher's client."""
        self._client = client
        self._finder = finder
        self._settings = settings

    def look(
        self, run: RunView, job: JobId, memory: FollowMemory, order: Callable[[], Order], deadline: Deadline
    ) -> Look:
        """Tell how the job stands.

        :raises AwxUnavailable: if AWX does not say.
        """
        try:
            shown, awx_now = self._client.get_dated(job.path, deadline)
        except AwxRefused as error:
            if error.status != 404:
                raise AwxUnavailable(str(error), processed=False) from error
            return Look(Life.ended, cursor=run.cursor, why=f"{job} is not in AWX any more: deleted", reference=str(job))
        if memory.timeout_s is None:
            memory.timeout_s = order().timeout_s
        stands = jobs.standing(shown, memory.timeout_s)
        if stands.life is Life.alive:
            stands = self._cancel_if_overdue(job, shown, awx_now, memory, stands, deadline)
        whole = stands.life is Life.ended and self._has_all(shown, memory)
        lines, cursor, more = self._news(job, run.cursor, deadline, whole=whole)
        rc, why = stands.rc, stands.why
        if stands.life is Life.ended:
            if more or not whole:
                return self.looked(run, job, shown, Life.alive, lines=lines, cursor=cursor, why=_LAST_EVENTS)
            if rc == 0 and self._touched_nothing(job, deadline):
                rc, why = 1, "its play matched no host, so that nothing was done"
        return self.looked(run, job, shown, stands.life, lines=lines, cursor=cursor, why=why, rc=rc)

    def looked(
        self,
        run: RunView,
        job: JobId,
        shown: Mapping[str, Any],
        life: Life,
        *,
        lines: tuple[Mapping[str, Any], ...] = (),
        cursor: int | None = None,
        why: str | None = None,
        rc: int | None = None,
    ) -> Look:
        """Build a look at a job that AWX has shown."""
        link = jobs.output_link(self._settings.url, job, shown.get("related"))
        return Look(life, lines, run.cursor if cursor is None else cursor, rc, why, str(job), link)

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
        stands: jobs.Standing,
        deadline: Deadline,
    ) -> jobs.Standing:
        assert memory.timeout_s is not None  # noqa: S101 - the caller has set it
        why = jobs.overdue(shown, awx_now, memory.timeout_s, self._settings.queue_s)
        if why is None:
            return stands
        if memory.cancelling is None:
            self._finder.cancel(job, why, deadline)
            memory.cancelling = why
        return jobs.Standing(Life.alive, why=f"being cancelled: {why}")

    def _news(
        self, job: JobId, cursor: int, deadline: Deadline, *, whole: bool
    ) -> tuple[tuple[Mapping[str, Any], ...], int, bool]:
        """Return lines, the new cursor, and whether there is more than one look may fetch."""
        if job.kind == "workflow_job":
            nodes = self._client.get(f"{job.path}workflow_nodes/", deadline, order_by="id", page_size=200)
            return *jobs.told_nodes(nodes.get("results", ()), cursor, time.time()), False
        lines: tuple[Mapping[str, Any], ...] = ()
        for _page in range(_EVENT_PAGES_PER_LOOK):
            params = {"order_by": "counter", "counter__gt": cursor, "page_size": _EVENTS_PER_PAGE}
            answer = self._client.get(f"{job.path}job_events/", deadline, **params)
            news, reached = jobs.told(answer.get("results", ()), cursor, whole=whole)
            lines += news
            more, cursor = bool(answer.get("next")) and reached > cursor, reached
            if not more:
                return lines, cursor, False
        return lines, cursor, True

    def _touched_nothing(self, job: JobId, deadline: Deadline) -> bool:
        """Tell whether a job was successful only because no host matched: Ansible's exit code is 0 then."""
        if job.kind == "job":
            params = {"event": "playbook_on_no_hosts_matched", "page_size": 1}
            return bool(self._client.get(f"{job.path}job_events/", deadline, **params).get("results"))
        nodes = self._client.get(f"{job.path}workflow_nodes/", deadline, order_by="id", page_size=200)
        spawned = [jobs.node_job(node) for node in nodes.get("results", ())]
        return any(
            self._touched_nothing(JobId("job", int(each["id"])), deadline)
            for each in spawned
            if each and each.get("type") == "job"
        )
