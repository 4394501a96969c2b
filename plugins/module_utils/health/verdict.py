# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was seen to a verdict: one pure function, so that every rule has a line in a test table.

The one promise above all: C(healthy) only when liveness, readiness and, if asked for, a completion were all read, and
all were good.  Whatever was not read makes C(unknown), unless something else that was read proves the failure.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Reading
from ..faults.classes import DEFAULT_LADDERS
from ..services.protocol import PAUSED, STARTING, Status
from .observations import Observations

# A server of this age that does not listen yet is loading, not broken: vLLM imports and loads for a minute.
DEFAULT_START_GRACE = 120.0

# The server was reached and did not answer as a living one does.
_NO_LIFE = ("refused", "timeout", "reset")
_STOPPED_STATES = ("T", "t")
_OUT_OF_MEMORY = ("out of memory", "outofmemory")


@dataclass(frozen=True)
class Verdict:
    """verdict: healthy, unhealthy or unknown.  failure_class and recommended_action: None when there is nothing to do;
    the class is C(unknown), and no action recommended, where it was not possible to tell."""

    verdict: str
    failure_class: str | None
    reasons: tuple[str, ...]
    recommended_action: str | None


def judge(seen: Observations, start_grace: float = DEFAULT_START_GRACE) -> Verdict:
    """The verdict on one service. start_grace: seconds."""
    service = seen.service
    if service is not None and service.process_gone:
        return _judge_gone(seen, service)
    lifeless = _lifeless(seen)
    if lifeless is not None:
        return _judge_lifeless(lifeless, service, start_grace)
    unread = _unread(seen)
    if unread:
        return _unknown(*unread)
    if seen.ready.value is False:
        return _unhealthy("not_ready", f"live, but not ready: {seen.ready.reason}")
    if seen.generated is not None and seen.generated.value is not True:
        return _judge_barren(seen.generated)
    return _judge_proven(seen)


def _lifeless(seen: Observations) -> Reading | None:
    """The reading that shows that the server was reached and is not alive behind its port, if there is one.

    A vLLM whose engine core is stopped answers /health, and hangs at the first question that reaches the core; unless
    it generates all the same, that counts like a liveness that hangs.
    """
    if seen.live.kind in _NO_LIFE or seen.live.value is False:
        return seen.live
    generates = seen.generated is not None and seen.generated.value is True
    return seen.ready if seen.live.value is True and seen.ready.kind in _NO_LIFE and not generates else None


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
    """The failure class of a service without a process, and what has to be said about it."""
    if service.oom:
        return "oom", ""
    if service.state == STARTING:
        return "not_ready", ""
    if service.end.clean:
        # An orchestrator does not tell an end that somebody ordered from one that the program chose.
        return "unknown", "it ended cleanly, perhaps by somebody's order"
    return "crash", "whether it ran out of memory could not be read" if service.oom is None else ""


def _judge_lifeless(live: Reading, service: Status | None, start_grace: float) -> Verdict:
    if service is None:
        return _unhealthy("unresponsive", live.reason)
    if not service.readable:
        return _unhealthy("unknown", live.reason, f"the service could not be read: {service.reason}")
    process = f"process {service.main_pid} of {service.name} is there (state {service.process_state or 'unknown'})"
    if service.state == PAUSED or service.process_state in _STOPPED_STATES:
        by = (
            "the container runtime has paused it"
            if service.state == PAUSED
            else "it is stopped by a signal or a tracer"
        )
        return _unhealthy("unresponsive", live.reason, f"{process}: {by}")
    if service.oom_kills:
        # A worker, most likely: its server lives on, and waits for it.
        return _unhealthy("oom", live.reason, process, f"the kernel killed {service.oom_kills} processes of its group")
    starting = service.state == STARTING or (
        service.running_seconds is not None and service.running_seconds < start_grace
    )
    if live.kind == "refused" and starting:
        return _unhealthy("not_ready", live.reason, f"{process} and is starting")
    return _unhealthy("unresponsive", live.reason, process)


def _judge_barren(generated: Reading) -> Verdict:
    """Live and ready, but the completion that was asked for did not come."""
    if generated.value is None and generated.kind not in _NO_LIFE:
        return _unknown(f"no completion could be asked for: {generated.reason}")
    reason = f"live and ready, but it does not generate: {generated.reason}"
    if any(words in generated.reason.lower() for words in _OUT_OF_MEMORY):
        return _unhealthy("oom", reason)
    return _unhealthy("unresponsive", reason)


def _judge_proven(seen: Observations) -> Verdict:
    proofs = [seen.live.reason, seen.ready.reason]
    proofs.append(seen.generated.reason if seen.generated is not None else "no completion was asked for")
    return Verdict("healthy", None, tuple(dict.fromkeys(proofs)), None)


def _unread(seen: Observations) -> list[str]:
    """What had to be read and was not."""
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
