# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy file may say.  Every key has a safe default, and a key nobody honours is an error."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, model_validator

from autoglm_recovery.knowledge.faults.classes import LEAST_SECONDS
from autoglm_recovery.policy.faults import Faults
from autoglm_recovery.policy.guardrails import Guardrails
from autoglm_recovery.policy.launchers import AwxTemplate, LauncherName, Launchers
from autoglm_recovery.policy.monitoring import Monitoring
from autoglm_recovery.policy.notify import Notify
from autoglm_recovery.policy.own import ActionName, ClassName, OwnAction, OwnClass
from autoglm_recovery.policy.proof import PROBE, Verification
from autoglm_recovery.policy.repertoire import OURS, Circular, Repertoire
from autoglm_recovery.policy.repetition import Flapping, GpuMemory
from autoglm_recovery.policy.retention import Retention
from autoglm_recovery.policy.section import (
    Action,
    Duration,
    FailureClass,
    Matchers,
    Misplaced,
    Section,
    choices,
    declaring,
    known,
)

# What the end of an alert tells: of a state that the fault is over, of the others nothing.
NATURES = ("state", "event", "sticky")
Nature = Annotated[str, known(NATURES), choices(NATURES)]


class Autonomy(StrEnum):
    """How far the receiver may go: launch by itself, ask a person first, or only say what it would do."""

    act = "act"
    ask = "ask"
    watch = "watch"


class Evidence(StrEnum):
    """What an action does when the evidence cannot be saved: change nothing, or go on and say so."""

    required = "required"
    best_effort = "best_effort"


class Backoff(Section):
    """The pause before the n-th retry of one action: base, times factor each time, never longer than max.

    ``jitter`` lengthens a pause by up to this share of it, so that what failed together is not retried together.
    """

    base: Duration = timedelta(seconds=10)
    factor: float = Field(default=2.0, ge=1.0, le=100.0)
    max: Duration = timedelta(minutes=10)
    jitter: float = Field(default=0.1, ge=0.0, le=1.0)

    def pause(self, retry: int, chance: float = 0.0) -> timedelta:
        """Return the pause before retry number ``retry``, counted from 1; ``chance`` is 0 to 1."""
        # The exponent is bounded so that a long history cannot overflow a float.
        plain = min(self.max, self.base * min(self.factor ** min(retry - 1, 64), 1e6))
        return plain * (1 + self.jitter * chance)


class Strategy(Section):
    """The ladder for one failure class: ``action``, then each action of ``then``, then a person.

    Without ``then``, what comes after ``action`` are the rungs above it in the default ladder of the class.
    """

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
    evidence: Evidence | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain_backoff(cls, data: Any) -> Any:
        """Accept ``backoff: 5s`` as the base of a doubling backoff."""
        if isinstance(data, dict) and "backoff" in data and not isinstance(data["backoff"], (dict, Backoff)):
            return {**data, "backoff": {"base": data["backoff"]}}
        return data

    @property
    def expression(self) -> str | None:
        """Return the PromQL that has to hold after a repair, beside the playbook's proof and the alert resolving."""
        return None if self.verify == PROBE else self.verify

    def evidence_for(self, action: str, repertoire: Repertoire = OURS) -> Evidence:
        """Say whether an action may go on without evidence: unless the policy says otherwise, where it destroys none.

        A full disk must not keep a server down; a reset takes with it what the bundle would have held.
        """
        if self.evidence is not None:
            return self.evidence
        return Evidence.required if repertoire.destructive(action) else Evidence.best_effort

    def ladder(self, failure_class: str, repertoire: Repertoire = OURS) -> tuple[str, ...]:
        """Return the actions in the order in which they are tried."""
        default = repertoire.ladder(failure_class)
        if self.action is None:
            first, rest = default[:1], default
        elif self.action in default:
            first, rest = (self.action,), default[default.index(self.action) :]
        else:
            # An action that is not on the default ladder stands where its cost puts it.
            first = (self.action,)
            rest = tuple(step for step in default if repertoire.cost(step) >= repertoire.cost(first[0]))
        if self.then is not None:
            rest = self.then
        return first + tuple(step for step in rest if step not in first)


class AutonomyScope(Section):
    """Autonomy that differs by failure class or pool: of these two the more cautious, before ``default``."""

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


class Recovery(Section):
    """What is done about each failure class."""

    autonomy: AutonomyScope = AutonomyScope()
    persistent_within: Duration = timedelta(minutes=30)
    flapping: Flapping | None = Flapping()
    gpu_memory: GpuMemory = GpuMemory()
    strategies: dict[FailureClass, Strategy] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _plain_words(cls, data: Any) -> Any:
        """Accept ``autonomy: ask`` for all, and ``flapping: false``."""
        if isinstance(data, dict) and isinstance(data.get("autonomy"), str):
            data = {**data, "autonomy": {"default": data["autonomy"]}}
        if isinstance(data, dict) and data.get("flapping") is False:
            data = {**data, "flapping": None}
        return data

    def strategy(self, failure_class: str) -> Strategy:
        """Return the strategy of a class, or the default one."""
        return self.strategies.get(failure_class) or Strategy()


class Classification(Section):
    """Maps alerts that carry no ``failure_class`` of ours onto a class.  The first entry that matches wins."""

    match: Matchers
    failure_class: FailureClass
    nature: Nature | None = None


class Policy(Section):
    """A whole policy file."""

    monitoring: Monitoring = Monitoring()
    recovery: Recovery = Recovery()
    guardrails: Guardrails = Guardrails()
    launchers: Launchers = Launchers()
    notify: Notify = Notify()
    retention: Retention = Retention()
    faults: Faults = Faults()
    classify: tuple[Classification, ...] = ()
    classify_known_alerts: bool = True
    actions: dict[ActionName, OwnAction] = Field(default_factory=dict)
    classes: dict[ClassName, OwnClass] = Field(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _own_names_count(cls, data: Any, handler: ModelWrapValidatorHandler[Policy]) -> Policy:
        """Let every section name the actions and classes that this policy declares."""
        with declaring(data):
            return handler(data)

    @cached_property
    def repertoire(self) -> Repertoire:
        """Return what actions and classes there are under this policy, and what they are like."""
        return Repertoire(self.actions, self.classes)

    @model_validator(mode="after")
    def _causes_have_an_order(self) -> Policy:
        try:
            _ = self.repertoire
        except Circular as error:
            raise Misplaced(("classes", error.name, "cause_before"), str(error)) from error
        return self

    @model_validator(mode="after")
    def _nothing_destructive_on_unknown(self) -> Policy:
        wrong = [each for each in self.ladder("unknown") if self.repertoire.destructive(each)]
        wrong = [each for each in wrong if each != "safe_shutdown"]
        if wrong:
            raise Misplaced(
                ("recovery",),
                f"strategies.unknown may not run {wrong[0]}: of what may destroy something, only safe_shutdown is "
                "allowed on a failure that nobody has named; name it with classify",
            )
        return self

    @model_validator(mode="after")
    def _own_actions_can_be_launched(self) -> Policy:
        strategies = self.recovery.strategies.values()
        somewhere = self.launchers.default == "awx" or any(each.launcher == "awx" for each in strategies)
        for name, own in self.actions.items():
            where = ("actions", name)
            if own.launcher == "awx" and self.launchers.awx is None:
                what = "is awx, but launchers.awx says nothing about it; give its url and token_file"
                raise Misplaced((*where, "launcher"), what)
            if own.template is not None and own.launcher is None and not somewhere:
                raise Misplaced((*where, "template"), "nothing is launched by AWX; add launcher: awx")
            if own.template is not None and self.launchers.awx and name in self.launchers.awx.templates:
                what = f"launchers.awx.templates has one for {name} as well; take one of them out"
                raise Misplaced((*where, "template"), what)
        return self

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

    @model_validator(mode="after")
    def _decisions_are_remembered(self) -> Policy:
        flapping = self.recovery.flapping
        looks_back = {
            "recovery.persistent_within": self.recovery.persistent_within,
            "recovery.gpu_memory.within": self.recovery.gpu_memory.within,
            "recovery.flapping.window": flapping.window if flapping else timedelta(0),
            "guardrails.circuit_breaker.window": self.guardrails.circuit_breaker.window,
        }
        longest = max(looks_back, key=lambda name: looks_back[name])
        if self.retention.incidents < looks_back[longest]:
            raise ValueError(f"retention.incidents is shorter than {longest}, which looks back so far")
        return self

    def timeout(self, failure_class: str, launcher: str, action: str | None = None) -> timedelta:
        """Return how long a run may take, if the strategy does not say it.

        A job of AWX may also wait its turn, and some actions need longer than others.
        """
        strategy = self.recovery.strategy(failure_class)
        if "timeout" in strategy.model_fields_set:
            return strategy.timeout
        awx = self.launchers.awx
        usual = awx.follow_timeout if launcher == "awx" and awx is not None else strategy.timeout
        return max(usual, timedelta(seconds=LEAST_SECONDS.get(action or "", 0)))

    @property
    def silences_own(self) -> bool:
        """Tell whether the alerts of what is being repaired are silenced in Alertmanager meanwhile."""
        return self.monitoring.alertmanager is not None and self.monitoring.alertmanager.silence

    def launcher(self, failure_class: str, action: str | None = None) -> str:
        """Return the name of the launcher for a failure class, or of what an own action says of itself."""
        own = self.actions.get(action or "")
        of_action = None if own is None else own.launcher
        return of_action or self.recovery.strategy(failure_class).launcher or self.launchers.default

    def ladder(self, failure_class: str) -> tuple[str, ...]:
        """Return the actions for a failure class, in the order in which they are tried."""
        return self.recovery.strategy(failure_class).ladder(failure_class, self.repertoire)

    def evidence(self, failure_class: str, action: str) -> Evidence:
        """Say whether an action on a failure of this class may go on without evidence."""
        return self.recovery.strategy(failure_class).evidence_for(action, self.repertoire)

    def template(self, action: str) -> AwxTemplate:
        """Return the job template of AWX that carries out an action."""
        own = self.actions.get(action)
        if own is not None and own.template is not None:
            return own.template
        return self.launchers.awx.template(action) if self.launchers.awx else AwxTemplate(name=f"autoglm {action}")
