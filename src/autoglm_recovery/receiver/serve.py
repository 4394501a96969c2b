# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the receiver together and run it until it is told to stop."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.artifacts import Sweeper
from autoglm_recovery.receiver.dispatch import Dispatcher, Others
from autoglm_recovery.receiver.follow import Follower
from autoglm_recovery.receiver.keeper import Keeper
from autoglm_recovery.receiver.launchers import open_launchers, retention
from autoglm_recovery.receiver.loop import Loop
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.notifier import Notifier
from autoglm_recovery.receiver.proof_watch import ProofWatch
from autoglm_recovery.receiver.silences import SilenceWatch
from autoglm_recovery.receiver.store import installation
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.intake import Intake
from autoglm_recovery.receiver.store.listener import Listener
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.store.standing import Standing, standing
from autoglm_recovery.receiver.tracing import Tracer
from autoglm_recovery.receiver.web.app import build
from autoglm_recovery.receiver.web.parts import Parts
from autoglm_recovery.receiver.web.server import AccessSettings, Doorkeeping, ListenError, bound, keep_doors, server
from autoglm_recovery.receiver.whole_file import write_whole
from autoglm_recovery.receiver.world import CurrentWorld

# A new host or a repaired playbook directory is seen after this long, or at once with SIGHUP.
READ_AGAIN_EVERY_S = 300

# How long a run goes on without its receiver.  Where receivers share a database, others take over after that; alone, it
# is the time that a restart may take.
SHARED_LEASE_S = 5.0
LONE_LEASE_S = 300.0
SHORTEST_LEASE_S = 1.0
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
    lease_s: float | None = None


class ServeError(RuntimeError):
    """The receiver cannot start, and why."""


def serve(settings: Settings, world: CurrentWorld | None = None) -> None:
    """Run the receiver, in a world that was read already or else is read now.

    :raises ServeError, ListenError, AuthError, PolicyError, InventoryError, AnsibleError: before it listens.
    """
    access = settings.access
    # Nothing that the receiver starts has use for what opens the receiver or its database.
    for name in SECRET_VARIABLES:
        os.environ.pop(name, None)
    _private(settings.state_dir)
    doors = keep_doors(access, settings.state_dir)
    with _only_receiver(settings.state_dir), bound(access.listen) as listener, _database(settings) as database:
        _run(settings, doors, database, world or CurrentWorld(settings.policy, settings.inventory), listener)


def _run(
    settings: Settings, doors: Doorkeeping, database: Database, world: CurrentWorld, listener: socket.socket
) -> None:
    def ask() -> Standing:
        with database.reading() as connection:
            return standing(connection)

    metrics = Metrics(ask)
    metrics.world_read(len(world.now.fleet.hosts))
    lease = Lease(identity(settings.state_dir), _lease_seconds(settings, database), database.now())
    keeper = Keeper(database, lease)
    try:
        with database.reading() as connection:
            mark = installation.name(connection)
        policy = world.now.policy.launchers
        launchers, closing = open_launchers(policy, settings.state_dir, lambda: keeper.until, metrics, mark)
    except ValueError as error:
        raise ServeError(f"launchers: {error}") from error
    notifier = Notifier(database, lambda: world.now.policy)
    silences = SilenceWatch(lambda: world.now.policy.guardrails.silences)
    runs_directory, kept = (settings.state_dir / "runs").resolve(), retention(world.now.policy.launchers)
    proofs = ProofWatch(database, lambda: world.now.policy, lambda: loop.wake())  # noqa: PLW0108 - it is made below
    others = Others(silences=lambda: silences.now, proof=proofs.of)
    dispatcher = Dispatcher(database, lease, runs_directory, metrics, others=others, notified=notifier.wake)
    follower = Follower(database, metrics, keeper, launchers)
    loop = Loop(database, world, metrics, dispatcher, follower, sweeper=Sweeper(runs_directory, kept))
    intake = Intake(database, loop.wake)
    access = settings.access
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
        silences=lambda: silences.now,
    )
    with ExitStack() as running:
        for close in closing:
            running.callback(close)
        for part in (keeper, silences, proofs, notifier, loop, intake):
            part.start()
            running.callback(part.stop)
        if database.shared:
            news = Listener(database.url, loop.wake)
            news.start()
            running.callback(news.stop)
        if (tracer := _tracer(database)) is not None:
            tracer.start()
            running.callback(tracer.stop)
        log.info("replica", owner=lease.owner, lease=f"{lease.seconds:g}s", database=repr(database.url))
        running.enter_context(_reading_again(world, loop, metrics))
        log.info("listening", address=access.listen, tls=access.tls is not None, state=str(settings.state_dir))
        server(build(parts), doors.tls).run(sockets=[listener])


def _tracer(database: Database) -> Tracer | None:
    """Return what exports traces, where OpenTelemetry is installed and somebody has said where to."""
    if not any(name.startswith("OTEL_EXPORTER_OTLP") for name in os.environ):
        return None
    try:
        from autoglm_recovery.receiver.tracing_otlp import exporter  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ServeError(f"OTEL_EXPORTER_OTLP... is set, and {error}; install autoglm-recovery[otel]") from error
    return Tracer(database, exporter())


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    """Open the database and bring its schema up to date.

    :raises ServeError: if it cannot be used.
    """
    try:
        database = Database(settings.database or f"sqlite:///{settings.state_dir.resolve() / 'receiver.db'}")
    except ValueError as error:
        raise ServeError(f"--database: {error}") from error
    try:
        database.migrate()
    except sa.exc.SQLAlchemyError as error:
        database.close()
        why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise ServeError(f"the database {database.url!r} cannot be used: {why}") from error
    try:
        yield database
    finally:
        database.close()


def _lease_seconds(settings: Settings, database: Database) -> float:
    if settings.lease_s is None:
        return SHARED_LEASE_S if database.shared else LONE_LEASE_S
    if settings.lease_s < SHORTEST_LEASE_S:
        raise ServeError(f"--lease must be at least {SHORTEST_LEASE_S:g}s, so that it can be renewed in time")
    return settings.lease_s


def identity(state_dir: Path) -> str:
    """Return the name under which this receiver claims runs: the state directory's own, so that it survives a restart.

    Only one receiver works on a state directory at a time, and so only one bears its name.
    """
    path = state_dir / "replica"
    if not path.exists():
        host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:40]
        write_whole(path, f"{host}-{secrets.token_hex(4)}")
    return path.read_text("utf-8").strip()


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

    def __init__(self, world: CurrentWorld, loop: Loop, metrics: Metrics) -> None:
        self._world = world
        self._metrics = metrics
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
                self._metrics.world_kept()
                log.error("kept the old policy and inventory", wrong=wrong)
            else:
                self._metrics.world_read(len(self._world.now.fleet.hosts))
                if asked:
                    log.info("policy and inventory were read again")
            self._loop.wake()


__all__ = ["AccessSettings", "AuthError", "ListenError", "ServeError", "Settings", "serve"]
