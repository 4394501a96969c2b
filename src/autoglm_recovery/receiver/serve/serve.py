# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the receiver together and run it until it is told to stop."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.knowledge.host import whole_file
from autoglm_recovery.receiver.access.file_modes import judge, judge_access_file, judge_directory
from autoglm_recovery.receiver.access.named_files import judge_named_files
from autoglm_recovery.receiver.doctor.first_look import FirstLook
from autoglm_recovery.receiver.fleet.site_config import CurrentConfig
from autoglm_recovery.receiver.intake.commit import Intake
from autoglm_recovery.receiver.loop.dispatch import Dispatcher
from autoglm_recovery.receiver.loop.loop import Loop
from autoglm_recovery.receiver.loop.proving import LastHeard
from autoglm_recovery.receiver.notify.notifier import Notifier
from autoglm_recovery.receiver.notify.own_watch import ReceiverMonitor
from autoglm_recovery.receiver.observe.absence_watch import AbsenceWatch
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.observe.own_silences import maker
from autoglm_recovery.receiver.observe.presence_watch import PresenceWatch
from autoglm_recovery.receiver.observe.silencer import Silencer
from autoglm_recovery.receiver.observe.silences import SilenceWatch
from autoglm_recovery.receiver.observe.tracing import Tracer
from autoglm_recovery.receiver.process.service_manager import ServiceManager
from autoglm_recovery.receiver.process.worker import Background, Workers
from autoglm_recovery.receiver.runs.follow import Follower
from autoglm_recovery.receiver.runs.leases import LeaseRenewer
from autoglm_recovery.receiver.runs.local.artifacts import Sweeper
from autoglm_recovery.receiver.serve.app import build
from autoglm_recovery.receiver.serve.launchers import open_launchers, retention
from autoglm_recovery.receiver.serve.reloader import Reloader
from autoglm_recovery.receiver.store import engines, installation
from autoglm_recovery.receiver.store import heard as watchdog
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.forgetting import Forgetting
from autoglm_recovery.receiver.store.listener import Listener
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.store.standing import Backlog, standing
from autoglm_recovery.receiver.verify.proof_watch import ProofWatch
from autoglm_recovery.receiver.web.server import AccessControl, AccessSettings, bound_socket, read_access, server
from autoglm_recovery.receiver.web.services import WebServices

# How long a run goes on without its receiver.  Where receivers share a database, others take over after that; alone, it
# is the time that a restart may take.
SHARED_LEASE_S = 5.0
LONE_LEASE_S = 300.0
SHORTEST_LEASE_S = 1.0

log = structlog.get_logger()

# How long the lock of a receiver that was killed is waited for.
_LEFT_BEHIND_S = 10.0


@dataclass(frozen=True)
class ReceiverSettings:
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


def serve(settings: ReceiverSettings, config: CurrentConfig | None = None) -> None:
    """Run the receiver, with a site configuration that was read already or else is read now.

    Raises ServeError, ListenError, AuthError, PolicyError, InventoryError, or AnsibleError before it listens.
    """
    access = settings.access
    manager = ServiceManager.of(os.environ, os.getpid())
    _no_core_files()
    _private(settings.state_dir)
    _log_open_files(judge_files(settings))
    doors = read_access(access, settings.state_dir)
    with only_receiver(settings.state_dir), bound_socket(access.listen) as listener, _database(settings) as database:
        current = config or CurrentConfig(settings.policy, settings.inventory)
        _log_open_files(judge_named_files(current.now.policy))
        _run(settings, doors, database, current, listener, manager)


def _run(
    settings: ReceiverSettings,
    doors: AccessControl,
    database: Database,
    config: CurrentConfig,
    listener: socket.socket,
    manager: ServiceManager,
) -> None:
    def ask() -> Backlog:
        with database.reading() as connection:
            return standing(connection)

    metrics = Metrics(ask)
    workers = Workers()
    metrics.watch(workers)
    metrics.config_read(len(config.now.fleet.hosts))
    lease = Lease(identity(settings.state_dir), lease_seconds(settings, database), database.now())
    keeper = LeaseRenewer(database, lease)
    try:
        with database.reading() as connection:
            mark = installation.name(connection)
            metrics.watchdog(watchdog.last(connection))
        launchers, closing, asking = open_launchers(
            lambda: config.now.policy, settings.state_dir, lambda: keeper.until, metrics, mark
        )
    except ValueError as error:
        raise ServeError(f"launchers: {error}") from error
    notifier = Notifier(database, lambda: config.now.policy)
    silences = SilenceWatch(lambda: config.now.policy.guardrails.silences, maker(mark))
    runs_directory, kept = (settings.state_dir / "runs").resolve(), retention(config.now.policy.launchers)
    proofs = ProofWatch(database, lambda: config.now.policy, lambda: loop.wake())  # noqa: PLW0108 - it is made below
    heard = LastHeard(silences=lambda: silences.now, proof=proofs.of, watchdog=watchdog.stretch)
    dispatcher = Dispatcher(database, lease, runs_directory, metrics, heard=heard, notified=notifier.wake)
    follower = Follower(database, metrics, keeper, launchers)
    sweeper = Sweeper(runs_directory, kept)
    loop = Loop(
        database, config, metrics, dispatcher, follower, sweeper=sweeper, notified=notifier.wake, manager=manager
    )
    intake = Intake(database, loop.wake)
    access = settings.access

    def wake_both() -> None:
        """What a person orders may end an incident, of which others are told."""
        loop.wake()
        notifier.wake()

    services = WebServices(
        database=database,
        intake=intake,
        metrics=metrics,
        authenticator=doors.authenticator,
        sessions=doors.sessions,
        largest_body=settings.largest_body,
        requests_per_second=access.requests_per_second,
        allowed_hosts=access.allowed_hosts,
        state_dir=settings.state_dir,
        wake=wake_both,
        well=lambda: loop.well,
        troubles=lambda: workers.troubles,
        config=lambda: config.now,
        silences=lambda: silences.now,
        presence=lambda: presence.now,
    )
    reader = Reloader(config, metrics, loop.wake, manager)
    presence = PresenceWatch(lambda: config.now)
    own = ReceiverMonitor(database, lambda: config.now.policy, workers, settings.state_dir, lease.owner)
    background: list[Background] = [
        *(*asking, keeper, silences, proofs, notifier, loop, intake, reader, presence, own),
        AbsenceWatch(database, lambda: config.now.policy, loop.wake),
        Forgetting(database, lambda: config.now.policy.retention),
        Silencer(database, lambda: config.now.policy, lease.owner, maker(mark)),
        FirstLook(lambda: config.now, settings.state_dir),
    ]
    if database.shared:
        background.append(Listener(database.url, loop.wake))
        workers.take(database.worker)
    if (tracer := _tracer(database)) is not None:
        background.append(tracer)
    with ExitStack() as running:
        for close in closing:
            running.callback(close)
        for part in background:
            workers.take(part.worker)
            part.start()
            running.callback(part.stop)
        log.info("replica", owner=lease.owner, lease=f"{lease.seconds:g}s", database=engines.shown(database.url))
        signal.signal(signal.SIGHUP, lambda _signal, _frame: reader.read_now())
        log.info("listening", address=access.listen, tls=access.tls is not None, state=str(settings.state_dir))
        server(build(services), doors.tls, manager).run(sockets=[listener])


def _tracer(database: Database) -> Tracer | None:
    """Return what exports traces, where OpenTelemetry is installed and somebody has said where to."""
    exporter = needs_tracing()
    return None if exporter is None else Tracer(database, exporter())


def needs_tracing() -> Callable[[], Any] | None:
    """Return what makes the exporter of traces, or None where nobody has said where to.

    Raises ServeError if somebody has, and OpenTelemetry is not installed.
    """
    if not any(name.startswith("OTEL_EXPORTER_OTLP") for name in os.environ):
        return None
    try:
        from autoglm_recovery.receiver.observe.tracing_otlp import exporter  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ServeError(f"OTEL_EXPORTER_OTLP... is set, and {error}; install autoglm-recovery[otel]") from error
    return exporter


def database_of(settings: ReceiverSettings) -> Database:
    """Return the database that the settings name; it is not opened yet.

    Raises ServeError if they name none that there is.
    """
    try:
        return Database(settings.database or f"sqlite:///{settings.state_dir.resolve() / 'receiver.db'}")
    except ValueError as error:
        raise ServeError(f"--database: {error}") from error


def unusable(database: Database, error: sa.exc.SQLAlchemyError) -> ServeError:
    """Return what to say of a database, without its password."""
    why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return ServeError(f"the database {engines.shown(database.url)} cannot be used: {why}")


@contextmanager
def _database(settings: ReceiverSettings) -> Iterator[Database]:
    """Open the database and bring its schema up to date.

    Raises ServeError if it cannot be used.
    """
    database = database_of(settings)
    try:
        database.migrate()
    except sa.exc.SQLAlchemyError as error:
        database.close()
        raise unusable(database, error) from error
    try:
        yield database
    finally:
        database.close()


def lease_seconds(settings: ReceiverSettings, database: Database) -> float:
    """Return how long a run goes on without its receiver.

    Raises ServeError if it could not be renewed in that time.
    """
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
        whole_file.write(path, f"{host}-{secrets.token_hex(4)}")
    return path.read_text("utf-8").strip()


def _private(directory: Path) -> None:
    """Make the state directory; what is in it could be used to understand or to fake a repair."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        judge_directory(directory)
        directory.chmod(0o700)
    except OSError as error:
        raise ServeError(f"state directory {directory} cannot be used: {error.strerror}") from error


def judge_files(settings: ReceiverSettings) -> list[str | None]:
    """Return what a person should know about the files that decide who comes in, by whose they are.

    Raises AuthError if one may be changed, or a secret read, by somebody else.
    """
    access, state = settings.access, settings.state_dir
    told = [judge_access_file(path) for path in access.access_files]
    told.append(judge("session key", access.session_key or state / "session.key", secret=True))
    told.append(judge("database", state / "receiver.db", secret=False))
    if access.tls is not None:
        told.append(judge("TLS key", access.tls.key, secret=True))
        others = [path for path in access.tls.all if path != access.tls.key]
        told += [judge("certificate file", path, secret=False) for path in others]
    return told


def _no_core_files() -> None:
    """Leave no memory behind in a crash, neither here nor in runs, which inherit it: tokens and vaulted values.

    Not ``PR_SET_DUMPABLE``, which runs would not inherit, and which gives this process's files below /proc to root.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _log_open_files(told: Iterable[str | None]) -> None:
    for warning in filter(None, told):
        log.warning("a file is open to others", what=warning)


def _is_alive(holder: str) -> bool:
    """Tell whether the process is there whose number a lock file has; of a file without a number it is assumed."""
    return not holder.isdecimal() or Path(f"/proc/{holder}").exists()


def only_receiver(directory: Path) -> IO[str]:
    """Hold the state directory, so that no second receiver works on it."""
    # Not emptied before it is held: it has the number of the process that holds it.
    lock = open(directory / "receiver.lock", "a+", encoding="utf-8")  # noqa: SIM115 - closed by the caller's with
    deadline = time.monotonic() + _LEFT_BEHIND_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).strip()
            if _is_alive(holder) or time.monotonic() > deadline:
                lock.close()
                which = f" (process {holder})" if holder.isdecimal() else ""
                words = f"another receiver works on {directory}{which}; give this one another --state-dir"
                raise ServeError(words) from error
        # Who held it was killed, and what it was just about to start has the lock too until it is another program.
        time.sleep(0.05)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
