# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders by forms: first a page that says what the order would do, then the order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlencode

import sqlalchemy as sa
import structlog
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from autoglm_recovery.receiver.console.desk import PageRenderer, number
from autoglm_recovery.receiver.console.listing import where
from autoglm_recovery.receiver.console.words import WHAT_ORDERS_DO, WHAT_TURNS_DO
from autoglm_recovery.receiver.operators.orders import (
    CommandRefused,
    OperatorCommand,
    PauseCommand,
    carry_out,
    possible,
    turn,
)
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.values.model import IncidentState
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web import models
from autoglm_recovery.receiver.web.guarded import Guarded, form, who

log = structlog.get_logger()


@dataclass(frozen=True)
class Confirmation:
    """A page that asks an operator to confirm an order.

    ``seen`` is a digest of what the operator was shown: an order is refused if the incident has changed since.
    """

    order: str
    title: str
    does: str
    facts: tuple[tuple[str, str], ...]
    possible: bool
    wrong: str | None
    comment: str
    seen: str
    send_to: str
    back: str


def routes(desk: PageRenderer) -> list[Guarded]:
    """Return the routes of the order forms."""
    orders = _OrderForms(desk)
    return [
        Guarded("/incidents/{id:int}/confirm", orders.confirm, methods=["GET"], need=Need.order),
        Guarded("/incidents/{id:int}/order", orders.carry_out, methods=["POST"], need=Need.order),
        Guarded("/switch", orders.confirm_turn, methods=["GET"], need=Need.order),
        Guarded("/switch", orders.turn, methods=["POST"], need=Need.order),
    ]


def seen(row: sa.Row[tuple[object, ...]]) -> str:
    """Return a digest of what an operator is shown of an incident before an order."""
    told = repr((row.id, row.state, row.reason, row.failure_class))
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:16]


class _OrderForms:
    def __init__(self, desk: PageRenderer) -> None:
        self._desk = desk
        self._services = desk.services

    async def confirm(self, request: Request) -> Response:
        """Ask the operator to confirm an order about an incident."""
        asked = request.query_params
        return await self._show_confirmation(request, asked.get("order", ""), asked.get("comment", ""))

    async def carry_out(self, request: Request) -> Response:
        """Carry out an order about an incident."""
        fields, which = form(request), number(request)
        name, comment = fields.get("order", ""), fields.get("comment", "").strip()
        if name not in set(OperatorCommand):
            return await self._desk.missing(request)
        wrong = comment_wrong(comment) or await self._why_outdated(which, fields.get("seen", ""))
        if wrong is None:
            try:
                await run_in_threadpool(
                    carry_out, self._services.database, which, OperatorCommand(name), who(request), comment
                )
            except KeyError:
                return await self._desk.missing(request)
            except CommandRefused as error:
                wrong = str(error)
        if wrong is not None:
            return await self._show_confirmation(request, name, comment, wrong)
        self._services.wake()
        return RedirectResponse(f"/incidents/{which}?{urlencode({'done': name})}", 303)

    async def _why_outdated(self, which: int, mark: str) -> str | None:
        row = await self._services.ask(lambda c: store.incident(c, which))
        if row is None or mark == seen(row):
            return None
        return "the incident has changed since you were asked; look at what holds now"

    async def _show_confirmation(self, request: Request, name: str, comment: str, wrong: str | None = None) -> Response:
        which = number(request)
        if name not in set(OperatorCommand):
            return await self._desk.missing(request)

        def ask(connection: sa.Connection) -> Confirmation | None:
            row = store.incident(connection, which)
            return None if row is None else confirmation(row, OperatorCommand(name), comment, wrong)

        return await self._desk.show(request, "confirm.html", ask, status=409 if wrong else 200)

    async def confirm_turn(self, request: Request) -> Response:
        """Ask the operator to confirm that all actions are paused or resumed."""
        asked = request.query_params
        return await self._show_pause_confirmation(request, asked.get("order", ""), asked.get("comment", ""))

    async def turn(self, request: Request) -> Response:
        """Pause or resume all actions."""
        fields = form(request)
        name, comment = fields.get("order", ""), fields.get("comment", "").strip()
        wrong = comment_wrong(comment)
        if name not in set(PauseCommand) or wrong:
            return await self._show_pause_confirmation(request, name, comment, wrong)
        await run_in_threadpool(turn, self._services.database, PauseCommand(name), who(request), comment)
        log.warning(f"actions: {name}", by=str(who(request)), reason=comment)
        self._services.wake()
        return RedirectResponse("/", 303)

    async def _show_pause_confirmation(
        self, request: Request, name: str, comment: str, wrong: str | None = None
    ) -> Response:
        if name not in set(PauseCommand):
            return await self._desk.missing(request)
        shown = turn_confirmation(PauseCommand(name), comment, wrong)
        return await self._desk.show(request, "confirm.html", lambda _: shown, status=409 if wrong else 200)


def comment_wrong(comment: str) -> str | None:
    """Return what is wrong with a comment, as the API would."""
    try:
        models.Comment(comment=comment)
    except ValidationError as error:
        return f"comment: {error.errors(include_url=False, include_input=False)[0]['msg']}"
    return None


def confirmation(
    row: sa.Row[tuple[object, ...]], order: OperatorCommand, comment: str, wrong: str | None
) -> Confirmation:
    """Return the page that asks an operator to confirm an order about an incident."""
    allowed = possible(IncidentState(row.state))
    if order not in allowed and wrong is None:
        wrong = f"incident {row.id} is {row.state}, which allows {', '.join(allowed) or 'no order'}"
    return Confirmation(
        order=order.value,
        title=f"{order.value.capitalize()} incident {row.id}?",
        does=WHAT_ORDERS_DO[order],
        facts=(
            ("About", f"{row.failure_class} of {where(row.host, row.service, row.gpu)}"),
            ("It is", f"{row.state}: {row.reason}"),
        ),
        possible=order in allowed,
        wrong=wrong,
        comment=comment,
        seen=seen(row),
        send_to=f"/incidents/{row.id}/order",
        back=f"/incidents/{row.id}",
    )


def turn_confirmation(order: PauseCommand, comment: str, wrong: str | None) -> Confirmation:
    """Return the page that asks an operator to confirm that all actions are paused or resumed."""
    return Confirmation(
        order=order.value,
        title=f"{order.value.capitalize()} all actions?",
        does=WHAT_TURNS_DO[order],
        facts=(),
        possible=True,
        wrong=wrong,
        comment=comment,
        seen="",
        send_to="/switch",
        back="/",
    )
