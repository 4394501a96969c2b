# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listen, with or without TLS, for whom the settings let in."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from autoglm_recovery.addresses import host_and_port
from autoglm_recovery.receiver.access.authenticator import Authenticator, check_open, watch_entries
from autoglm_recovery.receiver.access.entries import AccessEntry, AuthError
from autoglm_recovery.receiver.access.sessions import Sessions, read_key
from autoglm_recovery.receiver.process.seldom import tell_seldom
from autoglm_recovery.receiver.process.service_manager import ServiceManager
from autoglm_recovery.receiver.web.certificates import TlsFiles, serving_context
from autoglm_recovery.receiver.web.connection import Connection
from autoglm_recovery.receiver.web.listening import CountingListener
from autoglm_recovery.receiver.web.requests import LARGEST_HEADERS

REQUESTS_PER_SECOND = 1000.0


class ListenError(RuntimeError):
    """An address that cannot be listened on, and why."""


@dataclass(frozen=True)
class AccessSettings:
    """Where to listen, and who may come in.

    ``session_key`` is shared by replicas, so that a session of one is good at all; without it the state directory
    keeps one.
    """

    listen: str
    access_files: tuple[Path, ...] = ()
    session_key: Path | None = None
    tls: TlsFiles | None = None
    allowed_hosts: tuple[str, ...] = ()
    requests_per_second: float = REQUESTS_PER_SECOND


@dataclass(frozen=True)
class AccessControl:
    """What the settings come to."""

    authenticator: Authenticator
    sessions: Sessions
    tls: ssl.SSLContext | None


def read_access(settings: AccessSettings, state_dir: Path) -> AccessControl:
    """Read who may come in.

    Raises AuthError if anybody could, or a file cannot be used.
    """
    entries = _entries(settings)
    sessions = Sessions(read_key(_session_key(settings, state_dir), make=settings.session_key is None))
    tls = serving_context(settings.tls) if settings.tls else None
    return AccessControl(Authenticator(entries, sessions), sessions, tls)


def check_access(settings: AccessSettings, state_dir: Path) -> None:
    """Read all that ``read_access`` reads, and make nothing.

    Raises AuthError as there.
    """
    _entries(settings)
    key = _session_key(settings, state_dir)
    if settings.session_key is not None or key.exists():
        read_key(key, make=False)
    if settings.tls:
        serving_context(settings.tls)


def _entries(settings: AccessSettings) -> Callable[[], Sequence[AccessEntry]]:
    host, _ = split_address(settings.listen)
    check_open(host, settings.access_files)
    if settings.tls is not None and settings.tls.client_ca is not None and not settings.access_files:
        raise AuthError("--client-ca says whose certificates count; --access-file must say who may do what with them")
    return watch_entries(settings.access_files)


def _session_key(settings: AccessSettings, state_dir: Path) -> Path:
    return settings.session_key or state_dir / "session.key"


def split_address(listen: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``[IPv6]:PORT``.

    Raises ListenError if it is neither, or names no host: all addresses are never taken by accident.
    """
    try:
        host, port = host_and_port(listen)
    except ValueError as error:
        raise ListenError(f"--listen {error}") from error
    if not host:
        raise ListenError(f"--listen {listen!r} has no host before HOST:PORT's colon; 0.0.0.0 is every address")
    return host, port


def bound_socket(listen: str) -> socket.socket:
    """Bind before anything else starts, so that a taken port is an error and not a receiver that nobody reaches.

    Raises ListenError, which says why not.
    """
    host, port = split_address(listen)
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    # With the protocol named: asyncio turns Nagle's algorithm off only where it sees that this is TCP, and with it on
    # every answer waits 40 ms for an acknowledgement.
    listener = CountingListener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ListenError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


class NotifyingServer(uvicorn.Server):
    """Tells the service manager when it answers, and when no longer."""

    def __init__(self, config: uvicorn.Config, manager: ServiceManager) -> None:
        super().__init__(config)
        self._manager = manager

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._manager.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was asked, and end; uvicorn then ends the process by the signal that it got."""
        self._manager.stopping()
        await super().shutdown(sockets)


def server(app: Starlette, tls: ssl.SSLContext | None, manager: ServiceManager | None = None) -> uvicorn.Server:
    """Return a server; ``run(sockets=[...])`` serves until it is told to stop."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=10,
        backlog=2048,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        # Anybody can write X-Forwarded-For; who asks is who holds the other end of the connection.
        proxy_headers=False,
        server_header=False,
    )
    # What these say, a stranger can have them say as often as he likes.
    tell_seldom("uvicorn.error", "asyncio")
    config.load()
    config.ssl = tls
    return NotifyingServer(config, manager or ServiceManager())
