# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet page: pools and their members, hosts, and the windows and silences that hold actions back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import STILL_SERVING
from autoglm_recovery.knowledge.prometheus.presence import HEARD
from autoglm_recovery.policy.guardrails import Guardrails, allowed
from autoglm_recovery.receiver.console.fleet_filter import STANDS, FleetFilter, part
from autoglm_recovery.receiver.console.moments import moment
from autoglm_recovery.receiver.fleet.fleet import Fleet, InferenceService
from autoglm_recovery.receiver.fleet.presence import NOT_SET_UP, Presence, PresenceRoll
from autoglm_recovery.receiver.observe.silences import SilenceSnapshot
from autoglm_recovery.receiver.store.schema import incidents
from autoglm_recovery.receiver.store.well import WELL
from autoglm_recovery.receiver.values.model import ENDED

WIDTH = 1000
EVERYTHING = FleetFilter()

_Heard = Callable[[str, str | None], Presence]


@dataclass(frozen=True)
class _Context:
    """``heard`` says whether a host or service is heard of; ``serving`` are the classes that leave it serving."""

    heard: _Heard
    serving: Collection[str]


@dataclass(frozen=True)
class IncidentShown:
    """An unfinished incident of a pool's member or of a host."""

    id: int
    state: str
    failure_class: str


@dataclass(frozen=True)
class MemberShown:
    """A service of a host.  ``stands`` is ``in``, ``affected`` or ``out`` of service, ``silent`` or ``unknown``."""

    host: str
    service: str
    stands: str
    incidents: tuple[IncidentShown, ...]


@dataclass(frozen=True)
class PoolShown:
    """A pool, how much of it is out of service, and how much may be."""

    name: str
    members: tuple[MemberShown, ...]
    out: int
    may_be_out: int
    share: str
    full: bool
    out_width: int
    limit_x: int


@dataclass(frozen=True)
class ServiceShown:
    """A service of a host, its pool, and its standing.

    ``heard_at`` is when it was last heard of, as far as this receiver knows; ``why`` says why it is silent now.
    """

    name: str
    pool: str | None
    stands: str
    heard_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class HostShown:
    """A host and what is on it."""

    name: str
    address: str | None
    services: tuple[ServiceShown, ...]
    stands: str
    incidents: tuple[IncidentShown, ...]
    heard_at: datetime | None = None
    why: str = ""

    def fits(self, chosen: FleetFilter) -> bool:
        """Tell whether the host matches a filter."""
        text = chosen.text.lower()
        words = (self.name, self.address or "", *(service.name for service in self.services))
        return (
            (not text or any(text in word.lower() for word in words))
            and (not chosen.pool or any(service.pool == chosen.pool for service in self.services))
            and (not chosen.stands or self.stands == chosen.stands)
        )


@dataclass(frozen=True)
class WindowShown:
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
    """The contents of the page.  ``silences`` is None where the policy has no Alertmanager to ask.

    ``hosts`` is one page of the ``fitting`` hosts that match the filter, out of ``hosts_in_all``.
    """

    pools: tuple[PoolShown, ...]
    chosen: FleetFilter
    wrong: tuple[str, ...]
    hosts: tuple[HostShown, ...]
    fitting: int
    pages: int
    hosts_in_all: int
    counts: tuple[tuple[str, int], ...]
    hosts_out: int
    hosts_counted: int
    hosts_may_be_out: int
    share: str
    windows: tuple[WindowShown, ...]
    windows_defined: int
    silences: tuple[SilenceShown, ...] | None
    silences_unknown: bool
    inventory: str


def active_incidents(connection: sa.Connection) -> Sequence[Any]:
    """Return the unfinished incidents, with ``well`` where the service was found well and is being watched."""
    going_on = incidents.c.state.not_in([state.value for state in ENDED])
    query = sa.select(incidents, WELL.label("well")).where(going_on)
    return connection.execute(query.order_by(incidents.c.id)).all()


def fleet_page(  # noqa: PLR0913 - what a page shows comes from many
    fleet: Fleet,
    guardrails: Guardrails,
    rows: Sequence[Any],
    silences: SilenceSnapshot,
    *,
    now: float,
    inventory: str,
    chosen: FleetFilter = EVERYTHING,
    wrong: tuple[str, ...] = (),
    roll: PresenceRoll = NOT_SET_UP,
    serving: Collection[str] = STILL_SERVING,
) -> FleetPage:
    """Build the page; ``rows`` are the unfinished incidents, ``roll`` says which hosts and services are heard of.

    ``serving`` are the failure classes that leave a service serving.
    """
    of_host: dict[str, list[Any]] = {}
    for row in rows:
        of_host.setdefault(row.host, []).append(row)
    known = _Context(partial(roll.of, now=now), serving)
    hosts = tuple(
        sorted((_host_shown(fleet, name, of_host.get(name, []), known) for name in fleet.hosts), key=_troubled_first)
    )
    pools = (_pool_shown(name, sorted(fleet.pools[name]), of_host, guardrails, known) for name in sorted(fleet.pools))
    fitting = [host for host in hosts if host.fits(chosen)]
    shown, chosen, pages = part(fitting, chosen)
    windows = [(window, window.until(now)) for window in guardrails.maintenance_windows]
    return FleetPage(
        pools=tuple(pools),
        chosen=chosen,
        wrong=wrong,
        hosts=shown,
        fitting=len(fitting),
        pages=pages,
        hosts_in_all=len(hosts),
        counts=tuple((word, sum(host.stands == word for host in hosts)) for word in STANDS),
        hosts_out=sum(host.stands == "out" and host.name in fleet.serving for host in hosts),
        hosts_counted=len(fleet.serving),
        hosts_may_be_out=allowed(guardrails.max_fleet_unavailable, len(fleet.serving)),
        share=guardrails.max_fleet_unavailable,
        windows=tuple(
            WindowShown(w.name, _window_scope(w.hosts, w.pools, w.match), moment(end)) for w, end in windows if end
        ),
        windows_defined=len(windows),
        silences=None if guardrails.silences is None else tuple(_active_silences(silences, now)),
        silences_unknown=silences.unknown,
        inventory=inventory,
    )


def stands(rows: Iterable[Any], serving: Collection[str] = STILL_SERVING) -> str:
    """Return the standing by incidents alone: failure classes in ``serving`` leave a service serving."""
    serves = [row.well or row.failure_class in serving for row in rows]
    return "in" if not serves else "affected" if all(serves) else "out"


def standing(rows: Iterable[Any], presence: Presence, serving: Collection[str] = STILL_SERVING) -> str:
    """Return the standing: by incidents first; without any, a service must be heard of to be in service."""
    by_incidents = stands(rows, serving)
    return by_incidents if by_incidents != "in" or presence.word == HEARD else presence.word


def _pool_shown(
    name: str,
    members: Sequence[tuple[str, str]],
    of_host: Mapping[str, Sequence[Any]],
    guardrails: Guardrails,
    known: _Context,
) -> PoolShown:
    all_of_it = (_member_shown(host, service, of_host.get(host, []), known) for host, service in members)
    shown = tuple(sorted(all_of_it, key=_out_first))
    out, size = sum(member.stands == "out" for member in shown), len(shown)
    most = allowed(guardrails.max_pool_unavailable, size)
    return PoolShown(
        name=name,
        members=shown,
        out=out,
        may_be_out=most,
        share=guardrails.max_pool_unavailable,
        full=out >= most,
        out_width=WIDTH * out // size,
        limit_x=min(WIDTH, WIDTH * most // size),
    )


def _member_shown(host: str, service: str, rows: Sequence[Any], known: _Context) -> MemberShown:
    """Show a member.  An incident of a whole host counts for each of its services, as in the guardrails."""
    mine = [row for row in rows if row.service in (None, service)]
    return MemberShown(
        host, service, standing(mine, known.heard(host, service), known.serving), tuple(map(_incident_shown, mine))
    )


def _host_shown(fleet: Fleet, name: str, rows: Sequence[Any], known: _Context) -> HostShown:
    host, presence = fleet.hosts[name], known.heard(name, None)
    services = tuple(_service_shown(service, name, rows, known) for service in host.services)
    about, heard_at = tuple(map(_incident_shown, rows)), moment(presence.at)
    return HostShown(
        name, host.address, services, standing(rows, presence, known.serving), about, heard_at, presence.why
    )


def _service_shown(service: InferenceService, host: str, rows: Sequence[Any], known: _Context) -> ServiceShown:
    how, presence = _member_shown(host, service.name, rows, known).stands, known.heard(host, service.name)
    return ServiceShown(service.name, service.pool, how, moment(presence.at), presence.why)


def _incident_shown(row: Any) -> IncidentShown:
    return IncidentShown(row.id, row.state, row.failure_class)


def _out_first(member: MemberShown) -> tuple[int, str, str]:
    return STANDS.index(member.stands), member.host, member.service


def _troubled_first(host: HostShown) -> tuple[int, str]:
    return STANDS.index(host.stands), host.name


def _window_scope(hosts: Sequence[str], pools: Sequence[str], match: str | None) -> str:
    told = [f"hosts {', '.join(hosts)}" if hosts else "", f"pools {', '.join(pools)}" if pools else "", match or ""]
    return "; ".join(filter(None, told)) or "the whole fleet"


def _active_silences(silences: SilenceSnapshot, now: float) -> Iterable[SilenceShown]:
    for known in silences.known:
        silence = known.silence
        if known.starts_at <= now < silence.until:
            yield SilenceShown(silence.by, silence.comment, moment(silence.until))
