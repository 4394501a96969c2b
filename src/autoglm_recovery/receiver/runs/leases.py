# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the leases of this receiver's runs, and tell their supervisors for how long they may go on.

The database's clock says when others may take a run over.  The run's own machine counts on ``CLOCK_BOOTTIME``, which
goes on while the machine sleeps, from before the renewal was sent: so a supervisor's time is always over first.
"""

from __future__ import annotations

import threading
from pathlib import Path

from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.runs import heartbeat
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease

# So often within a lease it is renewed: three renewals may fail before it is over.
_RENEWALS_IN_A_LEASE = 4
# So much of a lease a run goes on without news; the rest is for ending its processes.
_SHARE_FOR_THE_RUN = 0.75


class LeaseRenewer:
    """Renews, in a thread of its own, so that a long turn of the loop costs no lease."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self.lease = lease
        self._database = database
        self._renewing = threading.Lock()
        self._held: frozenset[int] = frozenset()
        self._until = 0.0
        every = self._every
        self.worker = Worker(
            "keeper",
            self._step,
            stuck_after=lambda: max(30.0, self.lease.seconds),
            first_after_s=every,
            first_pause_s=every,
            longest_pause_s=every,
            vital=True,
        )

    def start(self) -> None:
        """Begin to renew."""
        self.worker.start()

    def stop(self) -> None:
        """Renew no more.  What goes on does so until its lease is over, or until this receiver is back."""
        self.worker.stop()

    def holds(self, run_id: int) -> bool:
        """Tell whether a run's lease is being kept."""
        return run_id in self._held

    @property
    def until(self) -> float:
        """Return until when the runs that are held may go on."""
        return self._until

    def renew(self) -> None:
        """Renew all leases now.

        Raises sqlalchemy.exc.SQLAlchemyError if the database cannot be asked.
        """
        self._renew()

    def _renew(self) -> list[OSError]:
        """Renew; return what was wrong where a run could not be told: that costs no other run its time."""
        wrong = []
        with self._renewing:
            asked_at = heartbeat.now()
            with self._database.appending() as connection:
                held = runs.renew(connection, self.lease)
            self._until = asked_at + self.lease.seconds * _SHARE_FOR_THE_RUN
            for run in held:
                try:
                    heartbeat.allow(Path(run.directory), self._until)
                except OSError as error:
                    wrong.append(error)
            self._held = frozenset(run.id for run in held)
        return wrong

    @property
    def _every(self) -> float:
        return self.lease.seconds / _RENEWALS_IN_A_LEASE

    def _step(self) -> float:
        for error in self._renew() if self._held else ():
            raise error
        return self._every
