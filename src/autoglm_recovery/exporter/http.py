# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves ``/metrics`` and ``/healthz``.  A scrape joins prepared pages; nothing here waits for a driver."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import make_server

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoglm_recovery.addresses import host_and_port
from autoglm_recovery.exporter.connections import BoundedHandler, BoundedServer
from autoglm_recovery.exporter.guard import WebGuard

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment  # new in Python 3.11


class ExporterListenError(Exception):
    """The address cannot be used; the message says why."""


class _FixedCollector(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def page(metrics: Iterable[Metric]) -> bytes:
    """Return metrics in Prometheus' text format.  A metric without samples is left out."""
    return generate_latest(_FixedCollector([metric for metric in metrics if metric.samples]))


class ExporterServer:
    """An HTTP server; ``write`` returns the page of each scrape.  ``guard``: who may see it; without one everybody."""

    def __init__(self, listen: str, write: Callable[[], bytes], guard: WebGuard | None = None) -> None:
        """Bind the address; no host before the colon is every address.

        Raises ExporterListenError, which says why not.
        """
        try:
            host, port = host_and_port(listen)
        except ValueError as error:
            raise ExporterListenError(str(error)) from error
        secure = guard.context if guard else lambda: None
        own = {"address_family": _address_family(host), "context": staticmethod(secure)}
        kind = type("Server", (BoundedServer,), own)
        try:
            self._server: Any = make_server(host, port, self._answer, kind, handler_class=BoundedHandler)
        except OSError as error:
            raise ExporterListenError(f"cannot listen on {listen}: {error.strerror}") from error
        self._write = write
        self._guard = guard
        self.port = int(self._server.server_port)

    def start(self) -> None:
        """Start to answer."""
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        if self._guard and not self._guard.allows(environ.get("HTTP_AUTHORIZATION", "")):
            return _answer_with(start, "401 Unauthorized", b"unauthorized\n", more=_ASK)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer_with(start, "405 Method Not Allowed", b"use GET\n")
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return _answer_with(start, "200 OK", self._write(), CONTENT_TYPE_LATEST)
        if path == "/healthz":
            return _answer_with(start, "200 OK", b"ok\n")
        if path == "/":
            return _answer_with(start, "200 OK", b"autoglm exporter: /metrics\n")
        return _answer_with(start, "404 Not Found", b"there is /metrics\n")


_ASK = (("WWW-Authenticate", "Basic"),)


def _answer_with(
    start: StartResponse,
    status: str,
    body: bytes,
    kind: str = "text/plain; charset=utf-8",
    more: Sequence[tuple[str, str]] = (),
) -> list[bytes]:
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more])
    return [body]


def _address_family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
