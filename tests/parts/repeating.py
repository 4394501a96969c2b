# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that refuses each request and repeats all of it in its answer, as proxies and pages of errors do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Repeating(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _refuse(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
        said = f"refused: {self.command} {self.path} {dict(self.headers)} {sent}"
        self.server.asked.add(self.path.partition("?")[0])  # type: ignore[attr-defined]
        # As AWX, Prometheus, Alertmanager, and most others, name what went wrong.
        answer = {"detail": said, "status": "error", "errorType": said, "error": said, "message": said}
        body = json.dumps(answer).encode()
        self.send_response(400, "refused")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _refuse  # noqa: N815 - its names

    def log_message(self, *_about: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_about: object) -> None:
        """Say nothing of clients that go away."""


@contextmanager
def repeating() -> Iterator[tuple[str, set[str]]]:
    """Run one; return HOST:PORT, and the paths that it has been asked for so far."""
    server = _Server(("127.0.0.1", 0), _Repeating)
    asked: set[str] = set()
    server.asked = asked  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
