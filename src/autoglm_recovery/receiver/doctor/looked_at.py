# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was to be looked at on hosts against what the run told of: of the rest nobody knows whether it is well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autoglm_recovery.knowledge.host.redaction import redact_document
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel
from autoglm_recovery.receiver.doctor.hosts import CHECK, SSH, name_of_balancer, read_looks, table

CLOCK = "Clock"
# The task of look_at_hosts that looks at each kind of what is planned.
TASKS = {"units": "Unit", "containers": "Container", "urls": "Address", "balancers": "Balancer"}
# How ansible-playbook ends where it has come to its end: all went well, hosts failed, hosts could not be reached.
_ENDS, _FAILS = (0, 2, 4), ("runner_on_failed", "runner_on_unreachable")
_MOST_NAMED = 20
_EARLY = "see what ended the run early: its time, or a setting of Ansible's such as any_errors_fatal"

Looks = Mapping[str, Iterable[Any]]


def read_run(
    planned: Mapping[str, Looks], rc: int | None, said: str, events: list[dict[str, Any]]
) -> list[DoctorFinding]:
    """Turn a run of look_at_hosts into findings.

    ``planned`` is what ``hosts.plan`` has for it, ``said`` why it began no task or was ended.
    """
    return [*read_looks(events), *_how_it_ended(rc, said, events), *_hosts_without_answer(planned, events)]


def _how_it_ended(rc: int | None, said: str, events: Iterable[Mapping[str, Any]]) -> Iterator[DoctorFinding]:
    if said or rc not in _ENDS:
        why = ": ".join(part for part in (f"exit code {rc}" if rc is not None else "", said) if part)
        yield DoctorFinding(
            SSH, FindingLevel.unknown, f"the run that looks at hosts was not done: {why or 'nobody knows why'}"
        )
    elif rc != 0 and not any(event.get("event") in _FAILS for event in events):
        what = f"the run that looks at hosts ended with exit code {rc}, and told of no host that failed"
        yield DoctorFinding(SSH, FindingLevel.unknown, what)


def _hosts_without_answer(planned: Mapping[str, Looks], events: Iterable[Mapping[str, Any]]) -> Iterator[DoctorFinding]:
    answers = _answers(events)
    for host, looks in planned.items():
        told = answers.get(host, [])
        reached = (CLOCK, None) in told
        left = [name for task, name, item in _expected_looks(looks) if not _take_answer(told, (task, item))]
        if left:
            names = ", ".join(left[:_MOST_NAMED]) + (
                f" and {more} more" if (more := len(left) - _MOST_NAMED) > 0 else ""
            )
            yield DoctorFinding(
                CHECK if reached else SSH, FindingLevel.unknown, f"was not looked at: {names}", host, _EARLY
            )


def _expected_looks(looks: Looks) -> Iterator[tuple[str, str, Any]]:
    """(task, what a person calls it, item of the task's loop) of each look at a host."""
    yield CLOCK, "its clock", None
    for kind, items in looks.items():
        for item in items:
            # The events are kept without secrets, and so is an address with a password.
            yield TASKS[kind], _NAMES[kind](item), redact_document(item)


_NAMES: Mapping[str, Callable[[Any], str]] = {
    "units": lambda unit: f"unit {unit}",
    "containers": lambda item: f"container {item['name']}",
    "urls": lambda item: str(item["url"]),
    "balancers": lambda item: f"balancer {name_of_balancer(item['balancer'])}",
}


def _answers(events: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """Return the looks that each host has answered; what was skipped, or failed before it could look, is no answer."""
    answers: dict[str, list[tuple[str, Any]]] = {}
    for event in events:
        kind, data = event.get("event"), table(event.get("event_data"))
        host, task = str(data.get("host")), str(data.get("task"))
        if kind == "runner_item_on_ok":
            answers.setdefault(host, []).append((task, table(data.get("res")).get("item")))
        elif task == CLOCK and (kind == "runner_on_ok" or (kind in _FAILS and not data.get("ignore_errors"))):
            # That it failed is an answer too: there is a finding that says so.
            answers.setdefault(host, []).append((task, None))
    return answers


def _take_answer(answers: list[tuple[str, Any]], look: tuple[str, Any]) -> bool:
    """Take the answer to a look: two that differ in a secret alone look alike, and need two."""
    if look not in answers:
        return False
    answers.remove(look)
    return True
