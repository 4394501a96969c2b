# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cookie of a session is found among those of others, and takes no longer than it is long."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from autoglm_recovery.receiver.web.gate import COOKIE, credentials_of
from tests.fuzz.judging import judge_growth, sizes
from tests.fuzz.targets.web import TARGETS

HEADERS = next(target for target in TARGETS if target.name == "request-headers")


def session_in(header: str) -> str | None:
    scope = {"type": "http", "scheme": "http", "path": "/", "headers": [(b"cookie", header.encode())]}
    return credentials_of(Request(scope)).cookie


@pytest.mark.parametrize(
    "header",
    [
        f"{COOKIE}=a.b-c",
        f"theme=dark; {COOKIE}=a.b-c",
        f"{COOKIE}=old; {COOKIE}=a.b-c;",
        f'of_another={{"open": [1, 2]}}; {COOKIE}=a.b-c',
        f"without_a_value; {COOKIE}=a.b-c",
        f'never_closed="; {COOKIE}=a.b-c',
    ],
)
def test_whatever_others_have_set_for_this_host_the_session_is_found(header: str) -> None:
    assert session_in(header) == "a.b-c"


@pytest.mark.parametrize("header", ["", ";", "=", COOKIE, f"x{COOKIE}=a", f"other={COOKIE}=a", f"{COOKIE.upper()}=a"])
def test_what_has_another_name_is_no_session(header: str) -> None:
    assert session_in(header) is None


@pytest.mark.parametrize("escape", [b"\\", b"\\x", b"\\054"])
def test_a_cookie_takes_a_time_in_proportion_to_its_length(escape: bytes) -> None:
    """A stranger's one header held up every other request for three seconds."""
    small, large = (b'Cookie: a="' + escape * (size // len(escape)) + b'"' for size in sizes(HEADERS))
    judge_growth(HEADERS, small, large)
