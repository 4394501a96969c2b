# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an order stands to an incident, by the receiver's own table and the orders that its timeline tells of."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.standing import (
    POSSIBLE,
    OrderRefused,
    standing,
)


def incident(state: str, *ordered: str, cancel: str | None = None) -> dict[str, Any]:
    timeline = [{"kind": "opened", "text": "approve by a label that says so"}]
    timeline += [{"kind": "order", "text": f"{order} by alice (bearer, 192.0.2.1)"} for order in ordered]
    return {"id": 7, "state": state, "timeline": timeline, "runs": [{"cancel": "before"}, {"cancel": cancel}]}


@pytest.mark.parametrize(("action", "state"), [(action, state) for action in POSSIBLE for state in POSSIBLE[action]])
def test_what_the_state_allows_is_ordered_also_if_it_was_ordered_before(action: str, state: str) -> None:
    assert standing(action, incident(state)).to_give
    assert standing(action, incident(state, action)).to_give


@pytest.mark.parametrize(
    ("action", "seen", "said"),
    [
        ("close", incident("closed"), "incident 7 is closed already"),
        ("close", incident("resolved"), "incident 7 is resolved already"),
        ("approve", incident("running", "retry", "approve"), "last order about it was: approve by alice"),
        ("reject", incident("closed", "reject"), "last order about it was: reject by alice"),
        ("retry", incident("verifying", "retry"), "last order about it was: retry by alice"),
        ("cancel", incident("escalated", "cancel"), "last order about it was: cancel by alice"),
        ("cancel", incident("running", cancel="by alice"), "is being cancelled already"),
    ],
)
def test_what_was_ordered_is_not_ordered_again(action: str, seen: dict[str, Any], said: str) -> None:
    found = standing(action, seen)
    assert not found.to_give
    assert said in found.reason


@pytest.mark.parametrize(
    ("action", "seen"),
    [
        ("approve", incident("open")),
        # Of those that anybody gave, the last one counts.
        ("approve", incident("closed", "approve", "close")),
        ("reject", incident("closed", "close")),
        ("retry", incident("running", "approve")),
        ("cancel", incident("held", "approve")),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(action: str, seen: dict[str, Any]) -> None:
    with pytest.raises(OrderRefused, match=f"incident 7 is {seen['state']}; {action} is for incidents that are "):
        standing(action, seen)


def test_an_incident_without_a_run_has_none_to_cancel_again() -> None:
    assert standing("cancel", {**incident("running"), "runs": []}).to_give


def test_an_order_that_may_not_be_the_last_one_is_not_taken_for_it() -> None:
    """Of a long timeline the receiver shows the first lines and the newest: a later order may lie between them."""
    told = incident("running", "approve")
    assert standing("approve", told).to_give is False
    assert standing("approve", {**told, "left_out": {"timeline": 0}}).to_give is False
    with pytest.raises(OrderRefused):
        standing("approve", {**told, "left_out": {"timeline": 3}})
