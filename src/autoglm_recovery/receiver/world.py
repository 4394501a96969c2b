# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decisions are made against: the policy, the fleet and the playbooks, replaced as a whole when re-read."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from autoglm_recovery.policy import Policy, PolicyError, load_policy
from autoglm_recovery.receiver.ansible import AnsibleError, installed_playbooks
from autoglm_recovery.receiver.fleet import Fleet, InventoryError, read_fleet


@dataclass(frozen=True)
class World:
    """One consistent view.

    C(kept_because) is what was wrong with the files when they were last read, where this view is still the one before.
    """

    policy: Policy
    fleet: Fleet
    playbooks: frozenset[str]
    inventory: Path
    policy_file: Path | None = None
    read_at: float = 0.0
    kept_because: str | None = None


def read_world(policy: Path | None, inventory: Path) -> World:
    """Read everything.

    :raises PolicyError, InventoryError, AnsibleError: if any of it cannot be used.
    """
    # Both ask a command of Ansible that takes most of a second to start.
    with ThreadPoolExecutor(2) as pool:
        fleet = pool.submit(read_fleet, inventory)
        playbooks = pool.submit(installed_playbooks)
        read = load_policy(policy) if policy else Policy()
        policy_file = policy.resolve() if policy else None
        return World(read, fleet.result(), playbooks.result(), inventory.resolve(), policy_file, time.time())


class CurrentWorld:
    """The world in force.  A bad re-read changes nothing."""

    def __init__(self, policy: Path | None, inventory: Path) -> None:
        self._policy = policy
        self._inventory = inventory
        self._reading = threading.Lock()
        self.now = read_world(policy, inventory)

    def read_again(self) -> str | None:
        """Read everything again; return what was wrong, in which case the old view stays in force."""
        with self._reading:
            try:
                self.now = read_world(self._policy, self._inventory)
            except (PolicyError, InventoryError, AnsibleError) as error:
                self.now = replace(self.now, kept_because=str(error))
                return str(error)
        return None
