# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that flow through the receiver: Alert -> Fault -> Incident -> Decision -> Run -> Outcome.

Times are seconds since the epoch, UTC.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Target:
    """What an action may touch: one inventory host by its exact name, and what on it."""

    host: str
    service: str | None = None
    pool: str | None = None
    gpu: str | None = None


@dataclass(frozen=True)
class Fault:
    """What an alert means: its failure class and why, and its target or the reason why there is none."""

    failure_class: str
    why: str
    target: Target | None
    refusal: str | None = None
    partitioned: bool = False


class FaultMode(StrEnum):
    """How a failure behaves: gone on retry, back again, or a matter of who can still see whom."""

    transient = "transient"
    persistent = "persistent"
    partitioned = "partition"  # str has a method partition


class IncidentState(StrEnum):
    """Where an incident stands."""

    open = "open"
    waiting = "waiting"
    running = "running"
    verifying = "verifying"
    held = "held"
    escalated = "escalated"
    resolved = "resolved"
    closed = "closed"


ENDED = frozenset({IncidentState.resolved, IncidentState.closed})


class RunState(StrEnum):
    """Where a run stands.  C(lost) means that it was cut off: nobody can know how far it came."""

    launching = "launching"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    unverified = "unverified"
    lost = "lost"


def outcome_of(rc: int | None) -> RunState:
    """Judge a run by its playbook's exit code.  No exit code means that it was cut off."""
    if rc is None:
        return RunState.lost
    return RunState.succeeded if rc == 0 else RunState.failed


UNFINISHED = frozenset({RunState.launching, RunState.running})


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

    C(not_before) says until when to wait; C(queued) that it waits for others, whose end may come before that.
    C(asks) is true where a person's word is waited for.
    """

    verb: Verb
    reason: str
    action: str | None = None
    attempt: int = 0
    not_before: float | None = None
    queued: bool = False
    asks: bool = False
