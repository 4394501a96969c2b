# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions and failure classes under a policy, built-in and own, with their properties.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_recovery.knowledge.faults.classes import (
    ACTIONS,
    COSTS_HOST,
    COSTS_REQUESTS,
    COSTS_STATE,
    DEFAULT_LADDERS,
    FAILURE_CLASSES,
    GPU_ACTIONS,
    HOST_WIDE_ACTIONS,
    ROOT_CAUSE_ORDER,
    STILL_SERVING,
    destroys,
)
from autoglm_recovery.policy.own import COLLECTION, ActionProof, OwnAction, OwnClass


class Circular(ValueError):
    """Classes whose ``cause_before`` forms a circle."""

    def __init__(self, name: str, chain: str) -> None:
        super().__init__(f"these come before each other: {chain}")
        self.name = name


class Repertoire:
    """The properties of every action and class by name.  For an unknown one the worst is assumed."""

    def __init__(
        self, actions: Mapping[str, OwnAction] | None = None, classes: Mapping[str, OwnClass] | None = None
    ) -> None:
        """Raises Circular if the causes have no order."""
        self._actions = dict(actions or {})
        self._classes = dict(classes or {})
        self.actions: tuple[str, ...] = (*ACTIONS, *self._actions)
        self.classes: tuple[str, ...] = (*FAILURE_CLASSES, *self._classes)
        self.still_serving = STILL_SERVING | {name for name, own in self._classes.items() if own.serving}
        self.causes = causes_in_order(self._classes)
        self._depths = {name: depth for depth, name in enumerate(self.causes)}

    @property
    def own_actions(self) -> Mapping[str, OwnAction]:
        """Return the site's own actions."""
        return self._actions

    # Of actions

    def cost(self, action: str) -> int:
        """Return what an action costs beyond the failed service, on the scale of ``destroys``."""
        own = self._actions.get(action)
        if own is None:
            return destroys(action)
        if not own.destructive:
            return COSTS_REQUESTS
        return COSTS_HOST if own.host_wide else COSTS_STATE

    def destructive(self, action: str) -> bool:
        """Tell whether an action may cost more than the service that has failed: state, other services, capacity.

        None of these is ever done to an ``unknown`` failure, except for a ``safe_shutdown`` that the policy names.
        """
        return self.cost(action) >= COSTS_STATE

    def host_wide(self, action: str) -> bool:
        """Tell whether an action takes the whole host out, whatever the target on it is."""
        own = self._actions.get(action)
        return action in HOST_WIDE_ACTIONS if own is None else own.host_wide

    def wears_gpu(self, action: str) -> bool:
        """Tell whether an action counts as wear of the GPU that an incident names, even if it moves to another host.

        For own actions this is unknown: those that may destroy something count.
        """
        own = self._actions.get(action)
        return action in GPU_ACTIONS if own is None else own.destructive

    def playbook(self, action: str) -> str:
        """Return the playbook of an action as Ansible takes it: a collection's by its full name, or a path."""
        own = self._actions.get(action)
        return f"{COLLECTION}.{action}" if own is None else own.playbook

    def variables(self, action: str) -> Mapping[str, Any]:
        """Return the extra variables that the policy gives to an action's playbook."""
        own = self._actions.get(action)
        return {} if own is None else own.extra_vars

    def proof(self, action: str) -> ActionProof | None:
        """Return what proves an own action; None for a built-in one: its playbook and the end of the alert prove it."""
        own = self._actions.get(action)
        return None if own is None else own.proof

    # Of classes

    def ladder(self, failure_class: str) -> tuple[str, ...]:
        """Return the default ladder of a class; an empty one for an unknown class."""
        own = self._classes.get(failure_class)
        return DEFAULT_LADDERS.get(failure_class, ()) if own is None else own.ladder

    def depth(self, failure_class: str) -> int:
        """Return the place of a class among root causes, the deepest first; an unknown class is last."""
        return self._depths.get(failure_class, self._depths["unknown"])


def causes_in_order(classes: Mapping[str, OwnClass]) -> tuple[str, ...]:
    """Insert own classes among the root causes, each before the class that its ``cause_before`` names.

    Raises Circular if they name each other in a circle.
    """
    order = list(ROOT_CAUSE_ORDER)
    waiting = dict(classes)
    while waiting:
        placed = [name for name, own in waiting.items() if own.cause_before in order]
        if not placed:
            raise Circular(*_find_circle(waiting))
        for name in placed:
            order.insert(order.index(waiting.pop(name).cause_before), name)
    return tuple(order)


def _find_circle(waiting: Mapping[str, OwnClass]) -> tuple[str, str]:
    """Return the first class of a circle, and the circle in words."""
    chain = [next(iter(waiting))]
    while (following := waiting[chain[-1]].cause_before) not in chain:
        chain.append(following)
    chain = chain[chain.index(following) :]
    return chain[0], " -> ".join([*chain, chain[0]])


OURS = Repertoire()
