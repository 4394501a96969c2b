# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text of strangers is text in every service that a notice may be sent to, and a person still reads what it says."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoglm_recovery.receiver.notify.inert import JOINER, inert, inert_line

# What the services make something of, by their own documentation.
ACTIVE = {
    "a mention (Discord, Mattermost, Telegram, Matrix, Rocket.Chat)": r"@\w",
    "a mention, a channel or a link (Slack, Google Chat, Discord, Webex), a tag (Teams, mail)": r"[<>]",
    "a channel or a hashtag": r"#\w",
    "a link behind another text": r"\][(\[:]",
    "a mention (Jira)": r"\[~",
    "a picture": r"!\[",
    "emphasis, code, a spoiler, struck text": r"[*`~|]",
    "emphasis by underscores": r"(?:^|[^A-Za-z0-9])_|_(?:$|[^A-Za-z0-9])",
    "an entity": r"&#?\w+;",
    "a heading, a list or a rule": r"(?m)^ {0,3}(?:#|[-+=]|\d+[.)])",
    "what moves a cursor": "[\x00-\x09\x0b-\x1f\x7f-\x9f]",
    "what turns or hides writing": "[\u200b-\u200f\u202a-\u202e\u2066-\u2069\u3164\ufeff]",
}
HOSTILE = st.text(
    st.sampled_from("@#<>[]()!*_`~|&;:-+=1. \n\r\t\\/ahere\u202e\u200b\u2066\x1b\u2060\"'{}^%"), max_size=60
)
PIECES = st.lists(
    st.sampled_from(
        [
            *"@<>[]()*_`~|&#! \n",
            "everyone",
            "here",
            "!channel",
            "@U123",
            "https://x.example/",
            "http://",
            "[a](",
            "&lt;",
        ]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("pattern", ACTIVE.values(), ids=ACTIVE)
@given(st.one_of(st.text(max_size=80), HOSTILE, PIECES))
@example("@everyone @here <!channel> <@U123> [~accountid:5] !channel <users/all> @room")
@example(
    "[log in](https://evil.example) <https://evil.example|log in> ![x](https://evil.example/p.png)\n[a]: https://e"
)
@example("*bold* _it_ __init__ `code` ~~gone~~ ||spoiler|| <b>b</b> &lt;!channel&gt; <at>all</at>")
@example("# heading\n- list\n1. list\n===\n   --- \n> quote\n```\ncode")
@example("https://x.example/@everyone?a=[b](c)&_d_=*e*|f~g~`h`")
@example("https://x.example/<@U1>[a](https://y.example/)")
@example("\x1b]8;;https://evil.example\x1b\\here\u202egnp.exe\u2066\u200b")
def test_nothing_in_it_is_more_than_text(pattern, text):
    # A fragment of a link is part of what it is for.
    assert not re.search(pattern, re.sub(r"(?i)\bhttps?://[^\s<>\"\uff0a-\uffff\u2060]+", "", inert(text)))


@given(st.one_of(st.text(max_size=80), HOSTILE, PIECES))
def test_no_link_holds_what_a_service_makes_something_of(text):
    for link in re.findall(r"(?i)\bhttps?://\S+", inert(text)):
        assert not re.search(r"@\w|[*`~|<>]|\]\(", link)


@given(st.one_of(st.text(max_size=80), HOSTILE, PIECES))
def test_a_title_is_one_line_whatever_is_in_it(text):
    assert inert_line(text).replace(JOINER, "").isprintable()


@given(st.one_of(st.text(max_size=80), HOSTILE, PIECES))
def test_a_text_has_the_lines_that_it_had(text):
    assert inert(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "[autoglm] node-a: Start the service: failed to load model '/var/lib/m.gguf' (incident 7: crash, a person)",
        "  autoglm incidents show 7      # all that happened",
        "  autoglm pause --comment '...'    # stop all actions on the whole fleet",
        "2026-11-28 18:00:00 UTC  reset_gpu: failed  output: /var/lib/autoglm/runs/7-1",
        "https://recovery.example.org/incidents/7",
        "http://prometheus:9090/graph?g0.expr=up%7Bjob%3D%22a_b%22%7D&g0.tab=1#x",
        "GPU 0000:3b:00.0, pool chat, 61 GiB of 80 GiB (76 %)",
    ],
)
def test_what_we_write_ourselves_is_read_as_it_was_written(text):
    assert inert(text) == text


def test_what_is_parted_is_read_as_it_was():
    assert inert("@everyone").replace(JOINER, "") == "@everyone"
    assert inert("a <b> *c*") == "a \uff1cb\uff1e \uff0ac\uff0a"


def test_what_cannot_be_seen_is_spelled():
    assert inert("a\u202eb\u2066c\u200bd\x1b[31m") == r"a\u202eb\u2066c\u200bd\x1b[31m"
