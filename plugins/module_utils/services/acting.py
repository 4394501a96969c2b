# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping and starting a service of any kind, and checking that it happened."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..host.redaction import redact_text
from ..host.unread import Unread
from . import process, protocol
from .protocol import Service, ServiceError, Status

# A process that SIGKILL does not end in this time waits for a driver, and waiting longer does not help.
DEATH_SECONDS = 10.0
# A process that has lived this long has read its options and opened its files; more is the health check's question.
SETTLE_SECONDS = 1.0
_LOG_LINES = 10
_PAUSE = 0.1
_CLOCK_NOISE = 0.02  # seconds


@dataclass(frozen=True)
class Stopped:
    """by: the signal that it took, empty where there was no process to stop.  text: for people."""

    by: str
    seconds: float
    text: str


def stop(service: Service, patience: float, kill: bool) -> Stopped:
    """Ask the service to stop, wait, and kill it at the time limit. Raises ServiceError.

    patience: seconds between the request and SIGKILL; 0 kills at once.  kill: whether SIGKILL may follow at all.
    """
    before = readable(service.status())
    if _is_down(before) and not _comes_back(service, before):
        return Stopped("", 0.0, f"{before.label} had no process: {before.detail}")
    began = time.monotonic()
    by = service.ask_to_stop(before)
    remark = ""
    after = wait_until_gone(service, patience)
    if after is None:
        if not kill:
            raise ServiceError(f"{before.label} did not end within {patience:g} s of {by}, and kill_after is false")
        remark = f" after {patience:g} s of {by}" if patience > 0 else ""
        by = "SIGKILL"
        service.kill(before)
        after = wait_until_gone(service, DEATH_SECONDS)
    if after is None:
        raise ServiceError(_describe_undying(service.status()))
    service.finish(before)
    _keep_down(service, after)
    if after.end.by_sigkill and by not in ("", "SIGKILL"):
        by, remark = "SIGKILL", f", sent by its own orchestrator after {by}"
    seconds = time.monotonic() - began
    how = f"ended by {by}{remark}" if by else "had no process, and will not start again by itself"
    return Stopped(by, seconds, f"{before.label} {how}, in {seconds:.1f} s")


def start(service: Service, patience: float) -> Status:
    """Start the service, and return when its process exists and has not died at once. Raises ServiceError.

    Whether it serves is another question, which takes a model's loading time to answer.
    patience: seconds until there must be a process.
    """
    service.start()
    deadline = time.monotonic() + patience
    first: int | None = None
    seen_at, starting = 0.0, False
    while True:
        status = service.status()
        if not status.readable and time.monotonic() < deadline:
            time.sleep(_PAUSE)  # a single failed look is ignored; a lasting failure is reported at the deadline
            continue
        readable(status)
        lives = _is_alive(status)
        if lives and starting and status.state == protocol.RUNNING and status.main_pid != first:
            # What starts a container hands its place to the container when that runs (MAINPID= of sd_notify(3)).
            first = None
        if first is not None and (not lives or status.main_pid != first):
            raise ServiceError(_describe_death(service, status))
        if lives and status.main_pid is None:
            return status  # systemd does not know the main process of this unit, only that it is active
        if lives and first is None:
            first, seen_at = status.main_pid, time.monotonic()
            starting = status.state == protocol.STARTING
        if first is not None and time.monotonic() - seen_at >= SETTLE_SECONDS:
            return status
        if first is None and (_is_down(status) or _is_zombie(status)):
            raise ServiceError(_describe_death(service, status))
        if first is None and time.monotonic() >= deadline:
            raise ServiceError(f"{status.label} had no process after {patience:g} s: {status.detail}")
        time.sleep(_PAUSE)


def readable(status: Status) -> Status:
    """The same status, if it could be read. Raises ServiceError."""
    if not status.readable:
        raise ServiceError(f"the state of {status.label} cannot be read: {status.reason}")
    if status.state == protocol.ABSENT:
        raise ServiceError(status.reason)
    return status


def wait_until_gone(service: Service, seconds: float) -> Status | None:
    """Wait until the service has no process. Returns the status then, None if it still has one. Raises ServiceError."""
    deadline = time.monotonic() + seconds
    while True:
        status = service.status()
        if _is_down(status):
            return status
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            readable(status)
            return None
        if status.main_pid is not None:
            process.await_end_of(status.main_pid, min(remaining, 1.0))
        time.sleep(min(_PAUSE, max(0.0, remaining)))


def _comes_back(service: Service, down: Status) -> bool:
    """Whether the orchestrator gives the service a process again within the time that it would need for that."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while down.may_return and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        status = service.status()
        if status.readable and (not _is_down(status) or _ended_again(down, status)):
            return True
    return False


def _ended_again(down: Status, status: Status) -> bool:
    """Whether the process has ended again since. Both times are converted between clocks, so they may differ a bit."""
    return abs((status.end.at or 0.0) - (down.end.at or 0.0)) > _CLOCK_NOISE


def _keep_down(service: Service, down: Status) -> None:
    """Repeat the stop until it hits a process, because without one it has no effect. Raises ServiceError."""
    deadline = time.monotonic() + DEATH_SECONDS
    while _comes_back(service, down):
        if time.monotonic() >= deadline:
            raise ServiceError(f"{down.label} is started again after each stop, by {down.restarts_itself}")
        service.kill(down)
        down = service.status()


def _is_down(status: Status) -> bool:
    """Whether the service has no process, and none is being started."""
    return status.process_gone and status.state in protocol.WITHOUT_PROCESS


def _is_zombie(status: Status) -> bool:
    return status.process_gone and status.main_pid is not None


def _is_alive(status: Status) -> bool:
    return not status.process_gone and (status.main_pid is not None or status.state == protocol.RUNNING)


def _describe_undying(status: Status) -> str:
    where = f" (process {status.main_pid}, state {status.process_state})" if status.main_pid is not None else ""
    waits = "; it waits in the kernel, probably for a driver" if status.process_state == "D" else ""
    return f"{status.label} is still there {DEATH_SECONDS:g} s after SIGKILL: {status.detail}{where}{waits}"


def _describe_death(service: Service, status: Status) -> str:
    told = "; ".join(filter(None, (status.detail, status.end.text, status.end.out_of_memory)))
    again = f". Beware: {status.restarts_itself} starts it again by itself" if status.restarts_itself else ""
    return f"{status.label} ended at once: {told}{again}{_last_words(service)}"


def _last_words(service: Service) -> str:
    try:
        text = service.logs(_LOG_LINES).text
    except Unread as error:
        return f". Its log cannot be shown: {error}"
    return f". Its last words:\n{redact_text(text)}" if text else ". Its log is empty"
