# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of refused alerts."""

from __future__ import annotations

from types import SimpleNamespace

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.console.refused import IN_WORDS, refused_page
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host
from autoglm_recovery.receiver.store.refusals import UNREADABLE
from autoglm_recovery.receiver.values.refusal import RefusalReason

ROW = {
    "id": 1,
    "alert": "X",
    "refused_as": "no_such_host",
    "sender": "itself",
    "failure_class": "oom",
    "reason": "r",
    "advice": "a",
    "labels": {"host": "alpha"},
    "times": 2,
    "first_at": 1.0,
    "last_at": 2.0,
}


def shown(fleet, **changes):
    """Return the only kind of a page."""
    return refused_page([SimpleNamespace(**ROW, **changes)], Policy(), fleet).kinds[0]


def test_once_the_inventory_has_the_alias_the_page_says_that_the_next_one_is_taken_in():
    assert shown(Fleet({"node-a": Host("node-a")})).now is None
    assert shown(Fleet({"node-a": Host("node-a", aliases=("Alpha",))})).now == "node-a"


def test_every_kind_of_refusal_has_words_for_people():
    assert set(IN_WORDS) == {*RefusalReason, UNREADABLE}
