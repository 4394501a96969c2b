# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of the receiver that the web interface uses."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from autoglm_recovery.receiver.access.authenticator import Authenticator
from autoglm_recovery.receiver.access.sessions import Sessions
from autoglm_recovery.receiver.fleet.presence import NOT_SET_UP, PresenceRoll
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.commit import Intake
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.observe.silences import NONE_ASKED, SilenceSnapshot
from autoglm_recovery.receiver.process.worker import WorkerTrouble
from autoglm_recovery.receiver.store.database import Database

T = TypeVar("T")


@dataclass(frozen=True)
class WebServices:
    """Everything that a request handler may need, handed in by the composition root."""

    database: Database
    intake: Intake
    metrics: Metrics
    authenticator: Authenticator
    sessions: Sessions
    largest_body: int
    # What one address may ask a second; as many names as this server answers to, none for any.
    requests_per_second: float
    allowed_hosts: Collection[str]
    state_dir: Path
    wake: Callable[[], None]
    well: Callable[[], bool]
    config: Callable[[], SiteConfig]
    silences: Callable[[], SilenceSnapshot] = lambda: NONE_ASKED
    troubles: Callable[[], tuple[WorkerTrouble, ...]] = lambda: ()
    presence: Callable[[], PresenceRoll] = lambda: NOT_SET_UP

    async def ask(self, query: Callable[[sa.Connection], T]) -> T:
        """Read from the database without holding up other requests."""

        def reading() -> T:
            with self.database.reading() as connection:
                return query(connection)

        return await run_in_threadpool(reading)

    async def write(self, change: Callable[[sa.Connection], T]) -> T:
        """Change the database without holding up other requests; it is on disk when this returns."""

        def writing() -> T:
            with self.database.writing() as connection:
                return change(connection)

        return await run_in_threadpool(writing)
