# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a page of the fleet shows."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.console.fleet_filter import FleetFilter, part, read_fleet_filter


@given(st.integers(0, 600), st.integers(1, 60))
def test_pages_hold_each_host_once_and_none_is_empty_but_the_only_one(count, size):
    hosts = list(range(count))
    seen, page = [], FleetFilter()
    while True:
        shown, page, pages = part(hosts, page, size)
        assert shown or not count
        seen += shown
        if page.page == pages:
            break
        page = FleetFilter(page=page.page + 1)
    assert seen == hosts


def test_a_page_beyond_the_last_is_the_last():
    assert part([1, 2, 3], FleetFilter(page=99), 2) == ((3,), FleetFilter(page=2), 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stands": "up"}, "no host stands 'up'; known: out, affected, silent, unknown, in"),
        ({"page": "0"}, "page must be a number from 1, not '0'"),
        ({"page": "-1"}, "page must be"),
        ({"page": "9999999"}, "page must be"),
        ({"q": "x" * 201}, "q is longer than 200"),
        ({"pool": "a\x00"}, "pool is longer than 200 characters, or holds one"),
    ],
)
def test_what_is_wrong_is_said_and_narrows_nothing(given, said):
    chosen, (wrong,) = read_fleet_filter(given)
    assert chosen == FleetFilter()
    assert said in wrong


@given(st.text(max_size=40), st.sampled_from(["", "out", "in"]), st.integers(1, 99))
def test_an_address_says_what_is_chosen(text, stands, page):
    chosen = FleetFilter(text.strip().replace("\x00", ""), "", stands, page)
    query = dict(parse_qsl(chosen.query().removeprefix("?")))
    assert read_fleet_filter(query)[0] == chosen
