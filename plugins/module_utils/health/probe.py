# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at one service: asks the engine and the orchestrator, and hands over what it saw without judging it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ..engines.protocol import Engine, EngineError, Generation, NotSupported, Reading, Stats
from ..evidence import cgroups, kernel_log
from ..evidence.command import Runner, run
from ..evidence.processes import read_file
from ..evidence.unread import Unread
from ..services.protocol import End, Service, Status
from .observations import Observations
from .oom import oom_evidence

_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO in the kernel's proc_ns.h


@dataclass(frozen=True)
class CompletionAsked:
    """The completion that proves the service. max_tokens: 1 or more; model None: whatever is served.

    A character may take four tokens of one byte each, and has no text before the last of them: eight always show one.
    """

    prompt: str = "The quick brown fox"
    max_tokens: int = 8
    model: str | None = None


def observe(engine: Engine, asked: CompletionAsked | None, service: Status | None) -> Observations:
    """Ask in the order of cost, and stop where a further question would only spend another deadline."""
    live = engine.live()
    if live.value is not True:
        ready = Reading(None, f"not asked: {live.reason}", kind="not_asked")
        stats = Stats(unread={"all": ready.reason})
        return Observations(live, ready, stats, ready if asked else None, None, service)
    ready = engine.ready()
    stats = engine.stats()
    generated, generation = _generate(engine, asked, ready)
    return Observations(live, ready, stats, generated, generation, service)


def _generate(
    engine: Engine, asked: CompletionAsked | None, ready: Reading
) -> tuple[Reading | None, Generation | None]:
    if asked is None:
        return None, None
    if ready.value is False or (ready.value is None and ready.kind == "answered"):
        return Reading(None, f"not asked: {ready.reason}", kind="not_asked"), None
    try:
        made = engine.generate(asked.prompt, asked.max_tokens, asked.model)
    except NotSupported as error:
        return Reading(None, str(error), kind="not_supported"), None
    except EngineError as error:
        return Reading(_was_refused(error), error.reason, error.kind, error.status), None
    proof = f"generated {made.tokens} tokens in {made.seconds:.2f} s"
    return Reading(True, proof, status=200, seconds=made.seconds), made


def _was_refused(error: EngineError) -> bool | None:
    """False: the server cannot generate.  None: the question was wrong (4xx), or there was no answer at all."""
    if error.kind == "not_proven":
        return False
    return False if error.kind == "answered" and error.status is not None and error.status >= 500 else None


def read_service(service: Service, timeout: float, run_command: Runner = run, proc: Path = Path("/proc")) -> Status:
    """The state of the service, and whether the OOM killer had a hand in it.

    The kernel's log is read only when the process is gone, to tell an OOM kill from a crash.
    """
    status = service.status()
    if not status.readable or not status.exists:
        return status
    if status.main_pid is not None:
        return replace(status, oom=False, oom_kills=_kills(service, status.main_pid, proc))
    oom, evidence = _oom(status.end, run_command, timeout, proc)
    return replace(status, oom=oom, oom_evidence=evidence)


def _oom(end: End, run_command: Runner, timeout: float, proc: Path) -> tuple[bool | None, tuple[str, ...]]:
    try:
        lines = kernel_log.read(run_command, timeout).lines
    except Unread:
        found = oom_evidence(end, ())
        return (True if found else None), tuple(found)
    found = oom_evidence(end, lines)
    # Of a process whose end nobody noted the kernel's number is the only trace, and elsewhere that is another one.
    no_trace = not found and end.pid is not None and end.at is None and not _counts_as_the_kernel(proc)
    return (None if no_trace else bool(found)), tuple(found)


def _counts_as_the_kernel(proc: Path) -> bool:
    """Are process ids here those of the kernel's log? Not in a namespace of its own, as a container has."""
    try:
        return os.readlink(proc / "self" / "ns" / "pid") == _FIRST_PID_NAMESPACE
    except OSError:
        return False


def _kills(service: Service, pid: int, proc: Path) -> int | None:
    """Kills in the service's own group; that of a PID file's process may hold others as well, and tells nothing."""
    try:
        ownership = service.ownership()
        mounts = cgroups.parse_mounts(read_file(proc / "self" / "mountinfo"))
        groups = cgroups.groups_of_process(proc, pid, mounts, lambda group: ownership.owns((group,)))
    except (OSError, Unread):
        return None
    return cgroups.oom_kills(groups)
