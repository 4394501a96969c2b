# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is rebooted: once for each order, and never on what was not read."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting import note as notes
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting.note import ORDERED, PROVEN, UNPROVEN
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting.plan import (
    GO_ON,
    ON_ITS_WAY,
    ORDER,
    REFUSED,
    HostSeen,
    RebootAsked,
    after_proof,
    decide,
)
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_796_000_000.0
SEEN = HostSeen("boot-1", systemd=True)
ASKED = RebootAsked("boot-of-ops-1", NOW, 1800.0)
FORCED = replace(ASKED, force=True)
NOTE = notes.RebootNote("boot-1", NOW - 60, "alice on ops-1", "the driver asks for it")


def test_a_host_against_which_nothing_stands_is_rebooted() -> None:
    assert decide(SEEN, None, ASKED).outcome == ORDER


@pytest.mark.parametrize(
    ("seen", "asked", "words"),
    [
        (replace(SEEN, boot=None), FORCED, "which boot this is"),
        (SEEN, replace(FORCED, controller_boot=""), "its controller does not tell its boot"),
        (SEEN, replace(FORCED, controller_boot="boot-1"), "the reboot would end its own controller"),
        (replace(SEEN, systemd=False), FORCED, "its init is not systemd"),
        (replace(SEEN, stopping=True), FORCED, "it shuts down already, by somebody else's order"),
        (replace(SEEN, scheduled="poweroff by user 1000"), FORCED, "poweroff by user 1000. To do without that one"),
        (replace(SEEN, blocked_by=("dpkg (process 7 of user 0): upgrade",)), FORCED, "dpkg (process 7 of user 0)"),
        (replace(SEEN, unread=("inhibitors: exit status 1",)), FORCED, "inhibitors: exit status 1"),
    ],
)
def test_what_is_refused_is_refused_to_a_person_too_and_says_why(
    seen: HostSeen, asked: RebootAsked, words: str
) -> None:
    decision = decide(seen, None, asked)
    assert decision.outcome == REFUSED
    assert words in decision.words


BOOTS = st.sampled_from(["boot-1", "boot-2", ""])
HOSTS = st.builds(
    HostSeen,
    boot=st.none() | st.sampled_from(["boot-1", "boot-2"]),
    systemd=st.booleans(),
    stopping=st.booleans(),
    scheduled=st.sampled_from(["", "reboot"]),
    blocked_by=st.sampled_from([(), ("dpkg",)]),
    unread=st.sampled_from([(), ("inhibitors",)]),
)
NOTES = st.none() | st.builds(
    notes.RebootNote,
    boot=BOOTS,
    at=st.floats(NOW - 7200, NOW + 7200),
    who=st.just("alice"),
    why=st.just("because"),
    state=st.sampled_from([ORDERED, PROVEN, UNPROVEN]),
)
ASKS = st.builds(RebootAsked, BOOTS, st.just(NOW), st.sampled_from([0.0, 1800.0]), st.booleans())


@given(HOSTS, NOTES, ASKS)
def test_nothing_unread_orders_a_reboot_nor_does_a_second_order_within_the_interval(
    seen: HostSeen, note: notes.RebootNote | None, asked: RebootAsked
) -> None:
    if decide(seen, note, asked).outcome != ORDER:
        return
    assert seen.boot is not None
    assert asked.controller_boot not in ("", seen.boot)
    assert seen.systemd
    assert not any((seen.stopping, seen.scheduled, seen.blocked_by, seen.unread))
    if note is not None and note.boot != seen.boot and not asked.force:
        assert note.state != ORDERED, "one that was rebooted is proven, not rebooted again"
        assert asked.now >= note.at + asked.min_interval


def test_a_run_that_was_killed_after_its_order_is_followed_by_the_proof() -> None:
    booted = replace(SEEN, boot="boot-2")
    decision = decide(booted, NOTE, ASKED)
    assert decision.outcome == GO_ON
    assert "ordered 2026-" in decision.words
    assert "by alice on ops-1: the driver asks for it" in decision.words
    assert decide(booted, replace(NOTE, at=NOW - 7 * 86400), ASKED).outcome == GO_ON
    assert decide(booted, NOTE, FORCED).outcome == ORDER


def test_a_run_that_was_killed_before_its_order_orders_again_and_while_the_host_goes_down_nobody_does() -> None:
    assert decide(SEEN, NOTE, ASKED).outcome == ORDER
    assert decide(replace(SEEN, stopping=True), NOTE, ASKED).outcome == ON_ITS_WAY
    assert decide(replace(SEEN, stopping=True), replace(NOTE, state=PROVEN), ASKED).outcome == REFUSED


@pytest.mark.parametrize(
    ("state", "said"), [(UNPROVEN, "it did not cure: GPU-3 is missing"), (PROVEN, "it was well then")]
)
def test_a_second_reboot_within_the_interval_is_a_person_s(state: str, said: str) -> None:
    booted = replace(SEEN, boot="boot-2")
    note = replace(NOTE, state=state, words="GPU-3 is missing")
    refused = decide(booted, note, ASKED)
    assert refused.outcome == REFUSED
    assert said in refused.words
    assert "by a person with force=true" in refused.words
    assert decide(booted, note, FORCED).outcome == ORDER
    assert decide(booted, replace(note, at=NOW - 1800), ASKED).outcome == ORDER
    assert decide(booted, replace(note, at=NOW + 86400), ASKED).outcome == REFUSED, "the clock was set back"


def test_what_came_of_it_is_noted_only_where_the_host_was_rebooted() -> None:
    after = after_proof(NOTE, "boot-2", UNPROVEN, "GPU-3 is missing")
    assert after == replace(NOTE, state=UNPROVEN, words="GPU-3 is missing")
    assert after_proof(NOTE, "boot-1", PROVEN, "") == NOTE
    assert after_proof(NOTE, None, PROVEN, "") == NOTE
    assert after_proof(None, "boot-2", PROVEN, "") is None


def test_a_note_is_read_as_it_was_written() -> None:
    note = replace(NOTE, gpus=("GPU-1", "GPU-2"), gpu_count=8, services=("chat",), incident="a-7")
    assert notes.parse(notes.as_text(note)) == note


@pytest.mark.parametrize(
    "broken",
    [
        {"at": "yesterday"},
        {"at": float("nan")},
        {"at": True},
        {"state": "well"},
        {"gpus": "GPU-1"},
        {"gpu_count": -1},
        {"who": None},
    ],
)
def test_a_note_that_is_none_of_ours_is_no_note(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"note of ours|state that is none"):
        notes.parse(json.dumps({**asdict(NOTE), **broken}))


def test_what_a_note_says_is_one_plain_line() -> None:
    note = notes.make({**asdict(NOTE), "why": "a\nb\x1b[31m" + "x" * 9999})
    assert "\n" not in note.said()
    assert "\x1b" not in note.said()
    assert len(note.why) == 600
