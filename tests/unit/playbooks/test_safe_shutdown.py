# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom safe_shutdown lets stop what, by the templates of vars/shutdown.yml and of its tasks as they stand."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2.nativetypes import NativeEnvironment

from tests.support.servers.plays import PLAYBOOKS, load

SHUTDOWN = load(PLAYBOOKS / "vars/shutdown.yml")
OWN = {"id": 7, "key": "a-7"}
MODULE = "autoglm.recovery.inference_service"


def value(template: str, **known: Any) -> Any:
    environment = NativeEnvironment()
    environment.filters["bool"] = bool
    return environment.from_string(template).render(known)


def marked(incident: str) -> dict[str, Any]:
    return {"quarantined": True, "mark": {"incident": incident}}


@pytest.mark.parametrize(
    ("mark", "by_person", "incident", "others"),
    [
        ({"quarantined": False, "mark": None}, False, OWN, False),
        (marked("a-7"), False, OWN, False),  # its own, of a run that was killed
        (marked("7"), False, {"id": 7}, False),
        (marked("b-9"), False, OWN, True),
        (marked(""), False, OWN, True),  # a person's
        (marked(""), False, {}, True),  # Event-Driven Ansible has no incident, and is nobody's owner
        (marked("b-9"), True, {}, False),
    ],
)
def test_what_somebody_else_keeps_for_a_look_is_stopped_by_a_person_alone(
    mark: dict[str, Any], by_person: bool, incident: dict[str, Any], others: bool
) -> None:
    known = {"autoglm_marked": mark, "autoglm_asked_by_person": by_person, "autoglm_incident": incident}
    assert value(SHUTDOWN["autoglm_marked_by_others"], **known) is others


@pytest.mark.parametrize(
    ("force", "pool", "needed"),
    [(False, {}, "1"), (False, {"min_available": "50%"}, "50%"), (True, {"min_available": "50%"}, "0")],
)
def test_only_force_takes_away_the_last_one_that_serves(force: bool, pool: dict[str, str], needed: str) -> None:
    text = SHUTDOWN["autoglm_min_available"]
    assert str(value(text, autoglm_force=force, autoglm_pool=pool)) == needed


def test_what_is_in_flight_is_cut_off_by_force_or_where_nobody_can_read_it() -> None:
    (wait,) = load(PLAYBOOKS / "tasks/await_in_flight.yml")
    told = wait["rescue"][0]["ansible.builtin.assert"]["that"]
    for verdict, force, goes_on in (("healthy", False, False), ("healthy", True, True), ("unknown", False, True)):
        known = {"autoglm_state": {"verdict": verdict}, "autoglm_force": force}
        assert value("{{ " + told + " }}", **known) is goes_on


def test_everything_that_refuses_comes_before_the_mark_and_every_stop_after_what_is_saved() -> None:
    steps = [task["name"] for task in load(PLAYBOOKS / "tasks/shut_down_host.yml")]
    order = [
        "Refuse to stop what somebody else keeps for a look",
        "Look what is to be stopped",
        "See that each service may leave its balancers",
        "Mark the host",
        "Leave the balancers, or say how the host stands",
        "Save and stop, one service after the other",
    ]
    assert [step for step in steps if step in order] == order
    (one,) = load(PLAYBOOKS / "tasks/shut_down_service.yml")
    steps = [task["name"] for task in one["block"]]
    assert steps[2:] == [
        "Let what is in flight come to its end",
        "Evidence",
        "Checkpoint",
        "Note what was saved",
        "Stop",
    ]


def test_the_look_and_the_stop_say_the_same_of_the_process() -> None:
    """Where hosts accept of an account what was declared and nothing else, one of them would be refused."""
    (looks,) = (t for t in load(PLAYBOOKS / "tasks/look_what_stops.yml") if MODULE in t)
    (stops,) = (t for t in load(PLAYBOOKS / "tasks/stop_service.yml") if MODULE in t)
    assert looks["check_mode"] is True
    assert looks[MODULE] == {key: said for key, said in stops[MODULE].items() if key not in ("stop_timeout", "guard")}
