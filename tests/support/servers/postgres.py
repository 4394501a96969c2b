# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL 15 on loopback, with fsync on, which its test may kill, stop and start again.

Its programs are the machine's where it has them, else out of Debian's packages, unpacked into a cache and not
installed: installing them would start a server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.servers.ports import free_port
from tests.support.tooling.prometheus_tools import download

VERSION = "15"
INSTALLED = Path(f"/usr/lib/postgresql/{VERSION}/bin")
# The server, and what it is linked to that a small system lacks.
PACKAGES = (
    *("postgresql-15", "postgresql-client-15", "libpq5", "libicu72", "libxml2", "libxslt1.1", "libldap-2.5-0"),
    *("libsasl2-2", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1", "libcom-err2"),
    *("liblz4-1", "libzstd1"),
)
USER, PASSWORD = "autoglm", "only-for-tests"
READY_S = 120


@dataclass
class Postgres:
    """One server and its files."""

    directory: Path
    programs: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    _made: list[str] = field(default_factory=list)

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        """Return where a database is, with the password."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        with open(self.directory / "log", "ab") as log:
            self.process = _run_as_nobody(
                [self.programs / "postgres", "-D", self.directory / "data", "-p", str(self.port)], self, log
            )
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.url(), connect_timeout=2):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {(self.directory / 'log').read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGQUIT what a crash leaves."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(READY_S)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the owner of everything."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{len(self._made)}"
        self._made.append(name)
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Run a server until the end of the block."""
    # Not below pytest's own folder: that is closed to the user that the server must run as.
    directory = Path(tempfile.mkdtemp(prefix="autoglm-postgres-"))
    server = Postgres(directory, programs(), free_port())
    try:
        _initialise(server)
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.process.send_signal(signal.SIGCONT)
            server.stop(signal.SIGQUIT)
        shutil.rmtree(directory, ignore_errors=True)


def programs() -> Path:
    """Return the folder of the server's programs."""
    if (INSTALLED / "initdb").exists() and not os.environ.get("AUTOGLM_TEST_UNPACK_POSTGRES"):
        return INSTALLED
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm-recovery"
    # Root's home is closed to the user that the server must run as.
    root = (Path("/var/cache/autoglm-recovery") if os.geteuid() == 0 else cache) / f"postgresql-{VERSION}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(root.with_suffix(".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _unpack(root)
    return root / INSTALLED.relative_to("/")


def _unpack(root: Path) -> None:
    print(f"fetching PostgreSQL {VERSION} out of Debian's packages into {root} ...")
    with tempfile.TemporaryDirectory(dir=root.parent) as work:
        for package in PACKAGES:
            folder = Path(work) / package
            folder.mkdir()
            download(package, folder)
            archive = next(folder.glob("*.deb"))
            subprocess.run(["dpkg-deb", "-x", archive, Path(work) / "root"], check=True)
        (Path(work) / "root").chmod(0o755)
        (Path(work) / "root").rename(root)


def _initialise(server: Postgres) -> None:
    server.directory.chmod(0o755)
    (server.directory / "password").write_text(PASSWORD)
    (server.directory / "password").chmod(0o644)
    (server.directory / "data").mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(server.directory / "data", "nobody")
    options = ["--username", USER, "--pwfile", server.directory / "password", "--auth", "scram-sha-256"]
    options += ["--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"]
    with open(server.directory / "log", "ab") as log:
        done = _run_as_nobody([server.programs / "initdb", "-D", server.directory / "data", *options], server, log)
        if done.wait(READY_S * 4) != 0:
            raise RuntimeError(f"initdb failed: {(server.directory / 'log').read_text()[-2000:]}")
    with open(server.directory / "data/postgresql.conf", "a", encoding="utf-8") as settings:
        settings.write("listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nfsync = on\n")
        settings.write("max_connections = 200\nshared_buffers = 32MB\nlog_lock_waits = on\n")


def _run_as_nobody(command: list[object], server: Postgres, log: object) -> subprocess.Popen[bytes]:
    """Run a program as a user that is not root, which PostgreSQL insists on."""
    libraries = server.programs.parents[3] / "lib" / f"{platform.machine()}-linux-gnu"
    environment = {**os.environ, "LC_ALL": "C"}
    if server.programs != INSTALLED:
        environment["LD_LIBRARY_PATH"] = str(libraries)
    as_other = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[arg-type]
        stderr=log,  # type: ignore[arg-type]
        cwd=server.directory,
        env=environment,
        start_new_session=True,
        **as_other,  # type: ignore[arg-type]
    )
