# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: tokens, faults, and the connection that breaks at the worst moment."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.fake_awx.api import NoSuchPage, Redirected, answer
from tests.support.fake_awx.lists import Refused
from tests.support.fake_awx.state import FakeAwx


@dataclass
class Fault:
    """Something that goes wrong with the next ``times`` requests that match.

    ``how``: ``lose`` carries the request out and breaks the connection; ``drop`` breaks it before; ``html`` answers
    with a page; a number answers with that status; ``wait`` carries it out and answers when ``release`` is set.  With
    ``done`` the request is carried out although the answer says otherwise, as from a proxy that lost patience.
    """

    how: str | int
    method: str = "GET"
    path: str = ""
    times: int = 1
    done: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    release: threading.Event = field(default_factory=threading.Event)
    hit: threading.Event = field(default_factory=threading.Event)


@dataclass
class Running:
    """A server that runs: ``seen`` is every request, as ``METHOD path``."""

    url: str
    awx: FakeAwx
    faults: list[Fault] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def launches(self) -> list[str]:
        """Return the launches that were asked for."""
        return [line for line in self.seen if re.fullmatch(r"POST /api/v2/\w+/\d+/launch/", line)]


@contextmanager
def running(awx: FakeAwx, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Running]:
    """Run a server for ``awx`` on a free port of the loopback interface."""
    server = ThreadingHTTPServer((host, 0), _Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state = Running(f"{'https' if tls else 'http'}://{host}:{server.server_port}", awx)
    server.running = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        for fault in state.faults:
            fault.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes; Nagle would hold the second one back for 40 ms.
    disable_nagle_algorithm = True
    timeout = 10

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        self._handle()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _handle(self) -> None:
        state: Running = self.server.running  # type: ignore[attr-defined]
        url = urlsplit(self.path)
        query = parse_qsl(url.query, keep_blank_values=True)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        state.seen.append(f"{self.command} {url.path}")
        fault = self._fault(state, url.path)
        if fault is None:
            self._send(*self._answer(state.awx, url.path, query, raw))
            return
        fault.hit.set()
        self._go_wrong(fault, state, url.path, query, raw)

    def _fault(self, state: Running, path: str) -> Fault | None:
        with state.awx.lock:
            for fault in state.faults:
                if fault.times and fault.method == self.command and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def _go_wrong(self, fault: Fault, state: Running, path: str, query: list[tuple[str, str]], raw: bytes) -> None:
        if fault.done:
            self._answer(state.awx, path, query, raw)
        if fault.how == "broken":
            self._send(500, "<!doctype html><title>Server Error</title>", fault.headers)
        elif fault.how == "html":
            self._send(200, "<!doctype html><title>Sign in</title>", fault.headers)
        elif isinstance(fault.how, int):
            self._send(fault.how, {"detail": "as the test wants it"}, fault.headers)
        elif fault.how == "wait":
            fault.release.wait(30)
            self._send(*self._answer(state.awx, path, query, raw))
        else:
            if fault.how == "lose":
                self._answer(state.awx, path, query, raw)
            self.close_connection = True

    def _answer(self, awx: FakeAwx, path: str, query: list[tuple[str, str]], raw: bytes) -> tuple[int, Any]:
        try:
            body = self._body(raw)
        except Refused as refused:
            return refused.status, refused.body
        if path in ("/api/", "/api/v2/ping/"):
            return 200, {"version": "24.6.1", "current_version": "/api/v2/", "available_versions": {"v2": "/api/v2/"}}
        if not self._known(awx):
            return 401, {"detail": "Authentication credentials were not provided. To establish a login session..."}
        return self._of_the_api(awx, path, query, body)

    def _body(self, raw: bytes) -> dict[str, Any]:
        """Read a body as awx/api/parsers.py does, which AWX does before it looks at the token."""
        if not raw:
            return {}
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, {"detail": "You did not use correct Content-Type in your HTTP request."})
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise Refused(400, {"detail": f"JSON parse error - {error}"}) from error
        if not isinstance(body, dict):
            raise Refused(400, {"detail": "JSON parse error - not a JSON object"})
        return body

    def _of_the_api(self, awx: FakeAwx, path: str, query: list[tuple[str, str]], body: Any) -> tuple[int, Any]:
        try:
            return answer(awx, self.command, path, query, body)
        except Refused as refused:
            return refused.status, refused.body
        except Redirected as redirected:
            return (301 if redirected.to == f"{path}/" else 302), redirected
        except NoSuchPage:
            return 404, "<!doctype html><title>Not Found</title>"

    def _known(self, awx: FakeAwx) -> bool:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            awx.is_superuser = value in awx.superusers
            awx.may_write = value not in awx.reading_tokens
            return value in awx.tokens | awx.superusers | awx.reading_tokens
        return False

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        if isinstance(body, Redirected):
            headers = {**(headers or {}), "Location": body.to}
            body = "<!doctype html><title>Moved</title>"
        content = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        kind = "text/html" if isinstance(body, str) else "application/json"
        self.send_response_only(status)
        moment = self.server.running.awx.now()  # type: ignore[attr-defined]
        self.send_header("Date", format_datetime(moment, usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
