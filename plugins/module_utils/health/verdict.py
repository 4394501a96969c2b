# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict from the observations: one pure function, so that every rule has a line in a test table.

Two promises above all. C(healthy) only where liveness and readiness were read and good, and something proves that the
server generates: a completion, or growing token counters. And a server that makes progress is never called dead,
however long a request waits: it is busy, of class C(overload). A missing reading makes the verdict C(unknown), unless
another reading proves the failure.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Reading
from ..faults.classes import DEFAULT_LADDERS
from ..services.protocol import PAUSED, STARTING, STOPPED_STATES, Status
from .motion import DEFAULT_STALL_SECONDS, GENERATES, HELD, IDLE, STALLED, UNREAD, WORKS, Motion
from .observations import Observations

# A younger server that does not listen yet is loading, not broken: vLLM imports and loads for a minute.
DEFAULT_START_GRACE = 120.0

# Kinds of readings where the server was reached but did not answer as a live one does.
_NO_LIFE = ("refused", "timeout", "reset")
_MOVES = (GENERATES, WORKS)
# Status codes of a completion that only mean that the server is full.
_FULL = (429, 503)
_OUT_OF_MEMORY = ("out of memory", "outofmemory")


@dataclass(frozen=True)
class Verdict:
    """verdict: healthy, unhealthy or unknown.  failure_class and recommended_action: None where there is nothing to do.
    An unknown verdict has class C(unknown) and no action. A busy server has class C(overload): healthy where it
    generates tokens, unknown where only other work goes on."""

    verdict: str
    failure_class: str | None
    reasons: tuple[str, ...]
    recommended_action: str | None


def judge(
    seen: Observations,
    start_grace: float = DEFAULT_START_GRACE,
    stall_seconds: float = DEFAULT_STALL_SECONDS,
    answers_suffice: bool = False,
) -> Verdict:
    """The verdict on one service.

    start_grace: seconds.  stall_seconds: how long a completion must have been waited for where there are no counters.
    answers_suffice: being live and ready is enough for C(healthy), without a proof that the server generates.
    """
    service = seen.service
    if service is not None and service.process_gone:
        return _judge_gone(seen, service)
    if seen.motion.kind == STALLED and seen.live.value is not False and seen.ready.value is not False:
        return _judge_stalled(seen.motion, service, start_grace)
    lifeless = _lifeless_reading(seen)
    if lifeless is None:
        return _judge_answering(seen, start_grace, stall_seconds, answers_suffice)
    if lifeless.value is None and seen.motion.kind in _MOVES:
        return (
            _judge_busy(seen.motion, lifeless)
            if service is None or service.readable
            else _unknown(*_missing_readings(seen))
        )
    return _judge_lifeless(lifeless, service, start_grace)


def _judge_answering(seen: Observations, start_grace: float, stall_seconds: float, answers_suffice: bool) -> Verdict:
    """The verdict on a server that answers."""
    unread = _missing_readings(seen)
    if unread:
        return _unknown(*unread)
    if seen.ready.value is False:
        return _unhealthy("not_ready", f"live, but not ready: {seen.ready.reason}")
    proven = seen.generated is not None and seen.generated.value is True
    if seen.motion.kind == HELD and not proven:
        return _unhealthy("not_ready", f"live, but held back: {seen.motion.reason}")
    if seen.generated is not None and not proven:
        return _judge_failed_completion(
            seen.generated, seen.motion, _is_young(seen.service, start_grace), stall_seconds
        )
    return _judge_proven(seen, answers_suffice)


def _lifeless_reading(seen: Observations) -> Reading | None:
    """The reading that shows that the server was reached but is not alive behind its port, if there is one.

    A vLLM whose engine core is stopped answers /health, but hangs at the first request that reaches the core. Unless it
    generates, that counts like a liveness that hangs.
    """
    if seen.live.kind in _NO_LIFE or seen.live.value is False:
        return seen.live
    generates = seen.generated is not None and seen.generated.value is True
    return seen.ready if seen.live.value is True and seen.ready.kind in _NO_LIFE and not generates else None


def _is_young(service: Status | None, start_grace: float) -> bool:
    return service is not None and (
        service.state == STARTING or (service.running_seconds is not None and service.running_seconds < start_grace)
    )


def _judge_stalled(motion: Motion, service: Status | None, start_grace: float) -> Verdict:
    """The verdict on requests in hand without a step for long, whatever the health endpoints answer."""
    if service is None or not service.readable:
        return _unhealthy("deadlock", motion.reason)
    if service.state == PAUSED or service.process_state in STOPPED_STATES:
        return _unhealthy("unresponsive", motion.reason, _stopped_by(service))
    if service.oom_kills:
        return _unhealthy("oom", motion.reason, f"the kernel killed {service.oom_kills} processes of its group")
    if _is_young(service, start_grace) and not motion.generated_before:
        # The first requests may wait for kernels that are compiled at their first use.
        return _unhealthy("not_ready", motion.reason, f"{service.name} was started a short time ago")
    return _unhealthy("deadlock", motion.reason)


def _judge_busy(motion: Motion, slow: Reading) -> Verdict:
    """The verdict on a server that makes progress but answered too late. Tokens prove health, other work does not."""
    reasons = (f"busy: {motion.reason}", f"a question waited too long: {slow.reason}")
    if motion.kind == GENERATES:
        return Verdict("healthy", "overload", reasons, DEFAULT_LADDERS["overload"][0])
    return Verdict("unknown", "overload", reasons, None)


def _judge_gone(seen: Observations, service: Status) -> Verdict:
    if not service.exists:
        return _unknown(service.reason)
    gone = f"{service.label} has no process: {service.detail}"
    if seen.live.value is not None:
        return _unknown(gone, f"yet something answers in its place: {seen.live.reason}")
    failure_class, remark = _class_of_end(service)
    reasons = (gone, service.end.text, *service.oom_evidence, remark, seen.live.reason)
    return _unhealthy(failure_class, *filter(None, dict.fromkeys(reasons)))


def _class_of_end(service: Status) -> tuple[str, str]:
    """The failure class of a service without a process, and the reason."""
    if service.oom:
        return "oom", ""
    if service.state == STARTING:
        return "not_ready", ""
    if service.end.clean:
        # The orchestrator does not say whether an operator ordered the end or the program chose it.
        return "unknown", "it ended cleanly, perhaps by somebody's order"
    return "crash", "whether it ran out of memory could not be read" if service.oom is None else ""


def _judge_lifeless(live: Reading, service: Status | None, start_grace: float) -> Verdict:
    if service is None:
        return _unhealthy("unresponsive", live.reason)
    if not service.readable:
        return _unhealthy("unknown", live.reason, f"the service could not be read: {service.reason}")
    if service.state == PAUSED or service.process_state in STOPPED_STATES:
        return _unhealthy("unresponsive", live.reason, _stopped_by(service))
    process = _describe_process(service)
    if service.oom_kills:
        # Most likely a worker: its server lives on and waits for it.
        return _unhealthy("oom", live.reason, process, f"the kernel killed {service.oom_kills} processes of its group")
    if live.kind == "refused" and _is_young(service, start_grace):
        return _unhealthy("not_ready", live.reason, f"{process} and is starting")
    return _unhealthy("unresponsive", live.reason, process)


def _describe_process(service: Status) -> str:
    return f"process {service.main_pid} of {service.name} is there (state {service.process_state or 'unknown'})"


def _stopped_by(service: Status) -> str:
    paused = service.state == PAUSED
    return f"{_describe_process(service)}: " + (
        "the container runtime has paused it" if paused else "it is stopped by a signal or a tracer"
    )


def _judge_failed_completion(generated: Reading, motion: Motion, young: bool, stall_seconds: float) -> Verdict:
    """The verdict on a server that is live and ready, but did not return a completion."""
    reason = f"live and ready, but it does not generate: {generated.reason}"
    if generated.value is False and any(words in generated.reason.lower() for words in _OUT_OF_MEMORY):
        return _unhealthy("oom", reason)
    if generated.kind in _NO_LIFE or generated.status in _FULL:
        return _judge_late_completion(generated, motion, young, stall_seconds)
    if generated.value is None:
        return _unknown(f"no completion could be asked for: {generated.reason}")
    if motion.kind in _MOVES:
        return _unknown(f"the completion failed: {generated.reason}", f"yet {motion.reason}")
    return _unhealthy("unresponsive", reason, *_motion_reason(motion))


def _judge_late_completion(generated: Reading, motion: Motion, young: bool, stall_seconds: float) -> Verdict:
    """The verdict on a completion that timed out, or that the server refused because it is full."""
    reason = f"live and ready, but it does not generate: {generated.reason}"
    if motion.kind in _MOVES:
        return _judge_busy(motion, generated)
    if generated.status in _FULL and motion.kind != IDLE:
        return Verdict("unknown", "overload", (f"it says that it is full: {generated.reason}", motion.reason), None)
    if young and not motion.generated_before:
        return _unhealthy("not_ready", reason, "it was started a short time ago")
    waited = max(generated.seconds or 0.0, motion.seconds if motion.kind == UNREAD else 0.0)
    if generated.kind == "timeout" and motion.kind != IDLE and waited < stall_seconds:
        return _unknown(
            f"a completion did not come: {generated.reason}",
            f"whether the server is busy or dead cannot be told: {motion.reason}",
            f"a completion that is waited for {stall_seconds:g} s would tell",
        )
    return _unhealthy("unresponsive", reason, *_motion_reason(motion))


def _motion_reason(motion: Motion) -> tuple[str, ...]:
    return () if motion.kind == UNREAD else (motion.reason,)


def _judge_proven(seen: Observations, answers_suffice: bool) -> Verdict:
    answers = (seen.live.reason, seen.ready.reason)
    if seen.generated is not None:
        return _healthy(*answers, seen.generated.reason)
    if seen.motion.kind == GENERATES:
        return _healthy(*answers, seen.motion.reason)
    if answers_suffice:
        return _healthy(*answers, "whether it generates was not to be proven")
    return _unknown(*dict.fromkeys((*answers, f"nothing proves that it generates: {seen.motion.reason}")))


def _healthy(*reasons: str) -> Verdict:
    return Verdict("healthy", None, tuple(dict.fromkeys(reasons)), None)


def _missing_readings(seen: Observations) -> list[str]:
    """A reason for each necessary reading that is missing."""
    missing = []
    if seen.service is not None and not seen.service.readable:
        missing.append(f"the service could not be read: {seen.service.reason}")
    if seen.live.value is None:
        missing.append(f"liveness could not be read: {seen.live.reason}")
    if seen.ready.value is None:
        missing.append(f"readiness could not be read: {seen.ready.reason}")
    return missing


def _unknown(*reasons: str) -> Verdict:
    return Verdict("unknown", "unknown", reasons, None)


def _unhealthy(failure_class: str, *reasons: str) -> Verdict:
    ladder = DEFAULT_LADDERS[failure_class]
    return Verdict("unhealthy", failure_class, reasons, ladder[0] if ladder else None)
