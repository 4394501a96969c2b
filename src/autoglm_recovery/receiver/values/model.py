# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that flow through the receiver: Alert -> Fault -> Incident -> Decision -> Run -> Outcome.

Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Alert:
    """One alert of a webhook.  Every text in it was written by somebody else: it is data and nothing more."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float
    ends_at: float | None
    fingerprint: str
    generator_url: str = ""

    @property
    def identity(self) -> str:
        """By what it is known again: labels count too, for a sender may name the fingerprint of another alert."""
        known_by = json.dumps([self.fingerprint, sorted(self.labels.items())])
        return hashlib.sha256(known_by.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Target:
    """What an action may touch: one inventory host by its exact name, and what on it."""

    host: str
    service: str | None = None
    pool: str | None = None
    gpu: str | None = None


@dataclass(frozen=True)
class Fault:
    """What an alert means: its failure class and why, and its target or the reason why there is none.

    ``named_by`` is the label that named the target, ``ignored`` what looked like it and did not count.  Of a refusal
    ``refused_as`` is the kind and ``advice`` what would make the alert acceptable.
    """

    failure_class: str
    why: str
    target: Target | None
    refusal: str | None = None
    partitioned: bool = False
    sender: str | None = None
    named_by: str | None = None
    ignored: tuple[str, ...] = ()
    refused_as: str | None = None
    advice: str | None = None


class FaultMode(StrEnum):
    """How a failure behaves: gone on retry, back again, or a matter of who can still see whom."""

    transient = "transient"
    persistent = "persistent"
    partitioned = "partition"  # str has a method partition

    def after_a_run(self) -> FaultMode:
        """Return how a failure behaves that a run has not ended.  A partition stays one, whatever was tried."""
        return self if self is FaultMode.partitioned else FaultMode.persistent


class IncidentState(StrEnum):
    """Where an incident stands."""

    open = "open"
    waiting = "waiting"
    running = "running"
    verifying = "verifying"
    held = "held"
    escalated = "escalated"
    # No alert fires, and nothing proves that the fault is over: a person's, unless a proof comes after all.
    unproven = "unproven"
    resolved = "resolved"
    closed = "closed"


ENDED = frozenset({IncidentState.resolved, IncidentState.closed})


class RunState(StrEnum):
    """Where a run stands.

    ``lost`` means that it was cut off: nobody can know how far it came.  ``fenced`` means that the host refused it
    because a newer run had been there: it is repeated with a higher fencing token, and was no attempt.
    ``kept_out`` means that the host's lock let it not in, because somebody else was at work there: it is repeated
    later, and was no attempt either.  ``not_launched`` means that nothing has begun it and nothing ever will, as its
    launcher says: it was no attempt, and a person is called. ``cancelled`` is what a person has ended; it may have come
    to its own end at that moment, and counts as no success.
    """

    launching = "launching"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    unverified = "unverified"
    lost = "lost"
    fenced = "fenced"
    kept_out = "kept_out"
    not_launched = "not_launched"
    cancelled = "cancelled"


def outcome_of(rc: int | None) -> RunState:
    """Judge a run by its playbook's exit code.  No exit code means that it was cut off."""
    if rc is None:
        return RunState.lost
    return RunState.succeeded if rc == 0 else RunState.failed


UNFINISHED = frozenset({RunState.launching, RunState.running})
# What never got to work on its host.
NEVER_THERE = frozenset({RunState.kept_out, RunState.not_launched})
# What the host refused, or nobody has launched, was no attempt at anything.
NO_ATTEMPT = NEVER_THERE | {RunState.fenced}


@dataclass(frozen=True)
class Attempt:
    """One run of an action that has ended."""

    action: str
    state: RunState
    ended_at: float


class Verb(StrEnum):
    """What to do about an incident now."""

    run = "run"
    wait = "wait"
    hold = "hold"
    escalate = "escalate"


@dataclass(frozen=True)
class Decision:
    """What to do now, and the reason in words for a person.

    ``not_before`` says until when to wait; ``queued`` that it waits for others, whose end may come before that.
    ``asks`` is true where a person's word is waited for, ``watched`` where the policy lets nothing be done at all.
    """

    verb: Verb
    reason: str
    action: str | None = None
    attempt: int = 0
    not_before: float | None = None
    queued: bool = False
    asks: bool = False
    watched: bool = False
