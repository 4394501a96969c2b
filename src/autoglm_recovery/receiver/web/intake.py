# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(POST /api/v1/alerts): read, commit, and only then answer 200."""

from __future__ import annotations

import asyncio
from typing import Any

import sqlalchemy as sa
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from autoglm_recovery.receiver.access.principal import Need
from autoglm_recovery.receiver.classify import is_watchdog
from autoglm_recovery.receiver.payload import PayloadError, parse_webhook
from autoglm_recovery.receiver.store.intake import Delivery, Overloaded, Receipt
from autoglm_recovery.receiver.web import models
from autoglm_recovery.receiver.web.body import read_json_body
from autoglm_recovery.receiver.web.guarded import Contract, Guarded
from autoglm_recovery.receiver.web.parts import Parts
from autoglm_recovery.receiver.web.problems import problem, retry_later

COMMIT_TIMEOUT_S = 20

log = structlog.get_logger()


def routes(parts: Parts) -> list[Guarded]:
    """Return the way in for alerts."""
    contract = Contract(models.Receipt, takes=models.Webhook, fails=(413, 415, 422))
    return [Guarded("/api/v1/alerts", _Webhook(parts).post_alerts, methods=["POST"], need=Need.send, contract=contract)]


class _Webhook:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def post_alerts(self, request: Request) -> Response:
        """Take a webhook of Alertmanager."""
        try:
            response = await self._take(request)
        except PayloadError as error:
            hint = "; set max_alerts in Alertmanager" if error.status == 413 else ""
            response = problem(error.status, f"{error}{hint}")
        self._parts.metrics.request(response.status_code)
        return response

    async def _take(self, request: Request) -> Response:
        webhook = parse_webhook(await read_json_body(request, self._parts.largest_body))
        delivery = Delivery(webhook.group_key, webhook.alerts, webhook.rejected)
        try:
            receipt = await asyncio.wait_for(asyncio.wrap_future(self._parts.intake.submit(delivery)), COMMIT_TIMEOUT_S)
        except (Overloaded, TimeoutError) as error:
            return retry_later(str(error) or "the alerts could not be written in time")
        except sa.exc.SQLAlchemyError as error:
            return retry_later(f"the alerts could not be written: {type(error).__name__}")
        if any(is_watchdog(alert.labels) for alert in webhook.alerts):
            self._parts.metrics.watchdog(receipt.committed_at)
        self._parts.metrics.delivery(receipt.duplicates, receipt.rejected, webhook.truncated)
        if webhook.truncated:
            log.warning("alertmanager left out alerts; set max_alerts: 0", left_out=webhook.truncated)
        if webhook.rejected and not webhook.alerts:
            reasons = "; ".join(rejected.reason for rejected in webhook.rejected[:5])
            return problem(422, f"no alert of {len(webhook.rejected)} could be read, all were set aside: {reasons}")
        return JSONResponse(_answer(receipt, webhook.truncated))


def _answer(receipt: Receipt, truncated: int) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "committed": receipt.new,
        "duplicates": receipt.duplicates,
        "rejected": receipt.rejected,
    }
    if truncated:
        answer["warning"] = f"Alertmanager left out {truncated} alerts; set max_alerts: 0 in its webhook_configs"
    return answer
