# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m bench failure_mix``: published failure mixes, told to what detects, classifies and decides here.

Real are: the kernel's lines, as kernels wrote them (tests/fixtures/kernel); how the exporter reads them, and the alerts
that it raises; the labels of the rules that ``autoglm rules`` renders; class, target, root cause and ladder as the
receiver finds them, with the playbooks that are installed.  Taken to be so, since it takes the hardware to know: that a
rule fires for its cause, and which action repairs it (``failure_mix.yml``, each with its source).

The baseline is a webhook script of a few lines that restarts the service that an alert names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from autoglm_recovery.exporter.alerts import alert_of, labels_of
from autoglm_recovery.exporter.faults import FaultObserver
from autoglm_recovery.exporter.kmsg import KernelRecord
from autoglm_recovery.exporter.services import NodeService, Services
from autoglm_recovery.knowledge.faults.classes import COSTS_STATE, ROOT_CAUSE_ORDER, destroys
from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.decide.ladder import next_step
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.own_playbooks import runnable
from autoglm_recovery.receiver.triage.absorb import judge
from autoglm_recovery.receiver.values.model import Attempt, Fault, FaultMode, RunState, Verb
from autoglm_recovery.receiver.values.situation import Situation
from autoglm_recovery.rules.render import render_rules

MIX = Path(__file__).with_suffix(".yml")
HOST, SERVICE, POOL, GPU = "node-a", "llm", "chat", "0000:3b:00"
FLEET = Fleet({HOST: Host(HOST, services=(InferenceService(SERVICE, POOL),))})
OURS = NodeService(SERVICE, POOL, "llm.service")
# More than any ladder with its retries; a ladder that does not end by then is said to end with a person.
LONGEST_CLIMB = 20


@dataclass(frozen=True)
class Way:
    """One way in which a cause shows itself, and what is right about it; see failure_mix.yml."""

    failure_class: str
    source: str
    lines: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    repaired_by: frozenset[str] = frozenset()
    fitting: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """What became of one way.  ``end``: repaired, contained (out of use until a person comes) or person."""

    failure_class: str | None
    actions: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    end: str = "person"


@dataclass
class Tally:
    """Shares of a mix, weighed by how often each cause was counted."""

    total: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def add(self, weight: float, **true: bool) -> None:
        """Count one way under each word that is true of it."""
        self.total += weight
        for word, holds in true.items():
            self.parts[word] = self.parts.get(word, 0.0) + weight * holds

    def share(self, word: str) -> float:
        """Return the share of a word."""
        return self.parts.get(word, 0.0) / self.total if self.total else 0.0


def main() -> None:
    """Replay each mix, and print it beside the baseline."""
    mixes, causes = read_mix()
    playbooks = runnable({})
    for mix in mixes.values():
        ours, script = Tally(), Tally()
        for way, weight in weighed(mix["counts"], causes):
            count(ours, way, weight, seen(way, playbooks))
            count(script, way, weight, by_script(way))
        show(mix["title"], ours, script)


def read_mix(path: Path = MIX) -> tuple[dict[str, Any], dict[str, tuple[Way, ...]]]:
    """Read the mixes, and how each cause shows itself."""
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read["mixes"], {name: tuple(map(_way, ways)) for name, ways in read["causes"].items()}


def _way(told: Mapping[str, Any]) -> Way:
    unknown = set(told) - {"class", "source", "lines", "alerts", "repaired_by", "fitting"}
    assert not unknown, f"unknown keys {sorted(unknown)}"
    return Way(
        told["class"],
        told["source"],
        tuple(told.get("lines", ())),
        tuple(told.get("alerts", ())),
        frozenset(told.get("repaired_by", ())),
        frozenset(told.get("fitting", ())),
    )


def weighed(counts: Mapping[str, float], causes: Mapping[str, tuple[Way, ...]]) -> Iterator[tuple[Way, float]]:
    """Yield each way of each cause of a mix with its weight."""
    for cause, number in counts.items():
        for way in causes[cause]:
            yield way, number / len(causes[cause])


def seen(way: Way, playbooks: frozenset[str]) -> Seen:
    """Tell one way to the exporter and to the receiver's decisions, and climb the ladder until it ends."""
    policy = Policy()
    labels = [*raised_by_kernel(way.lines), *raised_by_rules(way.alerts)]
    faults = [judge(each, policy, FLEET) for each in labels]
    if not faults:
        return Seen(None, end="")
    root = min(faults, key=lambda fault: ROOT_CAUSE_ORDER.index(fault.failure_class))
    return climbed(root, way, policy, playbooks)


def raised_by_kernel(lines: Iterable[str]) -> list[dict[str, str]]:
    """Return the labels of the alerts that the exporter raises for these lines, the GPU being our service's."""
    observer = FaultObserver(Services([OURS]), lambda _pid: None, lambda _gpu: OURS, lambda _address: False)
    records = [KernelRecord(line, None, 1000.0 + number) for number, line in enumerate(lines)]
    faults = [fault.labels for record in records if (fault := observer.take(record)) is not None]
    return [labels_of(alert, HOST, fault, {}) for fault in faults if (alert := alert_of(fault)) is not None]


def raised_by_rules(names: Iterable[str]) -> list[dict[str, str]]:
    """Return the labels of alerts of our own rules, with those that tell of the target."""
    return [{**_about(name), **labels_of_rules()[name], "alertname": name} for name in names]


@cache
def labels_of_rules() -> dict[str, dict[str, str]]:
    """Return the labels that each rule adds, as they are rendered where the policy says nothing."""
    groups = yaml.safe_load(render_rules(Policy()))["groups"]
    return {rule["alert"]: rule["labels"] for group in groups for rule in group["rules"] if "alert" in rule}


def _about(name: str) -> dict[str, str]:
    if name.startswith(("GPU", "NVLink")) and name != "GPUCountBelowExpected":
        return {"host": HOST, "gpu": GPU, "service": SERVICE, "pool": POOL}
    return {"host": HOST} if name in {"NodeDown", "GPUCountBelowExpected"} else {"host": HOST, "service": SERVICE}


def climbed(root: Fault, way: Way, policy: Policy, playbooks: frozenset[str]) -> Seen:
    """Climb the ladder of a fault: each run repairs it if its action does, and else has failed."""
    assert root.target is not None, root.refusal
    known = Situation(
        root.failure_class, FaultMode.transient, root.target, 0.0, 600.0, playbooks, pools=frozenset({POOL})
    )
    taken: list[str] = []
    end = "person"
    while len(taken) < LONGEST_CLIMB:
        step = next_step(policy, known)
        if step.verb is not Verb.run or step.action is None:
            break
        taken.append(step.action)
        if step.action in way.repaired_by:
            end = "repaired"
            break
        known = replace(known, attempts=(*known.attempts, Attempt(step.action, RunState.failed, known.now)))
    if end == "person" and "quarantine_node" in taken:
        end = "contained"
    return Seen(root.failure_class, tuple(taken), tuple(wrong(taken, way)), end)


def wrong(taken: Iterable[str], way: Way) -> Iterator[str]:
    """Yield what was done that destroys state, a host's work or a service, and that its cause does not ask for."""
    for action in taken:
        if destroys(action) >= COSTS_STATE and action not in way.repaired_by | way.fitting:
            yield action


def by_script(way: Way) -> Seen:
    """Return what a script does that restarts the service of each alert: it reads no line and knows no class."""
    if not way.alerts:
        return Seen(None, end="")
    return Seen("restart", ("restart_process",), (), "repaired" if "restart_process" in way.repaired_by else "person")


def count(tally: Tally, way: Way, weight: float, found: Seen) -> None:
    """Add one way to the figures."""
    quiet = way.failure_class == "none"
    tally.add(
        weight,
        detected=quiet or found.failure_class is not None,
        class_right=found.failure_class == (None if quiet else way.failure_class),
        action_right=is_right(way, found),
        without_person=quiet if found.failure_class is None else found.end == "repaired",
        contained=found.end == "contained",
    )
    tally.wrong += [f"{action} for {way.failure_class}" for action in found.wrong]


def is_right(way: Way, found: Seen) -> bool:
    """Tell whether the first thing done is one that its cause asks for; where nothing repairs it, a person is too."""
    if found.failure_class is None:
        return way.failure_class == "none"
    if not found.actions:
        return not way.repaired_by
    return found.actions[0] in way.repaired_by | way.fitting


def show(title: str, ours: Tally, script: Tally) -> None:
    """Print one mix."""
    print(title)
    print(f"  {'':34}{'here':>8}{'restart by script':>20}")
    for word, said in (
        ("detected", "detected"),
        ("class_right", "class right"),
        ("action_right", "first action right"),
        ("without_person", "ends without a person"),
        ("contained", "kept out of use until one comes"),
    ):
        beside = "-" if word in {"class_right", "contained"} else f"{script.share(word):.0%}"
        print(f"  {said:34}{ours.share(word):8.0%}{beside:>20}")
    print(f"  {'wrong destructive actions':34}{len(ours.wrong):8}{len(script.wrong):>20}")
    for one in sorted(set(ours.wrong)):
        print(f"    {one}")


if __name__ == "__main__":
    main()
