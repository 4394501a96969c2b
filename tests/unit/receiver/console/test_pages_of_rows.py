# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists, the first page and the fleet, from a real database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from autoglm_recovery.policy.guardrails import Guardrails
from autoglm_recovery.receiver.console import fleet, listing, overview
from autoglm_recovery.receiver.console.filters import Filter
from autoglm_recovery.receiver.observe.silences import NONE_ASKED
from autoglm_recovery.receiver.process.worker import WorkerTrouble
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.standing import standing
from tests.unit.receiver.desk import FLEET, desk


@pytest.fixture
def office(tmp_path):
    """Return a desk where some things have gone wrong: 1 and 2 need a person, 3 runs, 4 has resolved."""
    with desk(tmp_path, "recovery: {autonomy: {classes: {deadlock: ask}}}") as made:
        made.fire("node-a", "deadlock", service="llama")
        made.fire("node-b", "unknown", service="llama", alertname="50%_odd")
        made.fire("node-c", "oom", service="llama")
        start = made.fire("node-b", "overload", service="embed")
        made.resolve("node-b", "overload", start, service="embed")
        yield made


def ids(office, **chosen):
    """Return the numbers of the incidents that a filter shows."""
    with office.database.reading() as connection:
        return [row.id for row in listing.page(connection, Filter(**chosen))[0]]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, [4, 3, 2, 1]),
        ({"state": "person"}, [2, 1]),
        ({"state": "active"}, [3, 2, 1]),
        ({"state": "resolved"}, [4]),
        ({"failure_class": "oom"}, [3]),
        ({"host": "node-b"}, [4, 2]),
        ({"host": "node"}, []),
        ({"pool": "vectors"}, [4]),
        ({"text": "NODE-C"}, [3]),
        ({"text": "#2"}, [2]),
        ({"text": "50%_o"}, [2]),
        ({"text": "%"}, [2]),
        ({"text": "'; DROP TABLE incidents; --"}, []),
        ({"state": "person", "host": "node-a"}, [1]),
    ],
)
def test_a_filter_shows_what_it_says(office, chosen, expected):
    assert ids(office, **chosen) == expected


def test_pages_follow_one_another_without_a_gap(office):
    def page(**place):
        with office.database.reading() as connection:
            rows, older, newer = listing.page(connection, Filter(**place), most=2)
            shown = listing.listing((rows, older, newer), Filter(**place), (), pools=(), hosts=())
        return [summary.id for summary in shown.summaries], shown.older, shown.newer

    assert page() == ([4, 3], "?before=3", None)
    assert page(before=3) == ([2, 1], None, "?after=2")
    assert page(after=2) == ([4, 3], "?before=3", None)
    assert page(after=1) == ([3, 2], "?before=2", "?after=3")


def test_the_first_page_begins_with_who_is_needed(office):
    with office.database.reading() as connection:
        rows = overview.ask(connection, standing(connection))
    shown = overview.overview(rows, ())
    assert [(s.id, s.state) for s in shown.person.summaries] == [(2, "escalated"), (1, "held")]
    assert [(s.id, s.state) for s in shown.going_on.summaries] == [(3, "running")]
    assert [(s.id, s.state) for s in shown.recent] == [(4, "resolved")]


def test_what_another_incident_explains_needs_nobody(tmp_path):
    with desk(tmp_path, "recovery: {autonomy: ask}") as made:
        made.fire("node-a", "crash", service="llama")
        made.fire("node-a", "node_down")
        with made.database.reading() as connection:
            rows = overview.ask(connection, standing(connection))
        assert [row.failure_class for row in rows.person] == ["node_down"]
        assert [row.failure_class for row in rows.going_on] == ["crash"]


def said(office, **changes):
    """Return what the first page says is wrong about the receiver."""
    with office.database.reading() as connection:
        rows = overview.ask(connection, standing(connection))
    well = {"loop_well": True, "watchdog_at": office.now, "now": office.now, "enough_disk": True, "kept_old": None}
    return [line.name for line in overview.health(rows, **{**well, **changes}) if not line.well]


def test_a_well_receiver_has_nothing_wrong_and_each_fault_is_told(office):
    assert said(office) == []
    assert said(office, loop_well=False) == ["Acting"]
    assert said(office, troubles=[WorkerTrouble("notifier", stuck=True, seconds=61)]) == ["Background work"]
    assert said(office, enough_disk=False) == ["Disk"]
    assert said(office, kept_old="policy.yaml:3: unknown key") == ["Policy and inventory"]
    assert said(office, watchdog_at=office.now - 301) == ["Watchdog of Alertmanager"]
    # Never heard is not well: nothing proves that alerts get here.
    assert said(office, watchdog_at=0.0) == ["Watchdog of Alertmanager"]
    assert said(office, watchdog_at=office.now - 301, watchdog_late=timedelta(hours=1)) == []
    assert said(office, watchdog_at=0.0, watchdog_late=None) == []
    office.post("firing", "node-a", "oom")
    assert said(office, now=office.now + 61) == ["Alerts not yet looked at"]


def test_a_pool_is_counted_as_the_guardrails_count_it(office):
    office.fire("node-a", "gpu_lost")
    # Of what node-c has, this is the deeper cause, with which it still serves.
    office.fire("node-c", "thermal")
    with office.database.reading() as connection:
        rows = fleet.active_incidents(connection)
        shown = fleet.fleet_page(FLEET, Guardrails(), rows, NONE_ASKED, now=office.now, inventory="i")
        for pool in shown.pools:
            out = store.out_of_service(connection, pool.name, besides=0)
            counted = {m for m in FLEET.pools[pool.name] if m in out or (m[0], None) in out}
            assert {(m.host, m.service) for m in pool.members if m.stands == "out"} == counted
        hosts_out = len(store.hosts_out(connection))
    assert shown.hosts_out == hosts_out
    chat = next(pool for pool in shown.pools if pool.name == "chat")
    assert (chat.out, chat.may_be_out, chat.full) == (2, 1, True)
    stands = [(host.name, host.stands) for host in shown.hosts]
    assert stands == [("node-a", "out"), ("node-b", "out"), ("node-c", "affected")]
