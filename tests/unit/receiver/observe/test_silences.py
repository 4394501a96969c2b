# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person has silenced, as Alertmanager's API v2 tells it."""

from __future__ import annotations

import contextlib
import time
from copy import deepcopy
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.observe.silences import SilenceSnapshot, read_silences

NOW = datetime.fromisoformat("2026-12-01T21:00:00+00:00").timestamp()
# As the API's document describes a gettableSilence.
ENTRY = {
    "id": "8d1b7a5e-7c0e-4b5e-b1f5-0a1f3e0b0a11",
    "status": {"state": "active"},
    "updatedAt": "2026-12-01T20:00:00.000Z",
    "comment": "swapping\nthe card",
    "createdBy": "ann",
    "startsAt": "2026-12-01T20:00:00.000Z",
    "endsAt": "2026-12-01T22:00:00.000Z",
    "matchers": [{"isEqual": True, "isRegex": False, "name": "host", "value": "node-a"}],
}


def entry(**changes):
    """Return a silence with other values."""
    return {**deepcopy(ENTRY), **changes}


def matcher(name, value, *, regex=False, equal=True):
    """Return a matcher as the API writes it."""
    return {"name": name, "value": value, "isRegex": regex, "isEqual": equal}


def covering(labels, *entries, now=NOW):
    """Return the silence of one alert."""
    return SilenceSnapshot(read_silences(list(entries))).covering([labels], now)[0]


def test_a_silence_says_who_why_and_until_when():
    silence = covering({"host": "node-a"}, entry())
    assert (silence.by, silence.comment) == ("ann", "swapping the card")
    assert silence.until == datetime.fromisoformat("2026-12-01T22:00:00+00:00").timestamp()
    assert covering({"host": "node-b"}, entry()) is None


@pytest.mark.parametrize(("now", "covers"), [(NOW - 3601, False), (NOW - 3600, True), (NOW + 3600, False)])
def test_a_silence_has_a_beginning_and_an_end(now, covers):
    assert (covering({"host": "node-a"}, entry(), now=now) is not None) is covers


def test_an_expired_silence_is_none():
    assert covering({"host": "node-a"}, entry(status={"state": "expired"})) is None


@pytest.mark.parametrize(
    ("given", "covers"),
    [
        (matcher("host", "node-.", regex=True), True),
        (matcher("host", "node", regex=True), False),
        (matcher("host", "node-b", equal=False), True),
        (matcher("host", "node-.", regex=True, equal=False), False),
        (matcher("absent", ""), True),
        # Alertmanager reads these expressions, Python's own engine does not.
        (matcher("host", r"\pL.*", regex=True), True),
        (matcher("host", r"\pN.*", regex=True), False),
        # What nobody can say is taken to fit: to hold is the safe reading.
        (matcher("host", "(", regex=True), True),
    ],
)
def test_matchers_are_alertmanagers(given, covers):
    assert (covering({"host": "node-a"}, entry(matchers=[given])) is not None) is covers


def test_all_alerts_of_an_incident_must_be_silenced():
    silences = SilenceSnapshot(read_silences([entry()]))
    assert silences.covering([{"host": "node-a"}, {"host": "node-a", "x": "y"}], NOW)[0] is not None
    assert silences.covering([{"host": "node-a"}, {"host": "node-b"}], NOW)[0] is None
    assert silences.covering([], NOW)[0] is None


@pytest.mark.parametrize(
    "answer",
    [{}, None, [1], [{}], [entry(matchers=[])], [entry(endsAt="soon")], [entry(matchers=[{}])], [entry(status=3)]],
)
def test_what_is_no_answer_of_alertmanager_is_refused(answer):
    with pytest.raises(ValueError, match=r"."):
        read_silences(answer)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(ENTRY)) | st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.lists(_json | _json.map(lambda value: entry(status={"state": "active"}, matchers=value))))
def test_no_answer_breaks_the_reader(answer):
    with contextlib.suppress(ValueError):
        read_silences(answer)


@pytest.mark.parametrize("expression", ["(a+)+b", "(?:|^)" * 30 + r"\bx", "(?:^)?" * 30 + r"\bx"])
@pytest.mark.parametrize("value", ["", "a", "a" * 60])
def test_a_silence_that_python_would_match_for_hours_is_matched_at_once(expression, value):
    known = read_silences([entry(matchers=[matcher("host", expression, regex=True)])])
    begun = time.thread_time()
    for labels in ({"host": value}, {}):
        assert SilenceSnapshot(known).covering([labels], NOW) == (None, False)
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize(
    ("expression", "value"), [("(?:a{0,1000}b?)" * 200, "a"), ("(?:(?:(?:^){200}){200}){200}x", ""), ("b*", "a" * 5000)]
)
def test_a_silence_that_is_too_large_to_match_is_taken_to_fit(expression, value):
    known = read_silences([entry(matchers=[matcher("host", expression, regex=True)])])
    assert SilenceSnapshot(known).covering([{"host": value}], NOW)[0] is not None
