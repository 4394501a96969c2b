# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What watches the receiver itself asks: open to anybody, and telling nothing that is secret."""

from __future__ import annotations

import shutil

import sqlalchemy as sa
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.guarded import Contract, Guarded
from autoglm_recovery.receiver.web.problems import retry_later
from autoglm_recovery.receiver.web.services import WebServices

# Below this a storm of alerts or the artifacts of one run may find the disk full.
LEAST_FREE_BYTES = 8 << 20

_TEXT = Contract("text/plain")


def routes(services: WebServices) -> list[Guarded]:
    """Return health, readiness and metrics."""
    probes = _ProbeHandlers(services)
    return [
        Guarded("/healthz", probes.healthz, methods=["GET"], need=Need.nothing, contract=_TEXT),
        Guarded("/readyz", probes.readyz, methods=["GET"], need=Need.nothing, contract=_TEXT),
        Guarded("/metrics", probes.metrics, methods=["GET"], need=Need.nothing, contract=_TEXT),
    ]


class _ProbeHandlers:
    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def healthz(self, _request: Request) -> Response:
        """Say that the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Say whether alerts can be stored and acted on."""
        try:
            await self._services.ask(lambda c: c.exec_driver_sql("SELECT 1").scalar())
        except sa.exc.SQLAlchemyError as error:
            return retry_later(f"the database does not answer: {type(error).__name__}")
        free = shutil.disk_usage(self._services.state_dir).free
        if free < LEAST_FREE_BYTES:
            return retry_later(f"only {free} bytes are free in the state directory")
        if not await run_in_threadpool(self._services.intake.can_store):
            return retry_later("the last alerts could not be written, and still nothing can be")
        troubles = self._services.troubles()
        if not self._services.well():
            loop = [str(trouble) for trouble in troubles if trouble.name == "loop"]
            return retry_later("; ".join(["the loop that acts does not turn", *loop]))
        if stuck := [str(trouble) for trouble in troubles if trouble.stuck and trouble.vital]:
            return retry_later("; ".join(stuck))
        # Neither what fails and tries again nor a watcher whose server is slow keeps alerts from being stored and acted
        # on, and a balancer that sent them elsewhere, or nowhere, would.
        return PlainTextResponse("".join(f"{line}\n" for line in ["ready", *map(str, troubles)]))

    async def metrics(self, _request: Request) -> Response:
        """Say everything to Prometheus."""
        text = await run_in_threadpool(generate_latest, self._services.metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)
