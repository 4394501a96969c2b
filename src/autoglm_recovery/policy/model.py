# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy file may say.  Every key has a safe default, and a key nobody honours is an error."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from autoglm_recovery.knowledge.faults.catalogue import FAULT_ACTIONS, SEVERITIES, lookup_xid
from autoglm_recovery.knowledge.faults.classes import DEFAULT_LADDERS, DESTRUCTIVE_ACTIONS
from autoglm_recovery.policy.durations import parse_duration
from autoglm_recovery.policy.guardrails import Guardrails
from autoglm_recovery.policy.launchers import LauncherName, Launchers, PositiveDuration
from autoglm_recovery.policy.notify import Notify
from autoglm_recovery.policy.proof import PROBE, Prometheus, Verification
from autoglm_recovery.policy.section import Action, Duration, FailureClass, Matchers, Section, choices, known

METRICS = ("cpu_load", "gpu_memory", "request_queue")

Metric = Annotated[str, known(METRICS), choices(METRICS)]
FaultAction = Annotated[str, known(FAULT_ACTIONS), choices(FAULT_ACTIONS)]
Severity = Annotated[str, known(SEVERITIES), choices(SEVERITIES)]


def _code(value: object) -> object:
    """Accept a number, and no word that YAML or Python would take for one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no code; write the number, as in 79")  # noqa: TRY004 - pydantic wants ValueError
    if not 1 <= value <= 99999:
        raise ValueError(f"{value} is no code; they are 1 to 99999")
    return value


FaultCode = Annotated[int, BeforeValidator(_code)]


class Autonomy(StrEnum):
    """How far the receiver may go: launch by itself, ask a person first, or only say what it would do."""

    act = "act"
    ask = "ask"
    watch = "watch"


class Heartbeat(Section):
    """When a silent service counts as unresponsive: C(retries) intervals without an answer in C(timeout)."""

    interval: Duration = timedelta(seconds=2)
    timeout: Duration = timedelta(seconds=1)
    retries: int = Field(default=3, ge=1, le=1000)


class Monitoring(Section):
    """What is measured, and how often."""

    interval: Duration = timedelta(seconds=2)
    metrics: tuple[Metric, ...] = ()
    heartbeat: Heartbeat = Heartbeat()
    prometheus: Prometheus | None = None

    @model_validator(mode="before")
    @classmethod
    def _heartbeat_follows_interval(cls, data: Any) -> Any:
        """A heartbeat without an interval of its own beats at the monitoring interval."""
        if not isinstance(data, dict) or "interval" not in data:
            return data
        beat = data.get("heartbeat", {})
        if not isinstance(beat, dict) or "interval" in beat:
            return data
        try:
            parse_duration(data["interval"])
        except ValueError:
            return data  # said once, of the interval itself
        return {**data, "heartbeat": {**beat, "interval": data["interval"]}}

    @model_validator(mode="after")
    def _positive(self) -> Monitoring:
        if self.interval < timedelta(milliseconds=500):
            raise ValueError("interval below 500ms makes a busy host look dead; use 500ms or more")
        return self


class Backoff(Section):
    """The pause before the n-th retry of one action: base, times factor each time, never longer than max.

    C(jitter) lengthens a pause by up to this share of it, so that what failed together is not retried together.
    """

    base: Duration = timedelta(seconds=10)
    factor: float = Field(default=2.0, ge=1.0, le=100.0)
    max: Duration = timedelta(minutes=10)
    jitter: float = Field(default=0.1, ge=0.0, le=1.0)

    def pause(self, retry: int, chance: float = 0.0) -> timedelta:
        """Return the pause before retry number C(retry), counted from 1; C(chance) is 0 to 1."""
        # The exponent is bounded so that a long history cannot overflow a float.
        plain = min(self.max, self.base * min(self.factor ** min(retry - 1, 64), 1e6))
        return plain * (1 + self.jitter * chance)


class Strategy(Section):
    """The ladder for one failure class: C(action), then each action of C(then), then a person."""

    action: Action | None = None
    then: tuple[Action, ...] | None = None
    delay: Duration = timedelta(0)
    retries: int = Field(default=0, ge=0, le=100)
    backoff: Backoff = Backoff()
    cooldown: Duration = timedelta(0)
    timeout: Duration = timedelta(minutes=10)
    resolve_within: Duration = timedelta(minutes=5)
    verify: Verification = PROBE
    launcher: LauncherName | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_backoff(cls, data: Any) -> Any:
        """Accept C(backoff: 5s) as the base of a doubling backoff."""
        if isinstance(data, dict) and "backoff" in data and not isinstance(data["backoff"], (dict, Backoff)):
            return {**data, "backoff": {"base": data["backoff"]}}
        return data

    @property
    def expression(self) -> str | None:
        """Return the PromQL that has to hold after a repair, beside the playbook's proof and the alert resolving."""
        return None if self.verify == PROBE else self.verify

    def ladder(self, failure_class: str) -> tuple[str, ...]:
        """Return the actions in the order in which they are tried."""
        default = DEFAULT_LADDERS[failure_class]
        first = (self.action,) if self.action else default[:1]
        rest = default if self.then is None else self.then
        return first + tuple(step for step in rest if step not in first)


class AutonomyScope(Section):
    """Autonomy that differs by failure class or pool.  Where several apply, the most cautious one wins."""

    default: Autonomy = Autonomy.act
    classes: dict[FailureClass, Autonomy] = Field(default_factory=dict)
    pools: dict[str, Autonomy] = Field(default_factory=dict)

    def of(self, failure_class: str, pool: str | None) -> Autonomy:
        """Return the autonomy for one incident."""
        caution = [Autonomy.act, Autonomy.ask, Autonomy.watch]
        specific = [
            chosen for chosen in (self.classes.get(failure_class), self.pools.get(pool or "")) if chosen is not None
        ]
        return max(specific, key=caution.index) if specific else self.default


class Flapping(Section):
    """An alert that fires C(times) times within C(window) is flapping.

    Each action on it then waits C(delay) first, twice as long with each time more; from C(person_at) times on a person
    is called instead.
    """

    times: int = Field(default=3, ge=2, le=1000)
    window: PositiveDuration = timedelta(minutes=15)
    delay: Duration = timedelta(seconds=30)
    person_at: int = Field(default=8, ge=2, le=1000)

    @model_validator(mode="after")
    def _slower_before_a_person(self) -> Flapping:
        if self.person_at < self.times:
            raise ValueError(f"person_at ({self.person_at}) must not be below times ({self.times})")
        return self

    def pause(self, fired: int) -> timedelta:
        """Return how long an action waits on an alert that has fired so many times within the window."""
        if fired < self.times:
            return timedelta(0)
        return self.delay * (1 << min(fired - self.times, 10))


class GpuMemory(Section):
    """An action on hardware that was run C(attempts) times for one GPU within C(within) is not tried on it again."""

    attempts: int = Field(default=2, ge=1, le=1000)
    within: PositiveDuration = timedelta(hours=24)


class Recovery(Section):
    """What is done about each failure class."""

    autonomy: AutonomyScope = AutonomyScope()
    persistent_within: Duration = timedelta(minutes=30)
    flapping: Flapping | None = Flapping()
    gpu_memory: GpuMemory = GpuMemory()
    strategies: dict[FailureClass, Strategy] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _nothing_destructive_on_unknown(self) -> Recovery:
        ladder = self.strategy("unknown").ladder("unknown")
        wrong = [action for action in ladder if action in DESTRUCTIVE_ACTIONS and action != "safe_shutdown"]
        if wrong:
            raise ValueError(
                f"strategies.unknown may not run {wrong[0]}: of what may destroy something, only safe_shutdown is "
                "allowed on a failure that nobody has named; name it with classify"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _plain_words(cls, data: Any) -> Any:
        """Accept C(autonomy: ask) for all, and C(flapping: false)."""
        if isinstance(data, dict) and isinstance(data.get("autonomy"), str):
            data = {**data, "autonomy": {"default": data["autonomy"]}}
        if isinstance(data, dict) and data.get("flapping") is False:
            data = {**data, "flapping": None}
        return data

    def strategy(self, failure_class: str) -> Strategy:
        """Return the strategy of a class, or the default one."""
        return self.strategies.get(failure_class) or Strategy()


class Classification(Section):
    """Maps alerts that carry no C(failure_class) of ours onto a class.  The first entry that matches wins."""

    match: Matchers
    failure_class: FailureClass


class FaultOverride(Section):
    """The fleet's own word on one code.  What it does not say stays as in the catalogue; see C(autoglm xid CODE)."""

    failure_class: FailureClass | None = None
    severity: Severity | None = None
    action: FaultAction | None = None
    reason: Annotated[str, Field(max_length=500)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> FaultOverride:
        if self.failure_class is None and self.severity is None and self.action is None:
            raise ValueError("says nothing; give failure_class, severity or action")
        if self.failure_class == "unknown" and self.action not in (None, "observe", "call_person"):
            raise ValueError(f"an unknown failure is never acted on; name its class, or drop action: {self.action}")
        return self


class Faults(Section):
    """What Xid and SXid numbers mean in this fleet, where that differs from the catalogue."""

    xid: dict[FaultCode, FaultOverride] = Field(default_factory=dict)
    sxid: dict[FaultCode, FaultOverride] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _named_before_acted_on(self) -> Faults:
        for code, own in self.xid.items():
            unnamed = own.failure_class is None and lookup_xid(code).failure_class == "unknown"
            if unnamed and own.action not in (None, "observe", "call_person"):
                raise ValueError(
                    f"xid {code} is unknown to the catalogue; name its failure_class for {own.action} to be taken"
                )
        return self

    def overrides(self) -> dict[str, dict[int, dict[str, str]]]:
        """Return the form in which the catalogue, its modules and the exporter take them."""
        return {
            kind: {code: own.model_dump(exclude_none=True) for code, own in table.items()}
            for kind, table in (("xid", self.xid), ("sxid", self.sxid))
        }


class Policy(Section):
    """A whole policy file."""

    monitoring: Monitoring = Monitoring()
    recovery: Recovery = Recovery()
    guardrails: Guardrails = Guardrails()
    launchers: Launchers = Launchers()
    notify: Notify = Notify()
    faults: Faults = Faults()
    classify: tuple[Classification, ...] = ()
    classify_known_alerts: bool = True

    @model_validator(mode="after")
    def _launchers_are_there(self) -> Policy:
        for failure_class, strategy in self.recovery.strategies.items():
            if strategy.launcher == "awx" and self.launchers.awx is None:
                raise ValueError(
                    f"recovery.strategies.{failure_class}.launcher is awx, but launchers.awx says nothing about it; "
                    "give its url and token_file"
                )
        return self

    @model_validator(mode="after")
    def _proof_can_be_asked_for(self) -> Policy:
        for failure_class, strategy in self.recovery.strategies.items():
            if strategy.expression is not None and self.monitoring.prometheus is None:
                raise ValueError(
                    f"recovery.strategies.{failure_class}.verify is asked of a Prometheus, but monitoring.prometheus "
                    "says nothing about one; give its url"
                )
        return self

    def timeout(self, failure_class: str, launcher: str) -> timedelta:
        """Return how long a run may take: a job of AWX may also wait its turn, unless the strategy says how long."""
        strategy = self.recovery.strategy(failure_class)
        if launcher == "awx" and self.launchers.awx is not None and "timeout" not in strategy.model_fields_set:
            return self.launchers.awx.follow_timeout
        return strategy.timeout

    def launcher(self, failure_class: str) -> str:
        """Return the name of the launcher that runs the actions for a failure class."""
        return self.recovery.strategy(failure_class).launcher or self.launchers.default
