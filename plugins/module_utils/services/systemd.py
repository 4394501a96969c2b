# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is a systemd unit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from ..host import clocks
from ..host.command import Runner, run
from ..host.unread import Unread
from . import protocol, systemctl
from .ownership import Ownership, group_of_unit
from .process import behind_monitor, state_of
from .protocol import Logs, ServiceError, Status, last

_STATES = {
    "active": protocol.RUNNING,
    "reloading": protocol.RUNNING,
    "refreshing": protocol.RUNNING,
    "activating": protocol.STARTING,
    "deactivating": protocol.STOPPING,
    "inactive": protocol.STOPPED,
    "maintenance": protocol.STOPPED,
    "failed": protocol.FAILED,
}


class Unit:
    """A unit of the system's own systemd. timeout: seconds for each command."""

    kind = "systemd"

    def __init__(self, name: str, timeout: float, run_command: Runner = run, proc: Path = Path("/proc")) -> None:
        self.name = systemctl.unit_name(name)
        self._timeout, self._run, self._proc = timeout, run_command, proc

    def status(self) -> Status:
        try:
            return self._status_from(systemctl.show(self.name, self._run, self._timeout))
        except Unread as error:
            return Status(self.kind, self.name, readable=False, reason=str(error))

    def start(self) -> None:
        # Without waiting: a unit of Type=notify counts as started only after it has loaded its model.
        self._run_systemctl("start", "--no-block")

    def ask_to_stop(self, status: Status) -> str:  # noqa: ARG002  # systemd knows better what runs
        # A stop, not a signal: after a signal systemd would restart the unit if Restart= says so.
        self._run_systemctl("stop", "--no-block")
        return "SIGTERM"

    def kill(self, status: Status) -> None:  # noqa: ARG002
        outcome = self._run(["systemctl", "kill", "--signal=SIGKILL", "--", self.name], self._timeout)
        # It fails where nothing is left to kill; the caller checks whether all processes are gone.
        if outcome.rc is None:
            raise ServiceError(outcome.problem)

    def finish(self, status: Status) -> None:
        """Do nothing: systemd ends all processes in the unit's control group."""

    def logs(self, lines: int) -> Logs:
        """The last lines of the unit's journal, systemd's own about it included."""
        argv = ["journalctl", "-n", str(lines), "-o", "short-iso-precise", "--no-pager", "-q", "-u", self.name]
        outcome = self._run(argv, self._timeout)
        if outcome.complaint() and not (outcome.cut and outcome.rc == 0):
            raise Unread(f"journalctl: {outcome.complaint()}")
        text = last(outcome.stdout)
        if not text.strip():
            raise Unread(f"the journal has no entry of {self.name}")
        return Logs(text, " ".join(argv))

    def describe(self) -> Logs:
        """All properties of the unit, and the unit file as it is in force."""
        shown = systemctl.show(self.name, self._run, self._timeout)
        text = "".join(f"{key}={value}\n" for key, value in shown.items())
        file = self._run(["systemctl", "cat", "--no-pager", "--", self.name], self._timeout)
        shown_file = file.stdout.decode("utf-8", "replace")
        if file.complaint():
            shown_file = f"(systemctl cat: {file.complaint()})\n"
        return Logs(f"{text}\n{shown_file}", f"systemctl show {self.name}; systemctl cat {self.name}")

    def ownership(self) -> Ownership:
        return Ownership(unit_group=group(self.name, systemctl.show(self.name, self._run, self._timeout)))

    def forget_failures(self) -> None:
        self._run(["systemctl", "reset-failed", "--", self.name], self._timeout)

    def _run_systemctl(self, *words: str) -> None:
        outcome = self._run(["systemctl", *words, "--", self.name], self._timeout)
        if outcome.complaint():
            raise ServiceError(f"systemctl {words[0]} {self.name}: {outcome.complaint()}")

    def _status_from(self, shown: Mapping[str, str]) -> Status:
        if shown["ActiveState"] not in _STATES:
            raise Unread(f"systemctl show {self.name}: ActiveState {shown['ActiveState']} is not known here")
        main = systemctl.main_pid(shown)
        pid = None if main is None else behind_monitor(self._proc, main)
        exists = shown.get("LoadState") != "not-found"
        began = None if pid is None else systemctl.started_at(shown)
        return Status(
            self.kind,
            self.name,
            exists=exists,
            reason="" if exists else f"unit {self.name} is not known to systemd",
            state=_state_of(shown, exists or pid is not None),
            detail=_detail_of(shown),
            main_pid=pid,
            process_state=None if pid is None else state_of(self._proc, pid),
            cgroup=shown.get("ControlGroup") or None,
            since=None if began is None else clocks.iso(clocks.from_monotonic(began)),
            running_seconds=None if began is None else time.clock_gettime(time.CLOCK_MONOTONIC) - began,
            restarts_itself=_restart_policy(shown),
            end=systemctl.last_end(shown) if pid is None else protocol.ProcessEnd(),
        )


def group(unit: str, shown: Mapping[str, str]) -> str:
    """The unit's control group; where it is gone, the one that systemd would give it."""
    return shown.get("ControlGroup") or group_of_unit(unit, shown.get("Slice", ""))


def _state_of(shown: Mapping[str, str], exists: bool) -> str:
    state = _STATES[shown["ActiveState"]] if exists else protocol.ABSENT
    # A start that was requested but has not begun yet.
    return protocol.STARTING if state in (protocol.STOPPED, protocol.FAILED) and _has_job(shown) else state


def _has_job(shown: Mapping[str, str]) -> bool:
    """Whether systemd has a pending job for the unit."""
    return shown.get("Job", "0") not in ("", "0")


def _detail_of(shown: Mapping[str, str]) -> str:
    told = f"{shown['ActiveState']} ({shown.get('SubState', '')})"
    result = shown.get("Result", "")
    return f"{told}, result {result}" if result not in ("", "success") else told


def _restart_policy(shown: Mapping[str, str]) -> str:
    policy = shown.get("Restart", "no")
    return "" if policy in ("", "no") else f"systemd, Restart={policy}"
