# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that hold whatever the strategies say, as the policy writes them."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.faults.classes import DEFAULT_LADDERS
from autoglm_recovery.policy import PolicyError, parse_policy
from autoglm_recovery.policy.guardrails import allowed


def window(text: str):
    """Return the one maintenance window of a policy."""
    body = "\n".join(f"        {line}" for line in text.strip().splitlines())
    policy = parse_policy(f"guardrails:\n  maintenance_windows:\n    -\n        name: w\n{body}\n")
    return policy.guardrails.maintenance_windows[0]


def at(text: str) -> float:
    """Return a moment."""
    return datetime.fromisoformat(text).timestamp()


def said(text: str) -> str:
    """Return what is said about a wrong window."""
    with pytest.raises(PolicyError) as caught:
        window(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("share", "size", "most"), [("50%", 4, 2), ("50%", 5, 2), ("30%", 2, 1), ("100%", 7, 7), ("3", 100, 3)]
)
def test_a_share_allows_some_and_never_none(share, size, most):
    assert allowed(share, size) == most


@given(st.integers(1, 100), st.integers(1, 10**6))
def test_a_share_is_never_more_than_it_says_but_for_the_first(percent, size):
    assert allowed(f"{percent}%", size) <= max(1, size * percent / 100)


def test_a_window_with_a_start_and_an_end():
    one = window("start: 2026-12-01T20:00:00+01:00\nend: 2026-12-02T02:00:00+01:00")
    assert one.until(at("2026-12-01T18:59:59+00:00")) is None
    assert one.until(at("2026-12-01T19:00:00+00:00")) == at("2026-12-02T01:00:00+00:00")
    assert one.until(at("2026-12-02T01:00:00+00:00")) is None


def test_a_window_in_a_time_zone_by_its_name():
    one = window("start: 2026-07-01T20:00:00\nend: 2026-07-01T22:00:00\ntimezone: Europe/Berlin")
    assert one.until(at("2026-07-01T18:30:00+00:00")) == at("2026-07-01T20:00:00+00:00")


def test_a_weekly_window_across_midnight():
    weekly = window('weekly: {days: [sat], from: "22:00", to: "02:00"}\ntimezone: UTC')
    assert weekly.until(at("2026-11-28T21:59:00+00:00")) is None  # a Saturday
    assert weekly.until(at("2026-11-28T22:00:00+00:00")) == at("2026-11-29T02:00:00+00:00")
    assert weekly.until(at("2026-11-29T01:59:59+00:00")) == at("2026-11-29T02:00:00+00:00")
    assert weekly.until(at("2026-11-29T22:30:00+00:00")) is None


def test_a_weekly_window_in_the_night_when_clocks_change():
    weekly = window('weekly: {days: [sat], from: "23:00", to: "04:00"}\ntimezone: Europe/Berlin')
    # 2026-10-25: 03:00 summer time becomes 02:00, so that the window lasts six hours.
    assert weekly.until(at("2026-10-25T02:30:00+00:00")) == at("2026-10-25T03:00:00+00:00")


def test_what_a_window_covers():
    everything = window("start: 2026-12-01T00:00:00Z\nend: 2026-12-02T00:00:00Z")
    assert everything.covers("any", (), ())
    narrow = window(
        'hosts: [node-a, node-b]\npools: [chat]\nmatch: rack="7"\n'
        "start: 2026-12-01T00:00:00Z\nend: 2026-12-02T00:00:00Z"
    )
    assert narrow.covers("node-a", {"chat"}, [{"rack": "7"}])
    assert not narrow.covers("node-c", {"chat"}, [{"rack": "7"}])
    assert not narrow.covers("node-a", {"embed"}, [{"rack": "7"}])
    assert not narrow.covers("node-a", {"chat"}, [{"rack": "8"}])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hosts: [a]", "give either start and end, or weekly"),
        ("start: 2026-12-01T00:00:00Z", "give both start and end"),
        ("start: 2026-12-01T00:00:00\nend: 2026-12-02T00:00:00", "need an offset"),
        ("start: 2026-12-02T00:00:00Z\nend: 2026-12-01T00:00:00Z", "end must come after start"),
        ('weekly: {days: [sat], from: "22:00", to: "02:00"}', "give the timezone of weekly"),
        ('weekly: {days: [sat], from: "22:00", to: "02:00"}\ntimezone: Mars/Base', "is no time zone"),
        ("weekly: {days: [sat], from: 22:00, to: 02:00}\ntimezone: UTC", "write the time in quotes"),
        ('weekly: {days: [saturday], from: "1:00", to: "2:00"}\ntimezone: UTC', "known: mon"),
        ('weekly: {days: [sat], frm: "1:00", to: "2:00"}\ntimezone: UTC', "did you mean from?"),
        ('weekly: {days: [sat], from: "25:00", to: "2:00"}\ntimezone: UTC', "is no time of day"),
    ],
)
def test_a_window_that_cannot_be_meant_is_refused(text, told):
    assert told in said(text)


def test_a_shutdown_on_an_unknown_failure_is_for_the_policy_to_name():
    policy = parse_policy("recovery: {strategies: {unknown: {action: safe_shutdown}}}")
    assert policy.ladder("unknown") == ("safe_shutdown",)
    assert "safe_shutdown" not in {each for ladder in DEFAULT_LADDERS.values() for each in ladder}


def test_unknown_failures_stay_refused():
    with pytest.raises(PolicyError, match="cannot be turned off"):
        parse_policy("guardrails: {refuse_unknown: false}")
    with pytest.raises(PolicyError, match="only safe_shutdown"):
        parse_policy("recovery: {strategies: {unknown: {action: reboot_node}}}")
    with pytest.raises(PolicyError, match="only safe_shutdown"):
        parse_policy("recovery: {strategies: {unknown: {action: restart_process, then: [failover_and_rebuild]}}}")
