# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents, alerts and orders, for programs and the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
import structlog
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from autoglm_recovery.receiver.intake.payload import PayloadError
from autoglm_recovery.receiver.operators.orders import (
    CommandRefused,
    OperatorCommand,
    PauseCommand,
    carry_out,
    pause_state,
    turn,
)
from autoglm_recovery.receiver.store import views
from autoglm_recovery.receiver.values.model import IncidentState
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web import models
from autoglm_recovery.receiver.web.body import check_json, read_body
from autoglm_recovery.receiver.web.guarded import Contract, Guarded, Handler, who
from autoglm_recovery.receiver.web.problems import problem
from autoglm_recovery.receiver.web.services import WebServices

LARGEST_COMMENT = 8 << 10

log = structlog.get_logger()

_TURNS = {
    PauseCommand.pause: "Begin no action from now on, also over restarts; runs under way go on to their end.",
    PauseCommand.resume: "Let actions be begun again.",
}


def routes(services: WebServices) -> list[Guarded]:
    """Return the API."""
    api = _ApiHandlers(services)
    page = (models.Limit, models.Before)
    read = [
        ("/api/v1/alerts", api.alerts, Contract(models.Alerts, query=(*page, models.Outcome))),
        ("/api/v1/rejects", api.rejects, Contract(models.Rejects, query=page)),
        (
            "/api/v1/incidents",
            api.incidents,
            Contract(models.Incidents, query=(*page, models.State, models.About)),
        ),
        ("/api/v1/incidents/{id:int}", api.incident, Contract(models.IncidentInFull, fails=(404,))),
        *(
            (f"/api/v1/incidents/{{id:int}}/{part}", api.part(part), Contract(shape, query=page, fails=(404,)))
            for part, shape in models.Parts.items()
        ),
    ]
    about_incident = "/api/v1/incidents/{id:int}/{order}"
    order = Contract(models.IncidentInFull, takes=models.Comment, takes_required=False, fails=(404, 409, 413, 415))
    turned = Contract(models.Switch, takes=models.Comment, takes_required=False, fails=(413, 415))
    listed = Contract(models.Audit, query=page)
    return [
        *(
            Guarded(path, handler, methods=["GET"], need=Need.read, contract=contract)
            for path, handler, contract in read
        ),
        Guarded(about_incident, api.order_about_incident, methods=["POST"], need=Need.order, contract=order),
        Guarded("/api/v1/pause", api.pause_state, methods=["GET"], need=Need.read, contract=Contract(models.Switch)),
        *(
            Guarded(f"/api/v1/{name}", api.turn(PauseCommand(name)), methods=["POST"], need=Need.order, contract=turned)
            for name in PauseCommand
        ),
        Guarded("/api/v1/audit", api.audit, methods=["GET"], need=Need.order, contract=listed),
    ]


class _ApiHandlers:
    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def alerts(self, request: Request) -> Response:
        """List alerts and what became of each."""
        outcome = request.query_params.get("outcome")
        return await self._answer_list(
            "alerts", lambda c: views.list_alerts(c, outcome, _read_limit(request), _read_before(request))
        )

    async def rejects(self, request: Request) -> Response:
        """List what could not be read."""
        return await self._answer_list(
            "rejects", lambda c: views.list_rejects(c, _read_limit(request), _read_before(request))
        )

    async def incidents(self, request: Request) -> Response:
        """List incidents."""
        state = request.query_params.get("state")
        if state is not None and state not in set(IncidentState):
            return problem(400, f"state must be one of {', '.join(IncidentState)}")
        about = {name: request.query_params.get(name) for name in models.About.model_fields}
        classes = self._services.config().policy.repertoire.classes
        if about["failure_class"] is not None and about["failure_class"] not in classes:
            return problem(400, f"failure_class must be one of {', '.join(classes)}")
        if "\x00" in (about["host"] or ""):
            return problem(400, "host holds a NUL character")
        before = _read_before(request)
        return await self._answer_list(
            "incidents", lambda c: views.list_incidents(c, state, _read_limit(request), **about, before=before)
        )

    async def incident(self, request: Request) -> Response:
        """Show one incident with its alerts, runs and timeline."""
        found = await self._services.ask(lambda c: views.show_incident(c, _incident_number(request)))
        return problem(404, "there is no such incident") if found is None else JSONResponse(found)

    def part(self, part: str) -> Handler:
        """Return the handler that lists what belongs to an incident, the newest first."""

        async def listing(request: Request) -> Response:
            most, before = _read_limit(request), _read_before(request)
            found = await self._services.ask(
                lambda c: views.list_part(c, part, _incident_number(request), most, before)
            )
            return problem(404, "there is no such incident") if found is None else JSONResponse({part: found})

        listing.__name__, listing.__doc__ = f"{part}_of_incident", f"List the {part} of one incident, newest first."
        return listing

    async def order_about_incident(self, request: Request) -> Response:
        """Carry out a person's order."""
        name = request.path_params["order"]
        if name not in set(OperatorCommand):
            return problem(404, f"there is no order {name[:40]!r}; known: {', '.join(OperatorCommand)}")
        try:
            comment = await _read_comment(request)
        except PayloadError as error:
            return problem(error.status, str(error))
        try:
            await run_in_threadpool(
                carry_out,
                self._services.database,
                _incident_number(request),
                OperatorCommand(name),
                who(request),
                comment,
            )
        except KeyError:
            return problem(404, "there is no such incident")
        except CommandRefused as error:
            return problem(409, str(error))
        self._services.wake()
        return await self.incident(request)

    async def pause_state(self, _request: Request) -> Response:
        """Say whether all actions are paused, and by whom."""
        return JSONResponse(await self._services.ask(pause_state))

    def turn(self, order: PauseCommand) -> Handler:
        """Return the handler of an order about the whole fleet."""

        async def turning(request: Request) -> Response:
            try:
                comment = await _read_comment(request)
            except PayloadError as error:
                return problem(error.status, str(error))
            state = await run_in_threadpool(turn, self._services.database, order, who(request), comment)
            log.warning(f"actions: {order}", by=str(who(request)), reason=comment)
            self._services.wake()
            return JSONResponse(state)

        # By these the OpenAPI document tells the two apart.
        turning.__name__, turning.__doc__ = f"{order}_actions", _TURNS[order]
        return turning

    async def audit(self, request: Request) -> Response:
        """List who ordered what, and who tried."""
        return await self._answer_list(
            "audit", lambda c: views.list_audit(c, _read_limit(request), _read_before(request))
        )

    async def _answer_list(self, name: str, query: Callable[[sa.Connection], list[dict[str, Any]]]) -> Response:
        return JSONResponse({name: await self._services.ask(query)})


async def _read_comment(request: Request) -> str:
    """Return a person's own words about an order; a body is not needed."""
    body = await read_body(request, LARGEST_COMMENT)
    if not body:
        return ""
    check_json(request)
    try:
        return models.Comment.model_validate_json(body).comment
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise PayloadError(f'{where}: {first["msg"]}; write {{"comment": "why"}}') from error


def _read_limit(request: Request) -> int:
    value = request.query_params.get("limit", "100")
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= models.MOST_LISTED):
        raise HTTPException(400, f"limit must be a number from 1 to {models.MOST_LISTED}")
    return int(value)


def _read_before(request: Request) -> int | None:
    value = request.query_params.get("before")
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 19 and 1 <= int(value) < 2**63):
        raise HTTPException(400, "before must be the number of one that was listed")
    return int(value)


def _incident_number(request: Request) -> int:
    number = int(request.path_params["id"])
    if number >= 2**63:
        raise HTTPException(404, "there is no such incident")
    return number
