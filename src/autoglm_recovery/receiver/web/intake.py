# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``POST /api/v1/alerts``: read, commit, and only then answer 200."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any

import sqlalchemy as sa
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from autoglm_recovery.receiver.intake.commit import Delivery, DeliveryReceipt, Overloaded
from autoglm_recovery.receiver.intake.payload import PayloadError, WebhookPayload, parse_webhook, sender_of
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.values.watchdog import is_watchdog
from autoglm_recovery.receiver.web import models
from autoglm_recovery.receiver.web.body import check_json, read_json_body
from autoglm_recovery.receiver.web.guarded import Contract, Guarded, who
from autoglm_recovery.receiver.web.problems import problem, retry_later
from autoglm_recovery.receiver.web.services import WebServices
from autoglm_recovery.receiver.web.shares import FairSlots

COMMIT_TIMEOUT_S = 20
# To hand a body to a thread costs more than to read one of this size.
READ_AT_ONCE = 16 << 10
# What is read and written at the same time, of all senders and of one.  A large one is in memory from its first byte
# until it is on disk; the small ones of one sender are all read on the event loop, and may all be in one commit.
MOST_LARGE, MOST_LARGE_OF_ONE_SENDER = 16, 4
MOST_SMALL, MOST_SMALL_OF_ONE_SENDER = 512, 128
PLACE_WITHIN_S = 10

log = structlog.get_logger()


def routes(services: WebServices) -> list[Guarded]:
    """Return the way in for alerts."""
    contract = Contract(models.Receipt, takes=models.Webhook, fails=(413, 415, 422))
    return [
        Guarded(
            "/api/v1/alerts", _WebhookHandler(services).post_alerts, methods=["POST"], need=Need.send, contract=contract
        )
    ]


class _WebhookHandler:
    def __init__(self, services: WebServices) -> None:
        self._services = services
        # One at a time: two would only take turns at the interpreter.
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="payload")
        self._large = FairSlots(MOST_LARGE, MOST_LARGE_OF_ONE_SENDER)
        self._small = FairSlots(MOST_SMALL, MOST_SMALL_OF_ONE_SENDER)

    async def post_alerts(self, request: Request) -> Response:
        """Take a webhook of Alertmanager."""
        try:
            response = await self._take_in_turn(request)
        except Overloaded as error:
            response = retry_later(str(error))
        except PayloadError as error:
            hint = "; set max_alerts in Alertmanager" if error.status == 413 else ""
            response = problem(error.status, f"{error}{hint}")
        self._services.metrics.request(response.status_code)
        return response

    async def _take_in_turn(self, request: Request) -> Response:
        check_json(request)
        shares = self._small if 0 <= _declared_length(request) <= READ_AT_ONCE else self._large
        # Before any of it is read: what waits takes no memory.
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(shares.place(who(request).name, PLACE_WITHIN_S))
            except TimeoutError as error:
                raise Overloaded("many payloads of this sender, or of all, are being read") from error
            return await self._take_in(request)

    async def _take_in(self, request: Request) -> Response:
        webhook = await self._parse(await read_json_body(request, self._services.largest_body))
        sender = sender_of(webhook.external_url, request.client.host if request.client else "")
        delivery = Delivery(webhook.group_key, webhook.alerts, webhook.rejected, sender)
        try:
            receipt = await asyncio.wait_for(
                asyncio.wrap_future(self._services.intake.submit(delivery)), COMMIT_TIMEOUT_S
            )
        except (Overloaded, TimeoutError) as error:
            return retry_later(str(error) or "the alerts could not be written in time")
        except sa.exc.SQLAlchemyError as error:
            return retry_later(f"the alerts could not be written: {type(error).__name__}")
        if any(alert.status == "firing" and is_watchdog(alert.labels) for alert in webhook.alerts):
            self._services.metrics.watchdog(receipt.committed_at)
        self._services.metrics.delivery(receipt.duplicates, receipt.rejected, webhook.truncated)
        if webhook.truncated:
            log.warning("alertmanager left out alerts; set max_alerts: 0", left_out=webhook.truncated)
        if webhook.rejected and not webhook.alerts:
            reasons = "; ".join(rejected.reason for rejected in webhook.rejected[:5])
            return problem(422, f"no alert of {len(webhook.rejected)} could be read, all were set aside: {reasons}")
        return JSONResponse(_receipt_document(receipt, webhook.truncated))

    async def _parse(self, body: bytes) -> WebhookPayload:
        """Read a body; a large one in a thread, so that other senders are answered meanwhile."""
        if len(body) <= READ_AT_ONCE:
            return parse_webhook(body)
        return await asyncio.get_running_loop().run_in_executor(self._readers, parse_webhook, body)


def _declared_length(request: Request) -> int:
    """Return what is said of a body's length, as h11 has read it; -1 where nothing is, and it comes in chunks."""
    return -1 if "transfer-encoding" in request.headers else int(request.headers.get("content-length", "0"))


def _receipt_document(receipt: DeliveryReceipt, truncated: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "committed": receipt.new,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
    }
    if truncated:
        answer["warning"] = f"Alertmanager left out {truncated} alerts; set max_alerts: 0 in its webhook_configs"
    return answer
