# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However much belongs to an incident, it is shown by the page, and nothing between the pages is lost."""

from __future__ import annotations

import json

import pytest

from autoglm_recovery.receiver.console.incident import incident_page
from autoglm_recovery.receiver.store import schema, views
from autoglm_recovery.report import report_on, to_html
from tests.unit.receiver.desk import desk

MANY = 20_000


@pytest.fixture
def crowded(tmp_path):
    """Have an incident with many alerts and lines, as a storm over one host makes it."""
    with desk(tmp_path) as at:
        at.fire("node-c", "oom")
        with at.database.writing() as connection:
            (first,) = connection.execute(schema.alerts.select()).mappings()
            copied = {name: value for name, value in first.items() if name != "id"}
            unlike = [{**copied, "redelivery_key": f"key {n}", "identity": f"alert {n}"} for n in range(MANY)]
            connection.execute(schema.alerts.insert(), unlike)
            lines = [{"incident_id": 1, "at": at.now + n, "kind": "alert", "text": f"line {n}"} for n in range(MANY)]
            connection.execute(schema.timeline.insert(), lines)
        yield at


def shown(at):
    with at.database.reading() as connection:
        return views.show_incident(connection, 1)


def test_an_incident_is_shown_with_the_first_and_the_newest_of_what_belongs_to_it(crowded):
    found = shown(crowded)
    assert [len(found[part]) for part in ("alerts", "timeline")] == [views.FIRST_SHOWN + views.NEWEST_SHOWN] * 2
    assert found["left_out"]["alerts"] == MANY + 1 - len(found["alerts"])
    assert found["left_out"]["runs"] == found["left_out"]["notices"] == 0
    assert found["timeline"][-1]["text"] == f"line {MANY - 1}"
    assert "committed" in [line["kind"] for line in found["timeline"]]
    assert len(json.dumps(found)) < 1_000_000


def test_page_and_report_say_what_they_leave_out(crowded):
    found = shown(crowded)
    said = f"{found['left_out']['alerts']} of its alerts, {found['left_out']['timeline']} of its timeline"
    assert any(said in end for end in incident_page(found, None, may_order=False).open_ends)
    assert said in to_html(report_on(found))


@pytest.mark.parametrize("part", ["alerts", "timeline"])
def test_pages_hold_each_once(crowded, part):
    numbers, before = [], None
    with crowded.database.reading() as connection:
        while page := views.list_part(connection, part, 1, 999, before):
            numbers += [row["id"] for row in page]
            before = numbers[-1]
        assert views.list_part(connection, part, 2, 999, None) is None
    assert len(numbers) == len(set(numbers)) >= MANY
    assert numbers == sorted(numbers, reverse=True)


def test_what_is_little_is_shown_whole(tmp_path):
    with desk(tmp_path) as at:
        at.fire("node-c", "oom")
        found = shown(at)
        assert not any(found["left_out"].values())
        assert not any("Left out" in end for end in report_on(found).open_ends)
