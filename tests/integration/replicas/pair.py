# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two real receivers on one PostgreSQL, whose playbooks leave their marks in one place."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tests.integration.receiver.running import Receiver, end_runs
from tests.support.servers.waiting import until

LEASE_S = 3
# A second attempt follows the first at once.
POLICY = """\
recovery:
  persistent_within: 0s
  strategies: {oom: {delay: 0s, retries: 1, backoff: 1ms, then: []}}
guardrails: {max_actions_per_host_per_hour: 1000}
"""


class Pair:
    """Receivers ``a`` and ``b``."""

    def __init__(self, directory: Path, database: str, **settings: Any) -> None:
        common = directory / "scratch"
        common.mkdir()
        shared = {"policy": POLICY, "lease": f"{LEASE_S}s", "database": database, "common": common, **settings}
        for name in "ab":
            (directory / name).mkdir()
        self.a = Receiver(directory / "a", **shared)
        self.b = Receiver(directory / "b", **shared)

    def start(self) -> None:
        """Start both."""
        self.a.start()
        self.b.start()

    def end(self) -> None:
        """End both, also one that is frozen, and what they left."""
        for receiver in (self.a, self.b):
            receiver.let_go()
            if receiver.process is not None and receiver.process.poll() is None:
                receiver.process.send_signal(signal.SIGCONT)
                receiver.kill()
            receiver.client.close()
            end_runs(receiver)

    def owner(self) -> tuple[Receiver, Receiver]:
        """Wait for a run to be going on, and return who has it and who has not."""
        until("its playbook to begin", lambda: self.b.marks)
        (run,) = self.b.runs(1)
        has = (self.a.directory / "state/replica").read_text() == run["owner"]
        return (self.a, self.b) if has else (self.b, self.a)


def log_of(receiver: Receiver) -> str:
    """Return what a receiver has logged."""
    return (receiver.directory / "log").read_text()
