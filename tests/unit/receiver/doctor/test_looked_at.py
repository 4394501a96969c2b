# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has not told of is unknown, by the name of each host and of what was to be looked at there."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_recovery.knowledge.host.redaction import redact_document
from autoglm_recovery.receiver.doctor import trying
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, well
from autoglm_recovery.receiver.doctor.looked_at import CLOCK, TASKS, read_run
from tests.support.servers.plays import PLAYBOOKS, load

URL = {"url": "http://me:hunter2hunter2@127.0.0.1:80", "ca_path": None}
BALANCER = {"balancer": {"kind": "haproxy", "backend": "llm", "socket": "/run/h.sock"}, "servers": ["node-a"]}
CONTAINER = {"name": "c", "runtime": "podman"}
LOOKS = {"units": ["llama.service", "b.service"], "containers": [CONTAINER], "urls": [URL], "balancers": [BALANCER]}
PLANNED: dict[str, dict[str, list[Any]]] = {"node-a": LOOKS, "node-b": {}}


def event(kind: str, task: str, host: str = "node-a", **result: Any) -> dict[str, Any]:
    """Return one of ansible-runner's events as it is kept, which is without secrets."""
    data = redact_document({"host": host, "task": task, "res": result})
    return {"event": kind, "created": "2026-11-28T12:00:00.500000+00:00", "event_data": data}


def clock(host: str) -> dict[str, Any]:
    return event("runner_on_ok", CLOCK, host, stdout="1795867200")


def item(task: str, asked: Any, **result: Any) -> dict[str, Any]:
    return event("runner_item_on_ok", task, item=asked, **result)


def whole() -> list[dict[str, Any]]:
    """Return the events of a run that has looked at all that is planned, and found it well."""
    return [
        clock("node-a"),
        clock("node-b"),
        item("Unit", "llama.service", rc=0, stdout="loaded"),
        item("Unit", "b.service", rc=0, stdout="loaded"),
        item("Container", CONTAINER, rc=0),
        item("Address", URL, status=200),
        item("Balancer", BALANCER, outcome="queried", obstacles=[], pool=[{"name": "node-a"}]),
    ]


def unknown(found: list[DoctorFinding]) -> list[tuple[str, str]]:
    """Return where and what of all that is unknown, for which the command ends with 1."""
    left = [(each.where, each.what) for each in found if each.level is FindingLevel.unknown]
    assert bool(left) <= (not well(found))
    return left


def test_where_all_was_looked_at_all_is_well() -> None:
    found = read_run(PLANNED, 0, "", whole())
    assert well(found)
    assert [(each.check, each.level, each.where) for each in found if each.check == "ssh"] == [
        ("ssh", FindingLevel.ok, "node-a"),
        ("ssh", FindingLevel.ok, "node-b"),
    ]


@pytest.mark.parametrize(
    ("lost", "where", "what"),
    [
        (0, "node-a", "its clock"),
        (1, "node-b", "its clock"),
        (2, "node-a", "unit llama.service"),
        (3, "node-a", "unit b.service"),
        (4, "node-a", "container c"),
        (5, "node-a", "http://[redacted]@127.0.0.1:80"),
        (6, "node-a", "balancer haproxy llm"),
    ],
)
def test_what_nothing_was_told_of_is_unknown_by_its_name(lost: int, where: str, what: str) -> None:
    events = whole()
    skipped = events.pop(lost)
    assert unknown(read_run(PLANNED, 0, "", events)) == [(where, f"was not looked at: {what}")]
    skipped["event"] = skipped["event"].replace("_ok", "_skipped")
    assert unknown(read_run(PLANNED, 0, "", [*events, skipped])) == [(where, f"was not looked at: {what}")]


def test_a_host_that_left_the_run_after_its_clock_is_not_well() -> None:
    found = read_run(PLANNED, 2, "", [clock("node-a"), event("runner_on_failed", CLOCK, "node-b", msg="no python")])
    names = "unit llama.service, unit b.service, container c, http://[redacted]@127.0.0.1:80, balancer haproxy llm"
    # That node-b failed is told as wrong, once.
    assert unknown(found) == [("node-a", f"was not looked at: {names}")]
    assert [each.where for each in found if each.level is FindingLevel.wrong] == ["node-b"]


def test_a_host_that_a_failed_task_kept_from_the_rest_is_told_of_too() -> None:
    gone = event("runner_on_unreachable", "Balancer", msg="Connection timed out")
    assert unknown(read_run(PLANNED, 4, "", [*whole()[:-1], gone])) == [
        ("node-a", "was not looked at: balancer haproxy llm")
    ]


def test_each_host_is_named_however_many_there_are() -> None:
    planned: dict[str, dict[str, list[Any]]] = {f"node-{number}": {} for number in range(40)}
    found = unknown(read_run(planned, 0, "", []))
    assert [where for where, _what in found] == list(planned)


def test_two_addresses_that_differ_in_a_secret_alone_need_two_answers() -> None:
    other = {**URL, "url": "http://me:hunter3hunter3@127.0.0.1:80"}
    planned = {"node-a": {"urls": [URL, other]}}
    events = [clock("node-a"), item("Address", URL, status=200)]
    assert len(unknown(read_run(planned, 0, "", events))) == 1
    assert well(read_run(planned, 0, "", [*events, item("Address", other, status=200)]))


@pytest.mark.parametrize(
    ("rc", "said", "what"),
    [
        (1, "", "was not done: exit code 1"),
        (8, "", "was not done: exit code 8"),
        (254, "it took longer than 300 s", "was not done: exit code 254: it took longer than 300 s"),
        (None, "something killed it", "was not done: something killed it"),
        (None, "", "was not done: nobody knows why"),
        (4, "no task was begun: x", "was not done: exit code 4: no task was begun: x"),
        (2, "", "ended with exit code 2, and told of no host that failed"),
        (4, "", "ended with exit code 4, and told of no host that failed"),
    ],
)
def test_a_run_that_did_not_end_as_ansible_ends_is_unknown(rc: int | None, said: str, what: str) -> None:
    assert unknown(read_run(PLANNED, rc, said, whole())) == [("", f"the run that looks at hosts {what}")]


def test_the_tasks_are_those_of_the_playbooks() -> None:
    def names(playbook: str) -> list[str]:
        (play,) = load(PLAYBOOKS / f"{playbook}.yml")
        return [task["name"] for task in play["tasks"]]

    assert names("look_at_hosts")[1:] == [CLOCK, *TASKS.values()]
    assert names("try_run")[-1] == trying.LAST_TASK
