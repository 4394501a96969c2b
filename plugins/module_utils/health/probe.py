# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at one service: asks the engine and systemd, and hands over what it saw without judging it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..engines.protocol import Engine, EngineError, Generation, NotSupported, Reading, Stats
from ..evidence import kernel_log, systemd
from ..evidence.command import Runner, run
from .observations import Observations, UnitState
from .oom import oom_evidence


@dataclass(frozen=True)
class CompletionAsked:
    """The completion that proves the service. max_tokens: 1 or more; model None: whatever is served.

    A character may take four tokens of one byte each, and has no text before the last of them: eight always show one.
    """

    prompt: str = "The quick brown fox"
    max_tokens: int = 8
    model: str | None = None


def observe(engine: Engine, asked: CompletionAsked | None, unit: UnitState | None) -> Observations:
    """Ask in the order of cost, and stop where a further question would only spend another deadline."""
    live = engine.live()
    if live.value is not True:
        ready = Reading(None, f"not asked: {live.reason}", kind="not_asked")
        stats = Stats(unread={"all": ready.reason})
        return Observations(live, ready, stats, ready if asked else None, None, unit)
    ready = engine.ready()
    stats = engine.stats()
    generated, generation = _generate(engine, asked, ready)
    return Observations(live, ready, stats, generated, generation, unit)


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


def read_unit(name: str, timeout: float, run_command: Runner = run, proc: str = "/proc") -> UnitState:
    """The unit's state; the kernel's log is read only when the process is gone, to tell an OOM kill from a crash."""
    try:
        properties = systemd.show(name, run_command, timeout)
    except systemd.Unread as error:
        return UnitState(name, readable=False, reason=str(error))
    pid = systemd.main_pid(properties)
    oom, evidence = (False, ()) if pid is not None else _oom(properties, run_command, timeout)
    return UnitState(
        name=name,
        readable=True,
        exists=properties.get("LoadState") != "not-found",
        active_state=properties.get("ActiveState", ""),
        sub_state=properties.get("SubState", ""),
        result=properties.get("Result", ""),
        main_pid=pid,
        process_state=None if pid is None else _process_state(pid, proc),
        running_seconds=None if pid is None else _age(properties),
        last_end="" if pid is not None else systemd.last_end(properties),
        oom=oom,
        oom_evidence=evidence,
    )


def _oom(properties: Mapping[str, str], run_command: Runner, timeout: float) -> tuple[bool | None, tuple[str, ...]]:
    try:
        lines = kernel_log.read(run_command, timeout).lines
    except systemd.Unread:
        found = oom_evidence(properties, ())
        return (True if found else None), tuple(found)
    found = oom_evidence(properties, lines)
    return bool(found), tuple(found)


def _process_state(pid: int, proc: str) -> str | None:
    try:
        with open(f"{proc}/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read(4096).rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return None


def _age(properties: Mapping[str, str]) -> float | None:
    started = properties.get("ExecMainStartTimestampMonotonic", "")
    return time.clock_gettime(time.CLOCK_MONOTONIC) - int(started) / 1e6 if started.isdigit() else None
