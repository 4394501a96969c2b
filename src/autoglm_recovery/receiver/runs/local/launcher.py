# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher that runs playbooks on this machine, each under a supervisor of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.receiver.runs import heartbeat
from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.local.container import check_podman
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunRecord, RunReport, RunSpec, RunStatus
from autoglm_recovery.receiver.runs.warm.warmer import Spawned

MOST_SPAWNS = 3

log = structlog.get_logger()


class LocalLauncher:
    """Keeps the processes of runs; everything else about a run is in its directory."""

    name = "local"
    # On a shared database another receiver cannot see this machine's processes; they end with their lease.
    outlives_receiver = False

    def __init__(
        self,
        allowed_until: Callable[[], float],
        spawn: Callable[[Path], Spawned] = run_directory.spawn,
        environment: ExecutionEnvironment | None = None,
    ) -> None:
        """``allowed_until`` tells until when, in ``heartbeat``'s time, the runs of this receiver may go on.

        ``spawn`` starts the supervisor of a prepared run; ``environment`` is the container that playbooks run in.
        """
        self._allowed_until = allowed_until
        self._start = spawn
        self._environment = environment
        self._processes: dict[int, Spawned] = {}
        self._spawns: dict[int, int] = {}

    def look(self, run: RunRecord, order: Callable[[], RunSpec]) -> RunReport:
        """Begin the run if no process has begun it, and tell how it stands.

        Raises LaunchRefused if its process will not start.
        """
        process = self._processes.get(run.id)
        gone = process is None or process.poll() is not None
        status = run_directory.status(run.directory)
        if status is RunStatus.not_begun:
            return self._without_a_trace(run, order, gone)
        lines = tuple(run_directory.told(run.directory, run.cursor))
        cursor = run.cursor + len(lines)
        if status is RunStatus.ended:
            self._forget(run.id)
            result = run_directory.result(run.directory)
            return RunReport(status, lines, cursor, rc=result.get("rc"), why=result.get("why"))
        if status is RunStatus.lost:
            if not gone:
                return RunReport(RunStatus.running, lines, cursor)
            self._forget(run.id)
            left = run_directory.end_left(run.directory)
            why = f"its process is gone without a result; {left} processes it left were ended"
            return RunReport(status, lines, cursor, why=why)
        return RunReport(status, lines, cursor)

    def _without_a_trace(self, run: RunRecord, order: Callable[[], RunSpec], gone: bool) -> RunReport:
        """Begin what has not begun.  What has, and has lost its directory since or never had one here, is cut off."""
        if not run.begun:
            if gone:
                self._spawn(run, order)
            return RunReport(RunStatus.not_begun, cursor=run.cursor)
        if not gone:
            return RunReport(RunStatus.running, cursor=run.cursor)
        self._forget(run.id)
        return RunReport(
            RunStatus.lost, cursor=run.cursor, why=f"it had begun, and nothing of it is in {run.directory}"
        )

    def cancel(self, run: RunRecord, why: str) -> None:
        """Have the supervisor end the run and all that it started."""
        run_directory.cancel(run.directory, why)

    def _spawn(self, run: RunRecord, order: Callable[[], RunSpec]) -> None:
        self._spawns[run.id] = self._spawns.get(run.id, 0) + 1
        if self._spawns[run.id] > MOST_SPAWNS:
            self._forget(run.id)
            raise LaunchRefused(f"its process would not start {MOST_SPAWNS} times; see {run.directory}/supervisor.log")
        try:
            if self._environment is not None:
                check_podman()
            run_directory.prepare(run.directory, order(), self._environment)
            heartbeat.begin(run.directory, self._allowed_until())
            self._processes[run.id] = self._start(run.directory)
        except OSError:
            log.exception("run could not be launched", run=run.id)

    def _forget(self, run_id: int) -> None:
        self._spawns.pop(run_id, None)
        process = self._processes.pop(run_id, None)
        if process is not None:
            process.wait()
