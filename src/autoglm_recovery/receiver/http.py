# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's HTTP interface."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from autoglm_recovery.receiver import views
from autoglm_recovery.receiver.auth import allowed
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import IncidentState
from autoglm_recovery.receiver.orders import Order, OrderRefused, carry_out, pause, pause_state, resume
from autoglm_recovery.receiver.payload import PayloadError, parse_webhook
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.intake import Delivery, Intake, Overloaded, Receipt

T = TypeVar("T")

log = structlog.get_logger()

COMMIT_TIMEOUT_S = 20
RETRY_AFTER_S = 5
MOST_LISTED = 1000

# Below this a storm of alerts or the artifacts of one run may find the disk full.
LEAST_FREE_BYTES = 8 << 20


@dataclass(frozen=True)
class Parts:
    """What the interface stands on."""

    database: Database
    intake: Intake
    metrics: Metrics
    tokens: Sequence[str]
    largest_body: int
    state_dir: Path
    wake: Callable[[], None]
    well: Callable[[], bool]


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with a problem document (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, "application/problem+json")


def retry_later(detail: str) -> Response:
    """Answer that the same request may succeed later.  Alertmanager retries on 5xx only."""
    return problem(503, detail, {"Retry-After": str(RETRY_AFTER_S)})


class Interface:
    """The routes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._database = parts.database

    def app(self) -> Starlette:
        """Return the application."""
        guarded = self._guarded
        app = Starlette(
            routes=[
                Route("/api/v1/alerts", guarded(self.alerts_in), methods=["POST"]),
                Route("/api/v1/alerts", guarded(self.alerts), methods=["GET"]),
                Route("/api/v1/rejects", guarded(self.rejects), methods=["GET"]),
                Route("/api/v1/incidents", guarded(self.incidents), methods=["GET"]),
                Route("/api/v1/incidents/{id:int}", guarded(self.incident), methods=["GET"]),
                Route("/api/v1/incidents/{id:int}/{order}", guarded(self.order), methods=["POST"]),
                Route("/api/v1/pause", guarded(self.pause_state), methods=["GET"]),
                Route("/api/v1/pause", guarded(self.pause), methods=["POST"]),
                Route("/api/v1/resume", guarded(self.resume), methods=["POST"]),
                Route("/healthz", self.healthz, methods=["GET"]),
                Route("/readyz", self.readyz, methods=["GET"]),
                Route("/metrics", self.metrics, methods=["GET"]),
            ],
            exception_handlers={HTTPException: _http_problem, Exception: _our_fault},
        )
        # A redirect would go to whatever host the request names.
        app.router.redirect_slashes = False
        return app

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guard(request: Request) -> Response:
            if not allowed(request.headers.get("authorization"), self._parts.tokens):
                return problem(401, "a bearer token is required", {"WWW-Authenticate": "Bearer"})
            return await handler(request)

        return guard

    async def alerts_in(self, request: Request) -> Response:
        """Take a webhook: read, commit, and only then answer 200."""
        try:
            response = await self._take(request)
        except PayloadError as error:
            response = problem(error.status, str(error))
        self._parts.metrics.request(response.status_code)
        return response

    async def _take(self, request: Request) -> Response:
        body = await _body(request, self._parts.largest_body)
        webhook = parse_webhook(body)
        delivery = Delivery(webhook.group_key, webhook.alerts, webhook.rejected)
        try:
            receipt = await asyncio.wait_for(asyncio.wrap_future(self._parts.intake.submit(delivery)), COMMIT_TIMEOUT_S)
        except (Overloaded, TimeoutError) as error:
            return retry_later(str(error) or "the alerts could not be written in time")
        except sa.exc.SQLAlchemyError as error:
            return retry_later(f"the alerts could not be written: {type(error).__name__}")
        self._parts.metrics.delivery(receipt.duplicates, receipt.rejected, webhook.truncated)
        if webhook.truncated:
            log.warning("alertmanager left out alerts; set max_alerts: 0", left_out=webhook.truncated)
        if webhook.rejected and not webhook.alerts:
            reasons = "; ".join(rejected.reason for rejected in webhook.rejected[:5])
            return problem(422, f"no alert of {len(webhook.rejected)} could be read, all were set aside: {reasons}")
        return JSONResponse(_answer(receipt, webhook.truncated))

    async def alerts(self, request: Request) -> Response:
        """List alerts and what became of each."""
        outcome = request.query_params.get("outcome")
        return await self._read("alerts", lambda c: views.list_alerts(c, outcome, _limit(request)))

    async def rejects(self, request: Request) -> Response:
        """List what could not be read."""
        return await self._read("rejects", lambda c: views.list_rejects(c, _limit(request)))

    async def incidents(self, request: Request) -> Response:
        """List incidents."""
        state = request.query_params.get("state")
        if state is not None and state not in set(IncidentState):
            return problem(400, f"state must be one of {', '.join(IncidentState)}")
        return await self._read("incidents", lambda c: views.list_incidents(c, state, _limit(request)))

    async def incident(self, request: Request) -> Response:
        """Show one incident with its alerts, runs and timeline."""
        found = await self._ask(lambda c: views.show_incident(c, _number(request)))
        return problem(404, "there is no such incident") if found is None else JSONResponse(found)

    async def order(self, request: Request) -> Response:
        """Carry out a person's order."""
        name = request.path_params["order"]
        if name not in set(Order):
            return problem(404, f"there is no order {name[:40]!r}; known: {', '.join(Order)}")
        who = f"API client {request.client.host if request.client else 'unknown'}"
        try:
            await run_in_threadpool(carry_out, self._database, _number(request), Order(name), who)
        except KeyError:
            return problem(404, "there is no such incident")
        except OrderRefused as error:
            return problem(409, str(error))
        self._parts.wake()
        return await self.incident(request)

    async def pause_state(self, _request: Request) -> Response:
        """Say whether all actions are paused, and by whom."""
        return JSONResponse(await self._ask(pause_state))

    async def pause(self, request: Request) -> Response:
        """Stop all actions on the fleet."""
        return await self._turn(request, pause, "paused")

    async def resume(self, request: Request) -> Response:
        """Let actions go on."""
        return await self._turn(request, resume, "resumed")

    async def _turn(self, request: Request, turn: Callable[[Database, str, str], None], said: str) -> Response:
        who = f"API client {request.client.host if request.client else 'unknown'}"
        reason = request.query_params.get("reason", "")[:500]
        await run_in_threadpool(turn, self._database, who, reason)
        log.warning(f"all actions {said}", by=who, reason=reason)
        self._parts.wake()
        return await self.pause_state(request)

    async def healthz(self, _request: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Say whether alerts can be stored and acted on."""
        try:
            await self._ask(lambda c: c.exec_driver_sql("SELECT 1").scalar())
        except sa.exc.SQLAlchemyError as error:
            return retry_later(f"the database does not answer: {type(error).__name__}")
        free = shutil.disk_usage(self._parts.state_dir).free
        if free < LEAST_FREE_BYTES:
            return retry_later(f"only {free} bytes are free in the state directory")
        if not await run_in_threadpool(self._parts.intake.can_store):
            return retry_later("the last alerts could not be written, and still nothing can be")
        return PlainTextResponse("ready\n") if self._parts.well() else retry_later("the loop that acts does not turn")

    async def metrics(self, _request: Request) -> Response:
        """Say everything to Prometheus."""
        text = await run_in_threadpool(generate_latest, self._parts.metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def _read(self, name: str, query: Callable[[sa.Connection], list[dict[str, Any]]]) -> Response:
        return JSONResponse({name: await self._ask(query)})

    async def _ask(self, query: Callable[[sa.Connection], T]) -> T:
        def ask() -> T:
            with self._database.reading() as connection:
                return query(connection)

        return await run_in_threadpool(ask)


async def _body(request: Request, largest: int) -> bytes:
    """Read the body, but never more than allowed.

    A page in a browser can make it POST anything to this machine, but JSON only after asking; hence the media type.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise PayloadError(f"Content-Type must be application/json, not {media_type[:80]!r}", 415)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > largest:
                raise PayloadError(f"the body is larger than {largest} bytes; set max_alerts in Alertmanager", 413)
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise PayloadError("the sender went away before the end of the body") from error
    return b"".join(chunks)


def _answer(receipt: Receipt, truncated: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "committed": receipt.new,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
    }
    if truncated:
        answer["warning"] = f"Alertmanager left out {truncated} alerts; set max_alerts: 0 in its webhook_configs"
    return answer


def _limit(request: Request) -> int:
    value = request.query_params.get("limit", "100")
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= MOST_LISTED):
        raise HTTPException(400, f"limit must be a number from 1 to {MOST_LISTED}")
    return int(value)


def _number(request: Request) -> int:
    number = int(request.path_params["id"])
    if number >= 2**63:
        raise HTTPException(404, "there is no such incident")
    return number


async def _http_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return problem(error.status_code, error.detail, dict(error.headers or {}))


async def _our_fault(_request: Request, error: Exception) -> Response:
    # A fault of ours may pass: 503 makes Alertmanager try again, so that the alert is not lost.
    return retry_later(f"the receiver failed: {type(error).__name__}")
