# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a decision may depend on, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autoglm_recovery.receiver.values.kept_out import KeptOut
from autoglm_recovery.receiver.values.model import Attempt, FaultMode, Target


@dataclass(frozen=True)
class Explanation:
    """Another incident whose cause explains this one's."""

    incident_id: int
    failure_class: str
    where: str


@dataclass(frozen=True)
class Silence:
    """A silence of Alertmanager that fits every alert of the incident.  ``until`` is its end."""

    id: str
    by: str
    comment: str
    until: float


@dataclass(frozen=True)
class NotLaunched:
    """The last run of an incident where nothing has begun it: its action, and why not."""

    action: str
    why: str


@dataclass(frozen=True)
class PastRun:
    """A run of the same action, or in the same pool.  ``pending`` is one whose end or whose proof is not known yet."""

    failed: bool
    pending: bool
    at: float


@dataclass(frozen=True)
class CapacityGroup:
    """A pool or the fleet: its size, how many others are out of service, and how many the action would take out."""

    name: str
    size: int
    others_out: int
    affected: int


@dataclass(frozen=True)
class Situation:
    """Everything a decision may depend on.

    ``in_inventory`` is false where the target has left the inventory since its alert came.

    ``attempts`` are the runs of this incident, oldest first.  ``earlier_actions`` are the actions that were run for the
    same failure of the same target in incidents before this one, within the policy's ``persistent_within``, and
    ``earlier_counts`` how often.
    ``gpu_actions`` counts the actions that were run for the same GPU, on whatever host, within ``gpu_memory.within``.

    ``only_probed`` is true where the service was found well after the last run and no alert has fired since: that it is
    ill again, its own probe says alone.

    ``fired`` is how often the most restless of the alerts has fired within ``flapping.window``.  ``labels`` are those
    of the alerts that fire, and where none does those of all that have ended. ``fenced`` is what the host said, where
    it refused so many runs in a row, because newer runs had been there, that it makes no sense to go on.  ``kept_out``
    are the runs that were refused last because somebody else is at work on the host.  ``not_launched`` is the last run
    where its launcher could never begin it. ``action_runs`` and ``pool_runs`` are past runs of the action that is next,
    and in the pool, within the circuit breaker's window, newest first.  ``capacity_groups`` are the pools that the
    action touches, and the fleet.  ``rebooting_beside`` is another host of one of these pools that is being rebooted.
    """

    failure_class: str
    mode: FaultMode
    target: Target
    opened_at: float
    now: float
    playbooks: frozenset[str]
    incident_id: int = 0
    in_inventory: bool = True
    attempts: tuple[Attempt, ...] = ()
    earlier_actions: frozenset[str] = frozenset()
    earlier_counts: Mapping[str, int] | None = None
    gpu_actions: Mapping[str, int] | None = None
    approved: bool = False
    fenced: str | None = None
    kept_out: KeptOut | None = None
    not_launched: NotLaunched | None = None
    explained_by: Explanation | None = None
    paused: str | None = None
    fired: int = 1
    only_probed: bool = False
    labels: tuple[Mapping[str, str], ...] = ()
    pools: frozenset[str] = frozenset()
    silence: Silence | None = None
    silences_unknown: bool = False
    last_action_on_target_at: float | None = None
    action_runs: tuple[PastRun, ...] = ()
    pool_runs: tuple[PastRun, ...] = ()
    capacity_groups: tuple[CapacityGroup, ...] = ()
    busy_with: int | None = None
    rebooting_beside: str | None = None
    running: int = 0
    running_in_pool: int = 0
    host_actions_last_hour: int = 0

    def earlier_runs(self, action: str) -> int:
        """Return how often an action ran for this failure in incidents before."""
        return (self.earlier_counts or {}).get(action, int(action in self.earlier_actions))
