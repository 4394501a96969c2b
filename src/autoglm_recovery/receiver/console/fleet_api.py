# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``GET /api/v1/fleet``: each host and service, how it stands, and when it was last heard of."""

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
from autoglm_recovery.receiver.web.parts import WebServices


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _ServiceStanding(_Shape):
    """``stands`` is what incidents and Prometheus come to; nothing is ``in`` service that is not heard of.

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


class FleetShown(_Shape):
    """All hosts of the inventory."""

    hosts: list[FleetHost]


def routes(parts: WebServices) -> list[Guarded]:
    """Return the fleet for programs."""

    async def fleet(_request: Request) -> Response:
        """List hosts and services, how each stands, and when it was last heard of."""
        config, roll, now = parts.config(), parts.presence(), time.time()
        rows = await parts.ask(shown.active)
        of_host: dict[str, list[Any]] = {}
        for row in rows:
            of_host.setdefault(row.host, []).append(row)
        serving = config.policy.repertoire.still_serving
        every = sorted(config.fleet.hosts.items())
        hosts = [_host(host, of_host.get(name, []), roll, now, serving) for name, host in every]
        return JSONResponse({"hosts": hosts})

    contract = Contract(FleetShown)
    return [Guarded("/api/v1/fleet", fleet, methods=["GET"], need=Need.read, contract=contract)]


def _host(host: Host, rows: list[Any], roll: PresenceRoll, now: float, serving: Collection[str]) -> dict[str, Any]:
    services = [
        {
            "service": service.name,
            "pool": service.pool,
            **_standing(
                [row for row in rows if row.service in (None, service.name)],
                _of(roll, host, service.name, now),
                now,
                serving,
            ),
        }
        for service in host.services
    ]
    return {"host": host.name, **_standing(rows, _of(roll, host, None, now), now, serving), "services": services}


def _of(roll: PresenceRoll, host: Host, service: str | None, now: float) -> Presence:
    return roll.of(host.name, service, now)


def _standing(rows: list[Any], presence: Presence, now: float, serving: Collection[str]) -> dict[str, Any]:
    heard_at = None if presence.at is None else datetime.fromtimestamp(presence.at, UTC).isoformat()
    return {
        "stands": shown.standing(rows, presence, serving),
        "presence": presence.word,
        "heard_at": heard_at,
        "age_seconds": None if presence.at is None else round(max(0.0, now - presence.at), 1),
        "why": presence.why,
        "incidents": [row.id for row in rows],
    }
