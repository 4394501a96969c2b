# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the runs that are not finished: have them launched, tell what was done, take in the outcome.

A receiver follows the runs that it has claimed.  A run whose receiver keeps its lease no longer is taken over: followed
on where its launcher runs it elsewhere, closed as lost where its processes ended with their receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.runs.extra_vars import RunContext, extra_vars
from autoglm_recovery.receiver.runs.leases import LeaseRenewer
from autoglm_recovery.receiver.runs.narrate import VERDICTS
from autoglm_recovery.receiver.runs.protocol import Launcher, LaunchRefused, RunRecord, RunReport, RunSpec, RunStatus
from autoglm_recovery.receiver.runs.run_end import close
from autoglm_recovery.receiver.store import fences, installation, runs
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import RunClaim, Superseded, claim_of
from autoglm_recovery.receiver.values.clock import Clock, wall
from autoglm_recovery.receiver.values.model import FaultMode, RunState, Target
from autoglm_recovery.receiver.verify.correction import corrected

log = structlog.get_logger()


class Follower:
    """Follows through launchers; everything about a run is in the database and with its launcher."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        keeper: LeaseRenewer,
        launchers: Mapping[str, Launcher],
        clock: Clock = wall,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._keeper = keeper
        self._launchers = launchers
        self._clock = clock
        # What runs wait for that are looked after and not begun, as far as it was told.
        self._waited: dict[int, str | None] = {}

    def take_up(self) -> None:
        """Claim what this receiver followed before it was restarted."""
        with self._database.writing() as connection:
            claims = runs.take_up(connection, self._keeper.lease)
        if claims:
            self._keeper.renew()
            log.info("took up runs of before", runs=[claim.run_id for claim in claims])

    def step(self, config: SiteConfig, after_each: Callable[[], None] = lambda: None) -> int:
        """Look at every unfinished run; return how many of them this receiver had to look at."""
        lease = self._keeper.lease
        with self._database.reading() as connection:
            unfinished = runs.unfinished(connection)
            lapsed = runs.lapsed(connection, lease) if len(unfinished) else []
        for run in lapsed:
            self._log_failure_of(self._take_over, run, config)
            after_each()
        mine = [run for run in unfinished if run.owner == lease.owner]
        if any(not self._keeper.holds(run.id) for run in mine):
            self._keeper.renew()
        for run in mine:
            self._log_failure_of(self._follow, run, config)
            after_each()
        return len(mine) + len(lapsed)

    def next_lapse(self) -> float | None:
        """Return in how many seconds a run of another receiver may have to be taken over."""
        with self._database.reading() as connection:
            return runs.next_lapse(connection, self._keeper.lease)

    def _log_failure_of(self, do: Any, run: sa.Row[Any], config: SiteConfig) -> None:
        try:
            do(run, config)
        except Superseded as refused:
            # Somebody took the run over while this receiver was frozen or cut off: what it knows of it is old.
            self._metrics.late_write()
            log.warning("late write refused", run=run.id, fence=run.fence, reason=str(refused))
            self._give_up(run, str(refused))
        except Exception:  # one run that cannot be followed must not stop the others
            log.exception("run could not be followed", run=run.id)

    def _give_up(self, run: sa.Row[Any], why: str) -> None:
        launcher = self._launchers.get(run.launcher)
        if launcher is not None and not launcher.outlives_receiver:
            launcher.cancel(_record_of(run), why)

    def _take_over(self, run: sa.Row[Any], config: SiteConfig) -> None:
        lease = self._keeper.lease
        launcher = self._launchers.get(run.launcher)
        goes_on = launcher is not None and launcher.outlives_receiver
        look = RunReport(RunStatus.lost, why=f"its receiver {run.owner} died or froze, and its processes ended with it")
        state = None
        with self._database.writing() as connection:
            claim = runs.take_over(connection, run, lease)
            if claim is None:
                return
            text = f"receiver {run.owner} keeps its lease no longer; {lease.owner} took the run over, fencing token "
            store.tell(connection, run.incident_id, self._clock(), "taken_over", f"{text}{claim.fence}")
            if not goes_on:
                # With the claim or not at all: whoever has a run that is not ended follows it, and would begin it.
                state = close(connection, run, claim, config, look, self._clock())
        self._metrics.taken_over()
        log.warning("run taken over", run=run.id, was=run.owner, fence=claim.fence)
        if state is not None:
            self._give_up(run, str(look.why))
            self._announce_end(run, state)

    def _follow(self, run: sa.Row[Any], config: SiteConfig) -> None:
        launcher = self._launchers.get(run.launcher)
        if launcher is None:
            none = f"this receiver has no launcher {run.launcher!r}"
            # One that has begun runs elsewhere has made it ``running`` before that.
            look = RunReport(RunStatus.lost, why=none, started=run.state != RunState.launching)
            self._finish(run, claim_of(run), config, look)
            return
        view = _record_of(run)
        if run.cancel is not None:
            launcher.cancel(view, run.cancel)
        try:
            look = launcher.look(view, lambda: self._spec_of(run, config))
        except LaunchRefused as refused:
            look = RunReport(RunStatus.lost, why=str(refused), started=refused.launched)
            self._finish(run, claim_of(run), config, look)
            return
        if look.status is RunStatus.not_begun:
            return
        over = look.status in (RunStatus.ended, RunStatus.lost)
        if look.started or not over:
            self._record_progress(run, look, config)
        if over:
            self._finish(run, claim_of(run), config, look)

    def _spec_of(self, run: sa.Row[Any], config: SiteConfig) -> RunSpec:
        with self._database.reading() as connection:
            incident = store.incident(connection, run.incident_id)
            name = installation.name(connection)
        assert incident is not None  # noqa: S101 - a foreign key says so
        opened_at = datetime.fromtimestamp(incident.opened_at, UTC).isoformat()
        policy, repertoire = config.policy, config.policy.repertoire
        evidence = policy.evidence(incident.failure_class, run.action)
        timeout_s = policy.timeout(incident.failure_class, run.launcher, run.action).total_seconds()
        errand = RunContext(run.action, run.attempt, run.fence, opened_at, run.key, name, evidence)
        if run.action in policy.actions:
            errand = replace(errand, host_wide=repertoire.host_wide(run.action), timeout_s=timeout_s)
        variables = extra_vars(incident._asdict(), errand, repertoire.variables(run.action))
        return RunSpec(repertoire.playbook(run.action), run.host, config.inventory, timeout_s, variables)

    def _record_progress(self, run: sa.Row[Any], look: RunReport, config: SiteConfig) -> None:
        begun = run.state == RunState.launching
        text = self._begun_or_not(run, look)
        known = {"cursor": look.cursor, "reference": look.reference or run.reference, "link": look.link or run.link}
        if not begun and text is None and all(getattr(run, name) == value for name, value in known.items()):
            return
        # By what its launcher calls it a run is found again, and not launched twice: that must be on disk.
        named = known["reference"] != run.reference
        with self._database.writing() if named else self._database.noting() as connection:
            runs.report(connection, claim_of(run), state=RunState.running, **known)
            if text is not None:
                store.tell(connection, run.incident_id, self._clock(), "run_started", text)
            for line in look.lines:
                store.tell(connection, run.incident_id, line["at"], line["kind"], without_secrets(line["text"]))
            _note_causes(connection, run, look, self._clock())
            if run.action != runs.CHECK:
                self._correct_class(connection, run, look, config)
            read = _worst_reading(run, look)
            if read is not None:
                runs.report(connection, claim_of(run), verdict=read["verdict"], said=without_secrets(read["text"]))
            refusal = _highest_refusal(look)
            # Whoever wrote the line: it can say that this host has seen a higher token, and nothing else.
            if refusal is not None and fences.raise_to(connection, run.host, refusal["mark"]):
                runs.report(connection, claim_of(run), refused=without_secrets(refusal["text"]))
            holder = next((line["holder"] for line in look.lines if isinstance(line.get("holder"), str)), None)
            if holder is not None:
                runs.report(connection, claim_of(run), held_by=without_secrets(holder))

    def _begun_or_not(self, run: sa.Row[Any], look: RunReport) -> str | None:
        """Return what is new about whether a run was begun, and if not, what it waits for."""
        if look.started:
            waited = self._waited.pop(run.id, None) is not None
            if run.state != RunState.launching and not waited:
                return None
            return f"{run.action} started on {run.host}, run {run.id}"
        if self._waited.get(run.id) == look.why:
            return None
        self._waited[run.id] = look.why
        return without_secrets(f"{run.action} on {run.host}, run {run.id}, is not started yet: {look.why}")

    def _correct_class(self, connection: sa.Connection, run: sa.Row[Any], look: RunReport, config: SiteConfig) -> None:
        """Let what the playbook read before it changed anything name the class."""
        read = next((line for line in look.lines if line.get("verdict") in VERDICTS), None)
        if read is None or read["verdict"] != "unhealthy" or run.verdict is not None:
            return
        incident = store.incident(connection, run.incident_id)
        assert incident is not None  # noqa: S101 - a foreign key says so
        found = corrected(incident.failure_class, read.get("failure_class"))
        if found is None:
            return
        was, now = incident.failure_class, self._clock()
        mode = _mode_as(
            connection, incident, found, run, now - config.policy.recovery.persistent_within.total_seconds()
        )
        store.update(connection, incident.id, now, failure_class=found, ruled_out=was, fault_mode=mode)
        text = f"class {found}, and not {was}: the playbook's own reading says so"
        store.tell(connection, incident.id, now, "classified", text)
        self._metrics.class_corrected(was, found)
        log.info("class corrected", incident=incident.id, was=was, failure_class=found)

    def _finish(self, run: sa.Row[Any], claim: RunClaim, config: SiteConfig, look: RunReport) -> None:
        with self._database.writing() as connection:
            state = close(connection, run, claim, config, look, self._clock())
        self._announce_end(run, state)

    def _announce_end(self, run: sa.Row[Any], state: RunState) -> None:
        """Tell of the end of a run, once it is committed."""
        self._waited.pop(run.id, None)
        if run.action != runs.CHECK:
            self._metrics.run_ended(run.action, state)
        log.info("run ended", incident=run.incident_id, run=run.id, host=run.host, action=run.action, state=state)


def _mode_as(
    connection: sa.Connection, incident: sa.Row[Any], failure_class: str, run: sa.Row[Any], since: float
) -> str:
    """Say whether a failure came back, now that it is known of which class it is."""
    if incident.fault_mode == FaultMode.partitioned or run.attempt > 1:
        return str(incident.fault_mode)
    target = Target(incident.host, incident.service, incident.pool, incident.gpu)
    again = store.earlier_actions(connection, target, failure_class, since=since, before=incident.id)
    return (FaultMode.persistent if again else FaultMode.transient).value


def _record_of(run: sa.Row[Any]) -> RunRecord:
    return RunRecord(
        id=run.id,
        incident_id=run.incident_id,
        host=run.host,
        action=run.action,
        attempt=run.attempt,
        fence=run.fence,
        directory=Path(run.directory),
        started_at=run.started_at,
        reference=run.reference,
        cursor=run.cursor,
        key=run.key,
        begun=run.state == RunState.running,
    )


def _note_causes(connection: sa.Connection, run: sa.Row[Any], look: RunReport, now: float) -> None:
    """Keep what a person wants to read first of a run and of its incident."""
    for line in look.lines:
        if line["kind"] == "cause":
            runs.report(connection, claim_of(run), cause=without_secrets(line["text"]))
        elif line["kind"] == "last words":
            store.update(connection, run.incident_id, now, cause=without_secrets(line["text"]))


def _worst_reading(run: sa.Row[Any], look: RunReport) -> Mapping[str, Any] | None:
    """Return the line with the worst that was read of the service, if it is worse than what is known."""
    worst = [None, *VERDICTS].index(run.verdict)
    read = [line for line in look.lines if line.get("verdict") in VERDICTS[worst:]]
    return max(read, key=lambda line: VERDICTS.index(line["verdict"]), default=None)


def _highest_refusal(look: RunReport) -> Mapping[str, Any] | None:
    """Return the line with the highest mark because of which the host refused the run."""
    refusals = [line for line in look.lines if isinstance(line.get("mark"), int)]
    return max(refusals, key=lambda line: int(line["mark"]), default=None)
