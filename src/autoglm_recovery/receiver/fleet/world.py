# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decisions are made against: the policy, the fleet and the playbooks, replaced as a whole when re-read."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from autoglm_recovery.policy import Policy, PolicyError, load_policy
from autoglm_recovery.receiver.fleet.ansible import AnsibleError, playbooks_folder
from autoglm_recovery.receiver.fleet.fleet import Fleet, InventoryError, read_fleet
from autoglm_recovery.receiver.fleet.own_playbooks import runnable


@dataclass(frozen=True)
class World:
    """One consistent view.

    ``playbooks`` are the actions that can be run, by their names.  ``kept_because`` is what was wrong with the files
    when they were last read, where this view is still the one before.
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

    Raises PolicyError, InventoryError, or AnsibleError if any of it cannot be used.
    """
    read = load_policy(policy) if policy else Policy()
    folder = playbooks_folder()
    fleet = read_fleet(inventory, folder)
    policy_file = policy.resolve() if policy else None
    # Under the name that it was given, as Ansible takes it: what lies beside a link counts, not what is where it leads.
    named = Path(os.path.abspath(inventory))
    return World(read, fleet, runnable(read.actions, folder), named, policy_file, time.time())


class CurrentWorld:
    """The world in force.  A bad re-read changes nothing."""

    def __init__(self, policy: Path | None, inventory: Path) -> None:
        self._policy = policy
        self._inventory = inventory
        self._reading = threading.Lock()
        self.now = read_world(policy, inventory)

    def read_again(self) -> str | None:
        """Read everything again; return what was wrong, in which case the old view stays in force.

        So it does whatever else is raised.
        """
        with self._reading:
            try:
                self.now = read_world(self._policy, self._inventory)
            except (PolicyError, InventoryError, AnsibleError) as error:
                self.now = replace(self.now, kept_because=str(error))
                return str(error)
            except Exception as error:
                # A disk, a program or a plugin that fails in a way nobody has thought of.
                self.now = replace(self.now, kept_because=f"{type(error).__name__}: {error}"[:1000])
                raise
        return None
