# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet: pools and their members, hosts, and what is in force that keeps actions back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import STILL_SERVING
from autoglm_recovery.policy.guardrails import Guardrails, allowed
from autoglm_recovery.receiver.console.moments import moment
from autoglm_recovery.receiver.fleet import Fleet
from autoglm_recovery.receiver.model import ENDED
from autoglm_recovery.receiver.silences import Silences
from autoglm_recovery.receiver.store.schema import incidents

WIDTH = 1000


@dataclass(frozen=True)
class About:
    """An incident that a member of a pool or a host has."""

    id: int
    state: str
    failure_class: str


@dataclass(frozen=True)
class Member:
    """A service of a host.  C(stands) is C(in), C(affected) or C(out) of service."""

    host: str
    service: str
    stands: str
    incidents: tuple[About, ...]


@dataclass(frozen=True)
class Pool:
    """A pool, how much of it is out of service, and how much may be."""

    name: str
    members: tuple[Member, ...]
    out: int
    may_be_out: int
    share: str
    full: bool
    out_width: int
    limit_x: int


@dataclass(frozen=True)
class HostShown:
    """A host and what is on it."""

    name: str
    address: str | None
    services: tuple[tuple[str, str | None], ...]
    stands: str
    incidents: tuple[About, ...]


@dataclass(frozen=True)
class Window:
    """A maintenance window that is in force."""

    name: str
    about: str
    until: datetime | None


@dataclass(frozen=True)
class SilenceShown:
    """A silence of Alertmanager that is in force."""

    by: str
    comment: str
    until: datetime | None


@dataclass(frozen=True)
class FleetPage:
    """What the page shows.  C(silences) is None where the policy asks for none."""

    pools: tuple[Pool, ...]
    hosts: tuple[HostShown, ...]
    hosts_out: int
    hosts_may_be_out: int
    share: str
    windows: tuple[Window, ...]
    windows_defined: int
    silences: tuple[SilenceShown, ...] | None
    silences_unknown: bool
    inventory: str


def active(connection: sa.Connection) -> Sequence[Any]:
    """Return the incidents that are going on."""
    going_on = incidents.c.state.not_in([state.value for state in ENDED])
    return connection.execute(sa.select(incidents).where(going_on).order_by(incidents.c.id)).all()


def fleet_page(
    fleet: Fleet, guardrails: Guardrails, rows: Sequence[Any], silences: Silences, *, now: float, inventory: str
) -> FleetPage:
    """Return what the page shows; C(rows) are the incidents that are going on."""
    of_host: dict[str, list[Any]] = {}
    for row in rows:
        of_host.setdefault(row.host, []).append(row)
    hosts = tuple(sorted((_host(fleet, name, of_host.get(name, [])) for name in fleet.hosts), key=_troubled_first))
    pools = (_pool(name, sorted(fleet.pools[name]), of_host, guardrails) for name in sorted(fleet.pools))
    windows = [(window, window.until(now)) for window in guardrails.maintenance_windows]
    return FleetPage(
        pools=tuple(pools),
        hosts=hosts,
        hosts_out=sum(host.stands == "out" for host in hosts),
        hosts_may_be_out=allowed(guardrails.max_fleet_unavailable, len(hosts)),
        share=guardrails.max_fleet_unavailable,
        windows=tuple(Window(w.name, _about(w.hosts, w.pools, w.match), moment(end)) for w, end in windows if end),
        windows_defined=len(windows),
        silences=None if guardrails.silences is None else tuple(_silences(silences, now)),
        silences_unknown=silences.unknown,
        inventory=inventory,
    )


def stands(rows: Iterable[Any]) -> str:
    """Say what incidents make of what they are about: some failures leave it serving, if badly."""
    classes = {row.failure_class for row in rows}
    return "out" if classes - STILL_SERVING else "affected" if classes else "in"


def _pool(
    name: str, members: Sequence[tuple[str, str]], of_host: Mapping[str, Sequence[Any]], guardrails: Guardrails
) -> Pool:
    shown = tuple(sorted((_member(host, service, of_host.get(host, [])) for host, service in members), key=_out_first))
    out, size = sum(member.stands == "out" for member in shown), len(shown)
    most = allowed(guardrails.max_pool_unavailable, size)
    return Pool(
        name=name,
        members=shown,
        out=out,
        may_be_out=most,
        share=guardrails.max_pool_unavailable,
        full=out >= most,
        out_width=WIDTH * out // size,
        limit_x=min(WIDTH, WIDTH * most // size),
    )


def _member(host: str, service: str, rows: Sequence[Any]) -> Member:
    """What is about a whole host is about all that it has, as the guardrails count it."""
    mine = [row for row in rows if row.service in (None, service)]
    return Member(host, service, stands(mine), tuple(map(_incident, mine)))


def _host(fleet: Fleet, name: str, rows: Sequence[Any]) -> HostShown:
    host = fleet.hosts[name]
    services = tuple((service.name, service.pool) for service in host.services)
    return HostShown(name, host.address, services, stands(rows), tuple(map(_incident, rows)))


def _incident(row: Any) -> About:
    return About(row.id, row.state, row.failure_class)


_ORDER = ("out", "affected", "in")


def _out_first(member: Member) -> tuple[int, str, str]:
    return _ORDER.index(member.stands), member.host, member.service


def _troubled_first(host: HostShown) -> tuple[int, str]:
    return _ORDER.index(host.stands), host.name


def _about(hosts: Sequence[str], pools: Sequence[str], match: str | None) -> str:
    told = [f"hosts {', '.join(hosts)}" if hosts else "", f"pools {', '.join(pools)}" if pools else "", match or ""]
    return "; ".join(filter(None, told)) or "the whole fleet"


def _silences(silences: Silences, now: float) -> Iterable[SilenceShown]:
    for known in silences.known:
        silence = known.silence
        if known.starts_at <= now < silence.until:
            yield SilenceShown(silence.by, silence.comment, moment(silence.until))
