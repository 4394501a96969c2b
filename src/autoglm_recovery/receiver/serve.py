# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the receiver together and run it until it is told to stop."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import signal
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import structlog
import uvicorn

from autoglm_recovery.receiver.auth import AuthError, check_open, read_tokens
from autoglm_recovery.receiver.dispatch import Dispatcher
from autoglm_recovery.receiver.http import Interface, Parts
from autoglm_recovery.receiver.loop import Loop
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.notifier import Notifier
from autoglm_recovery.receiver.silences import SilenceWatch
from autoglm_recovery.receiver.store import incidents
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.intake import Intake
from autoglm_recovery.receiver.world import CurrentWorld

# A new host or a repaired playbook directory is seen after this long, or at once with SIGHUP.
READ_AGAIN_EVERY_S = 300

log = structlog.get_logger()


@dataclass(frozen=True)
class Settings:
    """Where the receiver finds and keeps things."""

    policy: Path | None
    inventory: Path
    listen: str
    state_dir: Path
    token_file: Path | None
    database: str | None
    largest_body: int


class ServeError(RuntimeError):
    """The receiver cannot start, and why."""


def split_address(listen: str) -> tuple[str, int]:
    """Split C(host:port) or C([v6]:port).

    :raises ServeError: if it is neither.
    """
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ServeError(f"--listen {listen!r} is not HOST:PORT; write for example 127.0.0.1:9470 or [::1]:9470")
    return host, int(port)


def serve(settings: Settings) -> None:
    """Run the receiver.

    :raises ServeError, AuthError, PolicyError, InventoryError, AnsibleError: before anything is listened to.
    """
    host, port = split_address(settings.listen)
    tokens = read_tokens(settings.token_file) if settings.token_file else ()
    check_open(host, tokens)
    _private(settings.state_dir)
    with _only_receiver(settings.state_dir), _bound(host, port) as listener:
        world = CurrentWorld(settings.policy, settings.inventory)
        database = Database(settings.database or f"sqlite:///{settings.state_dir.resolve() / 'receiver.db'}")
        database.migrate()

        def count() -> dict[str, int]:
            with database.reading() as connection:
                return incidents.count_by_state(connection)

        metrics = Metrics(count)
        runs_directory = (settings.state_dir / "runs").resolve()
        notifier = Notifier(database, lambda: world.now.policy)
        silences = SilenceWatch(lambda: world.now.policy.guardrails.silences)
        dispatcher = Dispatcher(
            database, runs_directory, metrics, silences=lambda: silences.now, notified=notifier.wake
        )
        loop = Loop(database, world, metrics, dispatcher)
        intake = Intake(database, loop.wake)
        parts = Parts(
            database, intake, metrics, tokens, settings.largest_body, settings.state_dir, loop.wake, lambda: loop.well
        )
        silences.start()
        intake.start()
        loop.start()
        notifier.start()
        try:
            with _reading_again(world, loop):
                _listen(Interface(parts), listener, settings)
        finally:
            intake.stop()
            loop.stop()
            notifier.stop()
            silences.stop()
            database.close()


def _listen(interface: Interface, listener: socket.socket, settings: Settings) -> None:
    config = uvicorn.Config(
        interface.app(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=10, backlog=2048
    )
    log.info("listening", address=settings.listen, state=str(settings.state_dir), policy=str(settings.policy))
    uvicorn.Server(config).run(sockets=[listener])


def _private(directory: Path) -> None:
    """Make the state directory; what is in it could be used to understand or to fake a repair."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise ServeError(f"state directory {directory} cannot be used: {error.strerror}") from error


def _only_receiver(directory: Path) -> IO[str]:
    """Hold the state directory, so that no second receiver works on it."""
    lock = open(directory / "receiver.lock", "w", encoding="utf-8")  # noqa: SIM115 - closed by the caller's with
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ServeError(f"another receiver works on {directory}; give this one another --state-dir") from error
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _bound(host: str, port: int) -> socket.socket:
    """Bind before anything else starts, so that a taken port is an error and not a receiver that nobody reaches."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    # With the protocol named: asyncio turns Nagle's algorithm off only where it sees that this is TCP, and with it on
    # every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


class _reading_again:  # noqa: N801 - reads as a verb after "with"
    """Read policy and inventory again at SIGHUP and now and then; what is bad leaves the old in force."""

    def __init__(self, world: CurrentWorld, loop: Loop) -> None:
        self._world = world
        self._loop = loop
        self._now = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> None:
        signal.signal(signal.SIGHUP, self._asked)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._now.set()
        self._thread.join()

    def _asked(self, _signal: int, _frame: FrameType | None) -> None:
        self._now.set()

    def _run(self) -> None:
        while True:
            asked = self._now.wait(READ_AGAIN_EVERY_S)
            if self._stop:
                return
            self._now.clear()
            wrong = self._world.read_again()
            if wrong:
                log.error("kept the old policy and inventory", wrong=wrong)
            elif asked:
                log.info("policy and inventory were read again")
            self._loop.wake()


__all__ = ["AuthError", "ServeError", "Settings", "serve", "split_address"]
