# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's real HTTP server in this process, on a real database: all but the loop that acts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.commit import Intake
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.worker import Workers
from autoglm_recovery.receiver.serve.app import build
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.standing import Backlog, standing
from autoglm_recovery.receiver.web.server import AccessSettings, bound_socket, read_access, server
from autoglm_recovery.receiver.web.services import WebServices
from tests.support.servers.waiting import until

SENDER, VIEWER, OPERATOR = "sender-" + "s" * 20, "viewer-" + "v" * 20, "operator-" + "o" * 20
ACCESS = f"alertmanager sender {SENDER}\ndashboard viewer {VIEWER}\nalice operator {OPERATOR}\n"
DEADLINE_S = 180
CONFIG = SiteConfig(
    Policy(),
    Fleet({"node-a": Host("node-a", services=(InferenceService("llama", "chat"),)), "ops": Host("ops")}),
    frozenset(),
    Path("inventory.yml"),
)


@dataclass
class Serving:
    """A server that runs, and what it stands on."""

    url: str
    port: int
    directory: Path
    database: Database
    services: WebServices
    client: httpx.Client

    def ask(self, method: str, path: str, token: str | None = None, **what: Any) -> httpx.Response:
        """Send a request, with a bearer token where given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.client.request(method, path, headers={**headers, **what.pop("headers", {})}, **what)


@contextmanager
def serving(
    directory: Path, access: str | None = ACCESS, workers: Workers | None = None, **settings: Any
) -> Iterator[Serving]:
    """Serve on a port of this machine until the block ends."""
    file = directory / "access"
    if access is not None:
        file.write_text(access)
        file.chmod(0o600)
    given = AccessSettings("127.0.0.1:0", (file,) if access is not None else (), **settings)
    database = Database(f"sqlite:///{directory / 'receiver.db'}")
    database.migrate()

    def ask() -> Backlog:
        with database.reading() as connection:
            return standing(connection)

    intake = Intake(database, lambda: None)
    doors = read_access(given, directory)
    services = WebServices(
        database=database,
        intake=intake,
        metrics=Metrics(ask),
        authenticator=doors.authenticator,
        sessions=doors.sessions,
        largest_body=1 << 20,
        requests_per_second=given.requests_per_second,
        allowed_hosts=given.allowed_hosts,
        state_dir=directory,
        wake=lambda: None,
        well=lambda: True,
        config=lambda: CONFIG,
        troubles=lambda: workers.troubles if workers else (),
    )
    intake.start()
    listener = bound_socket(given.listen)
    port = listener.getsockname()[1]
    running = server(build(services), doors.tls)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, name="server")
    thread.start()
    url = f"{'https' if given.tls else 'http'}://127.0.0.1:{port}"
    try:
        until("it to listen", lambda: running.started or not thread.is_alive())
        with httpx.Client(base_url=url, timeout=DEADLINE_S, trust_env=False) as client:
            yield Serving(url, port, directory, database, services, client)
    finally:
        running.should_exit = running.force_exit = True
        thread.join(DEADLINE_S)
        intake.stop()
        database.close()
        listener.close()
