# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of refused alerts: the reason, and what would make each acceptable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.console.moments import moment
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.store.refusals import OTHERS, UNREADABLE
from autoglm_recovery.receiver.triage.absorb import judge

MOST_SHOWN = 100
# The kinds of refusals in words for people.
IN_WORDS = {
    "no_label": "no label names a host",
    "messenger_only": "only its messenger is named",
    "no_such_host": "no such host in the inventory",
    "shared_name": "a name that several hosts share",
    "contradiction": "labels contradict each other",
    "service_elsewhere": "the service is another host's",
    "not_limitable": "Ansible would read the name otherwise",
    "nothing_read": "a rule could not be evaluated",
    UNREADABLE: "it could not be read",
}


@dataclass(frozen=True)
class Kind:
    """A kind of refused alert.  ``now`` is the host that the present inventory finds for the example, if any."""

    id: int
    alert: str
    refused_as: str
    failure_class: str
    sender: str
    reason: str
    advice: str
    times: int
    first: datetime | None
    last: datetime | None
    labels: tuple[tuple[str, str], ...]
    now: str | None


@dataclass(frozen=True)
class RefusedPage:
    """The contents of the page."""

    kinds: tuple[Kind, ...]
    hosts: int


def refused_page(rows: Sequence[Any], policy: Policy, fleet: Fleet) -> RefusedPage:
    """Build the page from rows of ``store.refusals``, and check whether their examples would be accepted now."""
    return RefusedPage(tuple(_kind_shown(row, policy, fleet) for row in rows), len(fleet.hosts))


def _kind_shown(row: Any, policy: Policy, fleet: Fleet) -> Kind:
    labels = {str(name): str(value) for name, value in row.labels.items()}
    fault = judge(labels, policy, fleet) if row.refused_as != UNREADABLE and row.alert != OTHERS else None
    return Kind(
        id=row.id,
        alert=row.alert,
        refused_as=IN_WORDS.get(row.refused_as, row.refused_as),
        failure_class=row.failure_class,
        sender=row.sender,
        reason=row.reason,
        advice=row.advice,
        times=row.times,
        first=moment(row.first_at),
        last=moment(row.last_at),
        labels=tuple(sorted(labels.items())),
        now=fault.target.host if fault and fault.target else None,
    )
