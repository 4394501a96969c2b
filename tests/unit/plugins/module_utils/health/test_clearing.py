# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way a server that does not get on is put right: cleared by its engine, restarted, or not touched."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Reading, Stats
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.classes import FAILURE_CLASSES
from ansible_collections.autoglm.recovery.plugins.module_utils.health.clearing import first_way, way_after_the_order
from ansible_collections.autoglm.recovery.plugins.module_utils.health.observations import Observations
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import Status
from hypothesis import given
from hypothesis import strategies as st

YES, TIMEOUT = Reading(True, "200"), Reading(None, "no complete answer within 5 s", kind="timeout")


def state(verdict: str, failure_class: str | None, live: Reading = YES, **service: Any) -> dict[str, Any]:
    """What inference_health returns, as far as it is looked at."""
    status = Status(
        kind="systemd", name="a.service", **{"state": "running", "main_pid": 7, "process_state": "S", **service}
    )
    seen = asdict(Observations(live, YES, Stats(), service=status))
    return {"verdict": verdict, "failure_class": failure_class, "reasons": ["3 requests stand"], "inference": seen}


@pytest.mark.parametrize(
    ("seen", "way", "why"),
    [
        (state("healthy", None), "leave", "3 requests stand"),
        (state("healthy", "overload"), "leave", "3 requests stand"),
        (state("unknown", "overload"), "refuse", "could not be read"),  # it works on prompts, which is progress
        (state("unknown", "unknown"), "refuse", "could not be read"),
        (state("unhealthy", "not_ready"), "refuse", "nothing in it hangs"),  # starts, or was paused by a person
        (state("unhealthy", "deadlock"), "clear", "deadlock: 3 requests stand"),
        (state("unhealthy", "unresponsive"), "clear", "unresponsive"),  # it answers, and generates nothing
        (state("unhealthy", "unresponsive", TIMEOUT), "restart", "its API takes no order"),
        (state("unhealthy", "unresponsive", process_state="T"), "restart", "is stopped"),
        (state("unhealthy", "deadlock", state="paused"), "restart", "is stopped"),
        (state("unhealthy", "crash", main_pid=None, state="failed"), "restart", "has died (crash)"),
        (state("unhealthy", "deadlock", main_pid=None), "restart", "no process"),
        (state("unhealthy", "oom"), "restart", "has died (oom)"),  # a worker of it
        ({"msg": "it could not be asked"}, "refuse", "it could not be asked"),
        ({}, "refuse", "nothing was said"),
    ],
)
def test_which_way_is_taken(seen: dict[str, Any], way: str, why: str) -> None:
    chosen = first_way(seen)
    assert chosen.way == way
    assert why in chosen.why


@pytest.mark.parametrize(
    ("seen", "way"),
    [
        (state("healthy", None), "leave"),
        (state("healthy", "overload"), "leave"),
        (state("unhealthy", "deadlock"), "restart"),
        (state("unhealthy", "unresponsive", TIMEOUT), "restart"),
        (state("unhealthy", "crash", main_pid=None), "restart"),  # of the order, say
        (state("unknown", "overload"), "refuse"),  # it moves again: a restart would lose what it works on
        (state("unknown", "unknown"), "refuse"),
        ({}, "refuse"),
    ],
)
def test_what_is_left_to_do_after_the_order(seen: dict[str, Any], way: str) -> None:
    assert way_after_the_order(seen).way == way


readings = st.builds(
    state,
    st.sampled_from(["healthy", "unhealthy", "unknown", "Unhealthy", ""]),
    st.sampled_from([*FAILURE_CLASSES, None]),
    st.sampled_from([YES, TIMEOUT]),
    main_pid=st.sampled_from([7, None]),
    process_state=st.sampled_from(["S", "T", "Z", None]),
)


@given(readings, st.sampled_from([first_way, way_after_the_order]))
def test_nothing_is_touched_that_is_not_known_to_be_unhealthy_or_that_makes_progress(seen, decide) -> None:
    """A server that makes progress has the class overload, and is never unhealthy."""
    if decide(seen).way in ("clear", "restart"):
        assert seen["verdict"] == "unhealthy"


@given(st.dictionaries(st.sampled_from(["verdict", "failure_class", "reasons", "inference"]), st.text() | st.none()))
def test_answers_of_another_form_are_no_reason_to_act(answer: dict[str, Any]) -> None:
    assert first_way(answer).way in ("leave", "refuse", "restart")
    if answer.get("verdict") != "unhealthy":
        assert first_way(answer).way != "restart"
