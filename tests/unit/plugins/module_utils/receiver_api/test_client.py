# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that are not what was asked for: each is told for what it is, and none counts as an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.arguments import (
    LONGEST_COMMENT,
    comment_of,
    receiver_of,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.client import ReceiverClient, ReceiverError

LIST = "GET /api/v1/incidents"
ONE = {"id": 1, "state": "held", "alerts": [], "runs": [], "timeline": [], "notices": []}
PARAMS: dict[str, Any] = {
    **dict.fromkeys(("token", "token_file", "ca_path", "client_cert", "client_key")),
    "url": "http://127.0.0.1:9470",
    "timeout": 5.0,
}


def problem(status: int, detail: str) -> tuple[int, str]:
    return status, json.dumps({"type": "about:blank", "title": "x", "status": status, "detail": detail})


def refused(fake_transport: Any, answer: Any) -> ReceiverError:
    client = ReceiverClient("http://receiver", "secret-token", 5.0, fake_transport({LIST: answer}))
    with pytest.raises(ReceiverError) as caught:
        client.incidents({})
    assert "secret-token" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (401, "does not know who asks; give token or token_file"),
        (403, "they may not"),
        (404, "no such thing"),
        (409, "does not allow it now"),
        (421, "--allowed-host"),
        (429, "try again later"),
        (503, "try again later"),
        (400, "the receiver refuses it"),
    ],
)
def test_a_refusal_is_told_with_what_to_do_and_in_the_receiver_s_words(
    fake_transport: Any, status: int, meaning: str
) -> None:
    error = refused(fake_transport, problem(status, "because \x1b[31mof\nthis"))
    assert meaning in str(error)
    assert str(error).endswith(f"({status}): because \\x1b[31mof this")
    assert (error.status, error.known) == (status, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(fake_transport: Any, status: int) -> None:
    error = refused(fake_transport, (status, ""))
    assert "redirect" in str(error)
    assert (error.status, error.known) == (status, False)


@pytest.mark.parametrize(
    "answer",
    [
        (404, "<h1>Not Found</h1>"),
        (502, "Bad Gateway"),
        problem(404, "x")[:1] + problem(500, "of another status")[1:],
        (200, "<html>log in</html>"),
        (200, "[" * 100000),
        (200, "[]"),
        (200, "{}"),
        (200, json.dumps({"incidents": [{"id": "1"}]})),
    ],
)
def test_what_is_no_receiver_is_not_taken_for_one(fake_transport: Any, answer: Any) -> None:
    error = refused(fake_transport, answer)
    assert "receiver" in str(error)
    assert not error.known


def test_who_does_not_answer_is_told_with_why(fake_transport: Any) -> None:
    error = refused(fake_transport, "refused")
    assert str(error) == "the receiver at http://receiver cannot be asked: it was refused"
    assert error.status is None


@pytest.mark.parametrize("lacking", sorted(ONE))
def test_an_incident_in_part_is_none(fake_transport: Any, lacking: str) -> None:
    told = {name: value for name, value in ONE.items() if name != lacking}
    transport = fake_transport({"GET /api/v1/incidents/1": (200, json.dumps(told))})
    with pytest.raises(ReceiverError, match="not with an incident"):
        ReceiverClient("http://receiver", None, 5.0, transport).incident(1)


def test_the_token_is_shown_and_a_comment_is_sent(fake_transport: Any) -> None:
    transport = fake_transport({"POST /api/v1/incidents/1/close": (200, json.dumps(ONE))})
    assert ReceiverClient("http://receiver", "secret-token", 5.0, transport).order(1, "close", "why") == ONE
    (asked,) = transport.asked
    assert asked.headers["Authorization"] == "Bearer secret-token"
    assert json.loads(asked.body) == {"comment": "why"}


def test_the_token_of_a_file_is_its_first_line_that_says_anything(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n# of alice\n  word-of-alice  \nanother\n")
    client = receiver_of({**PARAMS, "token_file": str(file)})
    assert client._headers["Authorization"] == "Bearer word-of-alice"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "ftp://receiver"}, "url: the URL must begin with http"),
        ({"url": "http://alice:pass-of-alice@receiver"}, "url: the URL must not hold a user or password"),
        ({"token": ""}, "token: one word"),
        ({"token": "pass-of-alice and more"}, "token: one word"),
        ({"token": "pass-of-alice\r\nX: y"}, "token: one word"),
        ({"token_file": "/does/not/exist"}, "token_file: /does/not/exist cannot be read: No such file"),
        ({"token_file": "/"}, "token_file: / cannot be read: Is a directory"),
        ({"token_file": "/dev/null"}, "token_file: /dev/null holds no token"),
        ({"client_cert": "/etc/robot.pem"}, "client_cert: a certificate is shown to an https receiver alone"),
        ({"timeout": 0.0}, "timeout: seconds above 0"),
        ({"timeout": float("inf")}, "timeout: seconds above 0"),
        ({"timeout": float("nan")}, "timeout: seconds above 0"),
    ],
)
def test_options_that_cannot_be_are_told_without_what_is_secret(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}") as caught:
        receiver_of({**PARAMS, **wrong})
    assert "pass-of-alice" not in str(caught.value)


def test_a_comment_is_what_the_receiver_takes() -> None:
    assert comment_of({"comment": "x" * LONGEST_COMMENT})
    for wrong in ("x" * (LONGEST_COMMENT + 1), "a\x00b"):
        with pytest.raises(ValueError, match="at most 1000 characters"):
            comment_of({"comment": wrong})
