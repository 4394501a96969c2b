# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``GET /api/v1/fleet``: the standing of each host and service, and when it was last heard of."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from autoglm_recovery.receiver.console import fleet as shown
from autoglm_recovery.receiver.fleet.fleet import Host
from autoglm_recovery.receiver.fleet.presence import Presence, PresenceRoll
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.guarded import Contract, Guarded
from autoglm_recovery.receiver.web.services import WebServices


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _ServiceStanding(_StrictModel):
    """``stands`` combines incidents and Prometheus; a service that is not heard of is never ``in`` service.

    ``heard_at`` is when it was last heard of, as far as this receiver knows, ``age_seconds`` how long ago that is.
    """

    stands: Literal["in", "affected", "out", "silent", "unknown"]
    presence: Literal["heard", "silent", "unknown"]
    heard_at: datetime | None
    age_seconds: float | None
    why: str
    incidents: list[int]


class FleetService(_ServiceStanding):
    """A service of a host."""

    service: str
    pool: str | None


class FleetHost(_ServiceStanding):
    """A host of the inventory."""

    host: str
    services: list[FleetService]


class FleetShown(_StrictModel):
    """All hosts of the inventory."""

    hosts: list[FleetHost]


def routes(services: WebServices) -> list[Guarded]:
    """Return the fleet for programs."""

    async def fleet(_request: Request) -> Response:
        """List hosts and services, how each stands, and when it was last heard of."""
        config, roll, now = services.config(), services.presence(), time.time()
        rows = await services.ask(shown.active_incidents)
        of_host: dict[str, list[Any]] = {}
        for row in rows:
            of_host.setdefault(row.host, []).append(row)
        serving = config.policy.repertoire.still_serving
        every = sorted(config.fleet.hosts.items())
        hosts = [_host_document(host, of_host.get(name, []), roll, now, serving) for name, host in every]
        return JSONResponse({"hosts": hosts})

    contract = Contract(FleetShown)
    return [Guarded("/api/v1/fleet", fleet, methods=["GET"], need=Need.read, contract=contract)]


def _host_document(
    host: Host, rows: list[Any], roll: PresenceRoll, now: float, serving: Collection[str]
) -> dict[str, Any]:
    services = [
        {
            "service": service.name,
            "pool": service.pool,
            **_standing_fields(
                [row for row in rows if row.service in (None, service.name)],
                _presence_of(roll, host, service.name, now),
                now,
                serving,
            ),
        }
        for service in host.services
    ]
    return {
        "host": host.name,
        **_standing_fields(rows, _presence_of(roll, host, None, now), now, serving),
        "services": services,
    }


def _presence_of(roll: PresenceRoll, host: Host, service: str | None, now: float) -> Presence:
    return roll.of(host.name, service, now)


def _standing_fields(rows: list[Any], presence: Presence, now: float, serving: Collection[str]) -> dict[str, Any]:
    heard_at = None if presence.at is None else datetime.fromtimestamp(presence.at, UTC).isoformat()
    return {
        "stands": shown.standing(rows, presence, serving),
        "presence": presence.word,
        "heard_at": heard_at,
        "age_seconds": None if presence.at is None else round(max(0.0, now - presence.at), 1),
        "why": presence.why,
        "incidents": [row.id for row in rows],
    }
