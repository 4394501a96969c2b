# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have AWX carry out runs: launched once, followed to the end, cancelled when they take too long.

How a run is launched once, although answers get lost and several receivers work on it:

The first look only checks, and gives the receiver a reference ``launching:TOKEN`` to keep.  The database takes it from
the holder of the run's lease alone.  Only the launcher that made the token posts, and only in a look at a run that the
database shows with it, so that whoever finds a run without a reference knows that nobody has posted.  Whoever finds a
token of somebody else, or does not know what came of its own post, looks for the job by the mark in its variables for
``settle_s`` seconds, and only then makes a token of its own.  Should two jobs be there after all, the older one is the
run's and the others are cancelled.

No clock of a receiver is compared with another one's: durations are measured within one process, ages by AWX's clock.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import structlog

from autoglm_recovery.receiver.runs.awx import jobs, launch_request
from autoglm_recovery.receiver.runs.awx.client import AwxClient, AwxRefused, AwxUnavailable, Deadline
from autoglm_recovery.receiver.runs.awx.finder import JobFinder
from autoglm_recovery.receiver.runs.awx.following import Following, FollowMemory
from autoglm_recovery.receiver.runs.awx.jobs import JobId
from autoglm_recovery.receiver.runs.awx.preflight import LaunchableTemplate, preflight
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunRecord, RunReport, RunSpec, RunStatus

_INTENT = "launching:"
_LONGEST_BACKOFF_S = 30.0
_LEAST_CANCEL_PAUSE_S = 1.0

log = structlog.get_logger()


@dataclass
class _Memory:
    """What this process knows about a run, all of it only to save time.  Times are ``time.monotonic()``."""

    token: str | None = None
    posted_at: float | None = None
    unclear_since: float | None = None
    unreachable_since: float | None = None
    next_look_at: float = 0.0
    ready: LaunchableTemplate | None = None
    # Why a person wants it ended: what is not launched yet never is.
    cancelled: str | None = None
    cancel_again_at: float = 0.0
    # An earlier launch of this process may have made a job of its own.
    may_be_two: bool = False
    # A job that was launched but not as ordered, and why: it must be cancelled before anything else.
    wrong: tuple[JobId, str] | None = None
    following: FollowMemory = field(default_factory=FollowMemory)

    def surely_not_posted(self, reference: str | None) -> bool:
        """Tell whether nobody can have asked AWX to launch the run that has this reference."""
        if reference is None:
            return self.token is None or self.posted_at is None
        # A job was posted by somebody, whatever this process remembers; so may have been what cannot be read.
        return reference == f"{_INTENT}{self.token}" and self.posted_at is None

    def surely_no_job(self, reference: str | None) -> bool:
        """Tell whether the run that has this reference has no job: nobody has asked for one, or it would be there."""
        settled = self.may_be_two and self.posted_at is None and jobs.parse_reference(reference) is None
        return settled or self.surely_not_posted(reference)


class AwxLauncher:
    """Implements ``Launcher`` with AWX."""

    name = "awx"
    outlives_receiver = True

    def __init__(self, settings: AwxSettings, runs_in: Path | None = None) -> None:
        """Open no connection yet.  Below ``runs_in`` the evidence of runs is kept."""
        self._settings = settings
        self._client = AwxClient(settings)
        self._finder = JobFinder(self._client, settings)
        self._following = Following(self._client, self._finder, settings, runs_in)
        self._memory: dict[int, _Memory] = {}
        self._failures = 0
        self._silent_until = 0.0
        self._silent_why = ""

    def close(self) -> None:
        """Close the connections; jobs go on."""
        self._client.close()

    def look(self, run: RunRecord, order: Callable[[], RunSpec]) -> RunReport:
        """See ``Launcher.look``."""
        memory = self._memory.setdefault(run.id, _Memory())
        now = time.monotonic()
        if now < self._silent_until:
            return self._not_now(run, memory, self._silent_why)
        if now < memory.next_look_at:
            return as_before(run)
        deadline = Deadline(self._settings.look_timeout_s)
        try:
            look = self._follow_job(run, memory, order, deadline)
        except AwxUnavailable as error:
            self._back_off(error)
            return self._not_now(run, memory, str(error))
        except LaunchRefused as refused:
            refused.launched |= not memory.surely_no_job(run.reference)
            raise
        except AwxRefused as error:
            if memory.surely_not_posted(run.reference):
                raise LaunchRefused(str(error)) from error
            self._back_off(AwxUnavailable(str(error), processed=False))
            return self._not_now(run, memory, str(error))
        self._failures = 0
        memory.unreachable_since = None
        memory.next_look_at = time.monotonic() + (self._settings.poll_every_s if _has_job(look) else 0.0)
        if look.status is RunStatus.ended:
            self._memory.pop(run.id, None)
        return look

    def cancel(self, run: RunRecord, why: str) -> None:
        """See ``Launcher.cancel``.

        Raises AwxUnavailable if AWX cannot be asked; the job may be going on, and cancel must be called again.
        """
        memory = self._memory.setdefault(run.id, _Memory())
        memory.cancelled = why
        now = time.monotonic()
        # AWX takes up to 20 s to end a job, and need not be told in between; nor while it does not answer at all.
        if now < max(memory.cancel_again_at, self._silent_until):
            return
        memory.cancel_again_at = now + max(_LEAST_CANCEL_PAUSE_S, self._settings.poll_every_s)
        deadline = Deadline(self._settings.look_timeout_s)
        job = jobs.parse_reference(run.reference)
        try:
            found = [job] if job else self._finder.search(run, deadline)
            for each in found:
                self._finder.cancel(each, why, deadline)
        except AwxUnavailable as error:
            self._back_off(error)
            memory.cancel_again_at = 0.0
            raise
        if not found and not memory.surely_not_posted(run.reference):
            log.warning("cancelled before its job was found; should it appear, it is not followed", run=run.id)

    def _follow_job(
        self, run: RunRecord, memory: _Memory, order: Callable[[], RunSpec], deadline: Deadline
    ) -> RunReport:
        if memory.wrong is not None:
            self._refuse_wrong(*memory.wrong, deadline)
        job = jobs.parse_reference(run.reference)
        # Nobody but this process posts under its word, and it has not: the first look has searched already.
        ours = memory.token is not None and memory.surely_not_posted(run.reference)
        if job is None and not ours:
            job = self._finder.adopt(run, deadline)
        if job is not None:
            return self._following.look(run, job, memory.following, order, deadline)
        return self._begin(run, memory, order, deadline)

    # Beginning a run

    def _begin(self, run: RunRecord, memory: _Memory, order: Callable[[], RunSpec], deadline: Deadline) -> RunReport:
        if self._unclear(run, memory):
            why = "AWX may have been asked to launch it, and the answer was lost; looking for the job"
            return RunReport(RunStatus.running, cursor=run.cursor, why=why, reference=run.reference, started=False)
        if memory.cancelled is not None:
            self._memory.pop(run.id, None)
            return RunReport(RunStatus.ended, cursor=run.cursor, why=f"not launched: {memory.cancelled}", started=False)
        wanted = order()
        body = launch_request.launch_body(wanted, launch_request.mark(self._settings.installation, run))
        if memory.ready is None or memory.token is None:
            template = self._finder.template(run.action, deadline)
            kind = self._settings.template(run.action)
            memory.ready = preflight(self._client, kind, template, wanted.limit, deadline)
        if memory.token is None:
            memory.token = uuid.uuid4().hex
        intent = _INTENT + memory.token
        if run.reference != intent:
            # Not kept yet, or no longer: said until it is, for nobody would find what was posted without it.
            why = f"about to be launched from AWX's template {memory.ready.name!r}"
            # Alive, because that is what the receiver keeps a reference of.
            return RunReport(RunStatus.running, cursor=run.cursor, why=why, reference=intent, started=False)
        return self._post(run, memory, memory.ready, body, deadline)

    def _unclear(self, run: RunRecord, memory: _Memory) -> bool:
        """Tell whether a job may still appear that this process knows nothing about.

        When its time is over, what was known about earlier attempts is forgotten.
        """
        if memory.surely_not_posted(run.reference):
            return False
        now = time.monotonic()
        memory.unclear_since = memory.unclear_since or memory.posted_at or now
        if now - memory.unclear_since < self._settings.settle_s:
            return True
        memory.token = memory.posted_at = memory.unclear_since = None
        memory.may_be_two = True
        return False

    def _post(
        self, run: RunRecord, memory: _Memory, ready: LaunchableTemplate, body: Mapping[str, Any], deadline: Deadline
    ) -> RunReport:
        if deadline.overdue:
            # This process was stopped while it looked: somebody else may have the run now.
            why = "this receiver was stopped while it was about to launch"
            return RunReport(RunStatus.running, cursor=run.cursor, why=why, reference=run.reference, started=False)
        memory.posted_at = time.monotonic()
        try:
            # What is left of the look's time may be little, and a post must not be cut short for that.
            answer = self._client.post(ready.path, Deadline(self._settings.call_timeout_s), body)
        except AwxUnavailable as error:
            if not error.processed:
                memory.posted_at = None
            raise
        except AwxRefused as error:
            memory.posted_at = None
            # AWX says the same of both.
            need = "; its user needs the role Execute, and its token the scope write" if error.status == 403 else ""
            raise LaunchRefused(f"AWX refused to launch {ready.name!r}: {error}{need}") from error
        try:
            job = jobs.job_id(answer, ready.kind)
        except ValueError as error:
            raise AwxUnavailable(str(error), processed=True) from error
        wrong = launch_request.check_launched(answer, body, ready.kind, ready.name)
        if wrong:
            memory.wrong = job, wrong
            self._refuse_wrong(job, wrong, Deadline(self._settings.call_timeout_s))
        log.info("launched in AWX", run=run.id, job=str(job), template=ready.name)
        if memory.may_be_two:
            job = self._oldest(run, job, deadline)
        return self._following.looked(run, job, RunStatus.running, why=f"AWX launched {job}")

    def _oldest(self, run: RunRecord, job: JobId, deadline: Deadline) -> JobId:
        """After a launch whose answer was lost: return the older of two jobs, and have the other one ended."""
        try:
            return self._finder.adopt(run, deadline) or job
        except (AwxUnavailable, AwxRefused) as error:
            log.warning("whether it is the run's only job could not be checked", run=run.id, why=str(error))
            return job

    def _refuse_wrong(self, job: JobId, why: str, deadline: Deadline) -> NoReturn:
        """Cancel a job that is not what was ordered; if AWX does not answer, the next look tries again."""
        self._finder.cancel(job, why, deadline)
        raise LaunchRefused(f"{why}; the job {job} was cancelled")

    # When AWX does not answer

    def _back_off(self, error: AwxUnavailable) -> None:
        """Leave AWX alone for a while, longer each time; every run shares that."""
        self._failures += 1
        wait = error.wait_s or min(_LONGEST_BACKOFF_S, 0.5 * 2 ** min(self._failures - 1, 10))
        self._silent_until = time.monotonic() + wait
        self._silent_why = str(error)
        log.warning("AWX does not answer", why=str(error), again_in_s=wait)

    def _not_now(self, run: RunRecord, memory: _Memory, why: str) -> RunReport:
        now = time.monotonic()
        memory.unreachable_since = memory.unreachable_since or now
        begun = jobs.parse_reference(run.reference) is not None or not memory.surely_not_posted(run.reference)
        if not begun and now - memory.unreachable_since > self._settings.give_up_s:
            self._memory.pop(run.id, None)
            given_up = f"given up: not launched for {self._settings.give_up_s:.0f} s. {why}"
            return RunReport(RunStatus.ended, cursor=run.cursor, why=given_up, started=False)
        started = jobs.parse_reference(run.reference) is not None
        return RunReport(RunStatus.running, cursor=run.cursor, why=why, reference=run.reference, started=started)


def as_before(run: RunRecord) -> RunReport:
    """Return a look that has shown nothing new."""
    if run.reference is None:
        return RunReport(RunStatus.not_begun, cursor=run.cursor)
    started = jobs.parse_reference(run.reference) is not None
    return RunReport(RunStatus.running, cursor=run.cursor, reference=run.reference, started=started)


def _has_job(look: RunReport) -> bool:
    return jobs.parse_reference(look.reference) is not None
