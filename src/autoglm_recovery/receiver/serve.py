# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the receiver together and run it until it is told to stop."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.loop import Loop
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.store import incidents
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.intake import Intake
from autoglm_recovery.receiver.web.app import build
from autoglm_recovery.receiver.web.parts import Parts
from autoglm_recovery.receiver.web.server import AccessSettings, ListenError, bound, keep_doors, server
from autoglm_recovery.receiver.world import CurrentWorld

# A new host or a repaired playbook directory is seen after this long, or at once with SIGHUP.
READ_AGAIN_EVERY_S = 300

SECRET_VARIABLES = ("AUTOGLM_DATABASE", "AUTOGLM_PASSWORD", "AUTOGLM_TOKEN")

log = structlog.get_logger()


@dataclass(frozen=True)
class Settings:
    """Where the receiver finds and keeps things."""

    policy: Path | None
    inventory: Path
    access: AccessSettings
    state_dir: Path
    database: str | None
    largest_body: int


class ServeError(RuntimeError):
    """The receiver cannot start, and why."""


def serve(settings: Settings) -> None:
    """Run the receiver.

    :raises ServeError, ListenError, AuthError, PolicyError, InventoryError, AnsibleError: before it listens.
    """
    access = settings.access
    # Nothing that the receiver starts has use for what opens the receiver or its database.
    for name in SECRET_VARIABLES:
        os.environ.pop(name, None)
    _private(settings.state_dir)
    doors = keep_doors(access, settings.state_dir)
    with _only_receiver(settings.state_dir), bound(access.listen) as listener:
        world = CurrentWorld(settings.policy, settings.inventory)
        database = Database(settings.database or f"sqlite:///{settings.state_dir.resolve() / 'receiver.db'}")
        database.migrate()

        def count() -> dict[str, int]:
            with database.reading() as connection:
                return incidents.count_by_state(connection)

        metrics = Metrics(count)
        runs_directory = (settings.state_dir / "runs").resolve()
        loop = Loop(database, world, runs_directory, metrics)
        intake = Intake(database, loop.wake)
        parts = Parts(
            database=database,
            intake=intake,
            metrics=metrics,
            authenticator=doors.authenticator,
            sessions=doors.sessions,
            largest_body=settings.largest_body,
            requests_per_second=access.requests_per_second,
            allowed_hosts=access.allowed_hosts,
            state_dir=settings.state_dir,
            wake=loop.wake,
            well=lambda: loop.well,
            world=lambda: world.now,
        )
        intake.start()
        loop.start()
        try:
            with _reading_again(world, loop):
                log.info("listening", address=access.listen, tls=access.tls is not None, state=str(settings.state_dir))
                server(build(parts), doors.tls).run(sockets=[listener])
        finally:
            intake.stop()
            loop.stop()
            database.close()


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


__all__ = ["AccessSettings", "AuthError", "ListenError", "ServeError", "Settings", "serve"]
