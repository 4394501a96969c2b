# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site configuration: the policy, the fleet and the playbooks, replaced as a whole when they are read again."""

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
class SiteConfig:
    """Policy, fleet and playbooks that were read together; every decision is made against one such snapshot.

    ``playbooks`` are the actions that can be run, by their names.  ``kept_because`` says what was wrong with the files
    at the last reading, if that failed and this snapshot was kept.
    """

    policy: Policy
    fleet: Fleet
    playbooks: frozenset[str]
    inventory: Path
    policy_file: Path | None = None
    read_at: float = 0.0
    kept_because: str | None = None


def read_config(policy: Path | None, inventory: Path) -> SiteConfig:
    """Read the policy, the inventory and the playbooks.

    Raises PolicyError, InventoryError, or AnsibleError if any of it cannot be used.
    """
    read = load_policy(policy) if policy else Policy()
    folder = playbooks_folder()
    fleet = read_fleet(inventory, folder)
    policy_file = policy.resolve() if policy else None
    # Not resolved, as Ansible does it: group_vars are read beside a link, not beside the file that it leads to.
    named = Path(os.path.abspath(inventory))
    return SiteConfig(read, fleet, runnable(read.actions, folder), named, policy_file, time.time())


class CurrentConfig:
    """The site configuration in force.  A failed reading changes nothing."""

    def __init__(self, policy: Path | None, inventory: Path) -> None:
        self._policy = policy
        self._inventory = inventory
        self._reading = threading.Lock()
        self.now = read_config(policy, inventory)

    def read_again(self) -> str | None:
        """Read everything again; return what was wrong, in which case the old configuration stays in force.

        It also stays in force where another exception is raised.
        """
        with self._reading:
            try:
                self.now = read_config(self._policy, self._inventory)
            except (PolicyError, InventoryError, AnsibleError) as error:
                self.now = replace(self.now, kept_because=str(error))
                return str(error)
            except Exception as error:
                # An unforeseen failure of a disk, a program or a plugin.
                self.now = replace(self.now, kept_because=f"{type(error).__name__}: {error}"[:1000])
                raise
        return None
