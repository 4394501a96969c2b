# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at one incident that is due: what it is looked at with, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.notify.notices import write_notice
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.values.model import Decision, RunState
from autoglm_recovery.receiver.values.situation import Situation


@dataclass
class IncidentTurn:
    """An incident's turn, within one transaction.

    ``row`` is the incident as it was read, ``now`` in seconds since the epoch.  ``begun`` tells afterwards that the row
    of a run was written, ``has_notices`` that somebody is to be told.
    """

    connection: sa.Connection
    row: sa.Row[Any]
    config: SiteConfig
    now: float
    begun: bool = False
    has_notices: bool = False

    def update(self, **values: Any) -> None:
        """Write where the incident stands."""
        store.update(self.connection, self.row.id, self.now, **values)

    def tell(self, kind: str, text: str) -> None:
        """Add a line to its timeline."""
        store.tell(self.connection, self.row.id, self.now, kind, text)

    def notify(self, decision: Decision, known: Situation, occasion: str) -> None:
        """Write a notice for people, where the policy wants one on this occasion."""
        written = write_notice(self.connection, self.row, decision, known, self.config.policy, occasion)
        self.has_notices |= written

    def create_run(self, decision: Decision, launcher: str, lease: Lease, runs_directory: Path) -> int:
        """Write the row of a run; return its number.  Launching it is ``follow``'s work, after the commit."""
        assert decision.action is not None  # noqa: S101 - a decision to run names its action
        key = runs.new_key()
        run_id = runs.create(
            self.connection,
            lease,
            key=key,
            incident_id=self.row.id,
            host=self.row.host,
            action=decision.action,
            attempt=decision.attempt,
            state=RunState.launching,
            reason=decision.reason,
            launcher=launcher,
            directory="",
            started_at=self.now,
        )
        # By its number alone it might be another run's, of a database that was lost or restored since.
        runs.update(self.connection, run_id, directory=str(runs_directory / f"{run_id}-{key[:12]}"))
        self.begun = True
        return run_id
