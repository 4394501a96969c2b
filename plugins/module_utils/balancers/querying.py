# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a drain would succeed now, by the requests that a drain would make, without changing anything."""

from __future__ import annotations

from collections.abc import Mapping

from . import lock
from .draining import Clock, DrainOutcome
from .protocol import Balancer, BalancerError, Obstacle, find

# What a person can do, by the kind of a BalancerError.
_ADVICE: Mapping[str, str] = {
    "unreachable": "does it run, and are these its addresses and files, seen from this host?",
    "denied": "give the user by whom tasks run on this host the right to it, or let them become root",
    "unknown_backend": "correct the balancer's backend or file",
    "unknown_server": "correct the server's name, or add it to the balancer",
}


def query(balancer: Balancer, lock_dir: str, server: str | None = None) -> DrainOutcome:
    """The pool, and what would keep a drain from succeeding; C(refused) where there is any obstacle.

    server: one that the pool must have, or None.  lock_dir: where exclusively() would put its lock. Errors of the
    balancer end up in the outcome.
    """
    clock = Clock()
    began, outcome = clock.now(), DrainOutcome()
    outcome.obstacles = lock.obstacles(lock_dir)
    try:
        of_balancer = balancer.obstacles()
    except BalancerError as error:
        of_balancer = [_obstacle(error)]
    outcome.obstacles += of_balancer
    try:
        outcome.pool = balancer.members()
        if server is not None:
            outcome.before = outcome.after = find(server, outcome.pool, "the balancer")
    except BalancerError as error:
        # Obstacles often repeat the error that kept the pool from being read: it is reported once.
        if not of_balancer or error.kind == "unknown_server":
            outcome.obstacles.append(_obstacle(error))
    outcome.outcome = "refused" if outcome.obstacles else "queried"
    outcome.reasons = [each.what for each in outcome.obstacles] or [f"a drain could be done; {_describe_pool(outcome)}"]
    outcome.seconds = round(clock.now() - began, 3)
    return outcome


def _obstacle(error: BalancerError) -> Obstacle:
    return Obstacle(error.reason, _ADVICE.get(error.kind, ""))


def _describe_pool(outcome: DrainOutcome) -> str:
    names = [member.name for member in outcome.pool]
    return f"the pool has {', '.join(names[:20])}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")
