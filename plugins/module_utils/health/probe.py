# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observing one service: asks the engine and the orchestrator, and returns the observations without judging them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..engines.protocol import Engine, EngineError, Generation, NotSupported, Reading, Stats
from ..engines.work import WorkSample
from ..host import cgroups, kernel_log
from ..host.command import Runner, run
from ..host.contained import in_container
from ..host.processes import read_file
from ..host.unread import Unread
from ..services.protocol import PAUSED, STOPPED_STATES, ProcessEnd, Service, Status
from .motion import DEFAULT_STALL_SECONDS, NOT_ASKED, UNREAD, Motion, judge_motion, undecided
from .observations import Observations
from .oom import oom_evidence

_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO in the kernel's proc_ns.h


@dataclass(frozen=True)
class CompletionAsked:
    """The completion that proves the service. max_tokens: 1 or more; model None: any model that is served.

    A character may take four tokens of one byte each and has no text before the last one: eight tokens always show
    text.
    """

    prompt: str = "The quick brown fox"
    max_tokens: int = 8
    model: str | None = None


@dataclass(frozen=True)
class Watch:
    """How long to observe. C(stall_seconds): requests in hand for so long without a step are a deadlock.  C(pause):
    seconds between two samples."""

    stall_seconds: float = DEFAULT_STALL_SECONDS
    pause: float = 1.0


def observe(
    engine: Engine, asked: CompletionAsked | None, service: Status | None, watch: Watch | None = None
) -> Observations:
    """Ask in the order of cost, and stop where a further request would only spend another deadline."""
    watch = watch or Watch()
    live = engine.live()
    if live.value is not True:
        ready = Reading(None, f"not asked: {live.reason}", kind="not_asked")
        stats = Stats(unread={"all": ready.reason})
        motion = _watch_slow_server(engine, live, service, watch)
        return Observations(live, ready, stats, ready if asked else None, None, service, motion)
    ready = engine.ready()
    stats = engine.stats()
    looks = [engine.work()]
    generated, generation = _try_completion(engine, asked, ready)
    if ready.value is False:
        motion = Motion(UNREAD, f"the counters were looked at once: {ready.reason}")
    else:
        motion = _watch_counters(engine, looks, generated, watch)
    if asked is not None and _only_time_tells(generated, motion, watch.stall_seconds):
        generated, generation = _try_completion(engine.patient(watch.stall_seconds), asked, ready)
        motion = judge_motion([*looks, engine.work()], watch.stall_seconds)
    return Observations(live, ready, stats, generated, generation, service, motion)


def _only_time_tells(generated: Reading | None, motion: Motion, stall_seconds: float) -> bool:
    """Whether only a longer wait can distinguish a full server from a dead one, because there are no counters."""
    if generated is None or generated.kind != "timeout" or motion.kind != UNREAD:
        return False
    return max(generated.seconds or 0.0, motion.seconds) < stall_seconds


def _watch_counters(engine: Engine, looks: list[WorkSample], generated: Reading | None, watch: Watch) -> Motion:
    """Sample the counters until they decide. A single engine is already proven by a completion."""
    proven = None if generated is None else generated.value is True
    if proven and len(looks[0].lanes) < 2:
        return judge_motion(looks, watch.stall_seconds)
    if generated is not None and generated.value is False:
        looks[:] = [engine.work()]  # earlier growth may be the tokens of a completion that proved nothing
    elif generated is not None:
        looks.append(engine.work())
    if proven is False and looks[-1].waited:
        # The thread that does the work may also serve the metrics, between two steps, as in llama.cpp.
        looks.append(engine.patient(watch.stall_seconds).work())
    # Counters that go down restart the time, but this limit stays.
    end = looks[0].at + 2 * (watch.stall_seconds + looks[0].lag)
    while True:
        motion = judge_motion(looks, watch.stall_seconds)
        if looks[-1].at >= end or not undecided(motion, looks, watch.stall_seconds, proven):
            return motion
        time.sleep(watch.pause)
        looks.append(engine.work())


def _watch_slow_server(engine: Engine, live: Reading, service: Status | None, watch: Watch) -> Motion:
    """Sample the counters of a server whose liveness timed out, with more patience: a full server answers slowly.

    A server that is known to be stopped or gone is not asked: that would only spend another deadline.
    """
    stopped = service is not None and (
        service.process_gone or service.state == PAUSED or service.process_state in STOPPED_STATES
    )
    if live.kind != "timeout" or stopped:
        return NOT_ASKED
    patient = engine.patient(watch.stall_seconds)
    return _watch_counters(patient, [patient.work()], None, watch)


def _try_completion(
    engine: Engine, asked: CompletionAsked | None, ready: Reading
) -> tuple[Reading | None, Generation | None]:
    if asked is None:
        return None, None
    if ready.value is False or (ready.value is None and ready.kind == "answered"):
        return Reading(None, f"not asked: {ready.reason}", kind="not_asked"), None
    began = time.monotonic()
    try:
        made = engine.generate(asked.prompt, asked.max_tokens, asked.model)
    except NotSupported as error:
        return Reading(None, str(error), kind="not_supported"), None
    except EngineError as error:
        waited = time.monotonic() - began
        return Reading(_was_refused(error), error.reason, error.kind, error.status, waited), None
    proof = f"generated {made.tokens} tokens in {made.seconds:.2f} s"
    return Reading(True, proof, status=200, seconds=made.seconds), made


def _was_refused(error: EngineError) -> bool | None:
    """The value of a failed completion: False if the server cannot generate, None for a bad request or no answer."""
    if error.kind == "not_proven":
        return False
    return False if error.kind == "answered" and error.status is not None and error.status >= 500 else None


def read_service(service: Service, timeout: float, run_command: Runner = run, proc: Path = Path("/proc")) -> Status:
    """The state of the service, and whether the OOM killer ended it.

    The kernel's log is read only where the process is gone, to distinguish an OOM kill from a crash.
    """
    status = service.status()
    if not status.readable or not status.exists:
        return status
    if status.main_pid is not None:
        return replace(status, oom=False, oom_kills=_oom_kills_in_group(service, status.main_pid, proc))
    oom, evidence = _find_oom(status.end, run_command, timeout, proc)
    return replace(status, oom=oom, oom_evidence=evidence)


def _find_oom(end: ProcessEnd, run_command: Runner, timeout: float, proc: Path) -> tuple[bool | None, tuple[str, ...]]:
    try:
        lines = kernel_log.read(run_command, timeout).lines
    except Unread:
        found = oom_evidence(end, ())
        return (True if found else None), tuple(found)
    found = oom_evidence(end, lines, contained=in_container())
    # A process whose end was not recorded can be matched only by its number, which must be the kernel's own.
    no_trace = not found and end.pid is not None and end.at is None and not _counts_as_the_kernel(proc)
    return (None if no_trace else bool(found)), tuple(found)


def _counts_as_the_kernel(proc: Path) -> bool:
    """Whether process ids here are those of the kernel's log, which they are not in a container's namespace."""
    try:
        return os.readlink(proc / "self" / "ns" / "pid") == _FIRST_PID_NAMESPACE
    except OSError:
        return False


def _oom_kills_in_group(service: Service, pid: int, proc: Path) -> int | None:
    """OOM kills in the service's own group; None for a PID file, whose process may share a group with others."""
    try:
        ownership = service.ownership()
        mounts = cgroups.parse_mounts(read_file(proc / "self" / "mountinfo"))
        groups = cgroups.groups_of_process(proc, pid, mounts, lambda group: ownership.owns((group,)))
    except (OSError, Unread):
        return None
    return cgroups.oom_kills(groups)
