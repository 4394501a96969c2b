# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What strangers send to the receiver's port beside alerts: headers, cookies, forms, queries, comments."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from autoglm_recovery.addresses import network_of
from autoglm_recovery.receiver.access.authenticator import _basic, is_loopback
from autoglm_recovery.receiver.access.sessions import ConsoleSession, Sessions
from autoglm_recovery.receiver.console.filters import read_filter
from autoglm_recovery.receiver.intake.payload import PayloadError
from autoglm_recovery.receiver.web import api, gate
from autoglm_recovery.receiver.web.hosts import name_of
from autoglm_recovery.receiver.web.requests import LARGEST_HEADERS
from autoglm_recovery.receiver.web.session import HOME, local_path
from tests.fuzz.target import Target, text

_SESSIONS = Sessions(b"k" * 32)
_LARGEST_QUERY = 16 << 10


def _request(headers: list[tuple[bytes, bytes]], body: bytes = b"", query: bytes = b"") -> Request:
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "query_string": query,
        "headers": headers,
        "client": ("192.0.2.7", 5),
        "path_params": {},
    }
    pieces = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return pieces.pop()

    return Request(scope, receive)


def _now(waiting: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for."""
    try:
        waiting.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def _headers(data: bytes) -> object:
    lines = [line.partition(b":") for line in data.split(b"\r\n")]
    request = _request([(name.strip().lower(), value.strip()) for name, _colon, value in lines])
    given = gate.credentials_of(request)
    host = name_of(request.headers.get("host", ""))
    cookie = given.cookie or ""
    return [
        given,
        _basic(given.authorization),
        gate.is_from_here(request),
        [host, is_loopback(host)],
        _SESSIONS.read(cookie),
        _SESSIONS.is_form_token(cookie, "ann", "session"),
    ]


def _headers_hold(_data: bytes, found: object) -> None:
    assert isinstance(found, list)
    if found[4] is not None:
        assert found[4].name == "ann", "a cookie is taken that we have not made"


def _header_lines() -> list[bytes]:
    cookie = _SESSIONS.cookie(ConsoleSession("ann", "mark", "")).encode()
    basic = b"Authorization: Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==\r\nHost: [::1]:9099\r\nOrigin: http://[::1]:9099\r\n"
    return [
        b'Host: localhost:9099\r\nCookie: a="b\\"c\\054"; '
        + gate.COOKIE.encode()
        + b"="
        + cookie
        + b"; theme=dark\r\n",
        basic + b"Sec-Fetch-Site: same-origin\r\n",
        b"Authorization: Bearer abc\r\nHost: 127.0.0.1\r\nOrigin: null\r\n",
    ]


def _form(data: bytes) -> object:
    fields = _now(gate._read_form(_request([(b"content-type", b"application/x-www-form-urlencoded")], data)))
    return [fields, local_path(fields.get("next", HOME))]


def _form_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, list)
    assert found[1].startswith("/"), "a login leads to another server"
    assert not found[1].startswith(("//", "/\\")), "a login leads to another server"


def _query(data: bytes) -> object:
    request = _request([], query=data)
    return [read_filter(request.query_params), api._read_limit(request), api._read_before(request)]


def _comment(data: bytes) -> object:
    return _now(api._read_comment(_request([(b"content-type", b"application/json")], data)))


TARGETS = (
    Target(
        "request-headers",
        _headers,
        _header_lines,
        holds=_headers_hold,
        words=(b"Cookie: ", b"\\054", b'="', b"; ", b"Host: ", b"[", b"]", b"Basic ", b"://"),
        largest=LARGEST_HEADERS,
    ),
    Target(
        "request-form",
        _form,
        lambda: [b"next=%2Fincidents%3Fq%3Dx&name=ann&secret=a+b%20c", b"form_token=abc&comment=the+card+is+out"],
        (PayloadError,),
        _form_holds,
        words=(b"next=", b"%5c", b"%2f", b"%0a", b"&"),
    ),
    Target(
        "request-query",
        _query,
        lambda: [b"limit=7&before=9&state=open&class=oom&host=node-a&q=x", b"after=3&limit=1000"],
        (HTTPException,),
        words=(b"limit=", b"before=", b"after=", b"&"),
        largest=_LARGEST_QUERY,
    ),
    Target("request-comment", _comment, lambda: [b'{"comment": "the card is swapped"}'], (PayloadError,)),
    Target("client-address", lambda data: network_of(text(data)), lambda: [b"192.0.2.7", b"2001:db8::7%eth0"]),
)
