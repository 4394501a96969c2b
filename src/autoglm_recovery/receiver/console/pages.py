# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes of the pages that only show things."""

from __future__ import annotations

import shutil
import time
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from autoglm_recovery.receiver.console import (
    fleet,
    incident,
    ledger,
    listing,
    ordering,
    output,
    overview,
    policy,
    refused,
)
from autoglm_recovery.receiver.console.desk import PageRenderer, number
from autoglm_recovery.receiver.console.filters import read_filter
from autoglm_recovery.receiver.console.fleet_filter import read_fleet_filter
from autoglm_recovery.receiver.console.rendering import THEME_COOKIE, THEMES
from autoglm_recovery.receiver.decide.decide import decide, examine
from autoglm_recovery.receiver.decide.gather import situation
from autoglm_recovery.receiver.decide.ladder import next_step, rungs
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import refusals, views
from autoglm_recovery.receiver.store.standing import standing
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.guarded import Guarded, GuardedMount, form, who
from autoglm_recovery.receiver.web.probes import LEAST_FREE_BYTES
from autoglm_recovery.receiver.web.services import WebServices
from autoglm_recovery.receiver.web.session import local_path
from autoglm_recovery.receiver.web.static_files import A_YEAR_S, Files
from autoglm_recovery.report import report_on, to_html, to_markdown, to_text

WATCHDOG_SEEN = "autoglm_watchdog_seen_timestamp_seconds"
# A browser shows plain text, and saves the other formats as files.
_REPORTS = {
    "txt": (to_text, "text/plain", "inline"),
    "md": (to_markdown, "text/markdown", "attachment"),
    "html": (to_html, "text/html", "attachment"),
}


def routes(services: WebServices) -> list[Guarded | GuardedMount]:
    """Return the console."""
    desk = PageRenderer(services)
    pages = _Pages(desk)
    read = [
        ("/", pages.overview),
        ("/incidents", pages.incidents),
        ("/incidents/{id:int}", pages.incident),
        ("/incidents/{id:int}/report.{form}", pages.report),
        ("/runs/{id:int}/output", pages.output),
        ("/runs/{id:int}/evidence", pages.evidence),
        ("/fleet", pages.fleet),
        ("/policy", pages.policy),
        ("/alerts", pages.alerts),
        ("/refused", pages.refused),
    ]
    return [
        *(Guarded(path, handler, methods=["GET"], need=Need.read) for path, handler in read),
        Guarded("/audit", pages.audit, methods=["GET"], need=Need.order),
        Guarded("/theme", theme, methods=["POST"], need=Need.read),
        *ordering.routes(desk),
        # The login page needs them too, and browsers ask for an icon on any page.
        Guarded("/favicon.ico", icon, methods=["GET"], need=Need.nothing),
        GuardedMount("/static", Files(), need=Need.nothing, name="static"),
    ]


class _Pages:
    def __init__(self, desk: PageRenderer) -> None:
        self._desk = desk
        self._services = desk.services

    async def overview(self, request: Request) -> Response:
        """Show incidents that need a person, active incidents, and the receiver's state."""

        def ask(connection: sa.Connection) -> overview.Overview:
            rows = overview.ask(connection, standing(connection))
            health = overview.health(
                rows,
                loop_well=self._services.well(),
                watchdog_at=self._services.metrics.registry.get_sample_value(WATCHDOG_SEEN) or 0.0,
                now=time.time(),
                enough_disk=shutil.disk_usage(self._services.state_dir).free >= LEAST_FREE_BYTES,
                kept_old=self._services.config().kept_because,
                troubles=self._services.troubles(),
                watchdog_late=self._services.config().policy.monitoring.receiver.watchdog,
            )
            return overview.overview(rows, health)

        return await self._desk.show(request, "overview.html", ask)

    async def incidents(self, request: Request) -> Response:
        """List incidents."""
        known, repertoire = self._services.config().fleet, self._services.config().policy.repertoire
        chosen, wrong = read_filter(request.query_params, repertoire.classes)

        def ask(connection: sa.Connection) -> listing.Listing:
            found = listing.page(connection, chosen)
            failed = listing.failed_runs(connection, found[0])
            return listing.listing(
                found,
                chosen,
                wrong,
                pools=known.pools,
                hosts=known.hosts,
                classes=repertoire.classes,
                failed=failed,
            )

        return await self._desk.show(request, "incidents.html", ask)

    async def incident(self, request: Request) -> Response:
        """Show one incident."""
        may_order, done = who(request).may(Need.order), request.query_params.get("done", "")
        return await self._desk.show(
            request, "incident.html", lambda c: show(c, self._services, number(request), may_order=may_order, done=done)
        )

    async def report(self, request: Request) -> Response:
        """Return the report of an incident."""
        kind = request.path_params["form"]
        found = await self._services.ask(lambda c: views.show_incident(c, number(request)))
        if found is None or kind not in _REPORTS:
            return await self._desk.missing(request)
        write, media_type, disposition = _REPORTS[kind]
        headers = {"Content-Disposition": f'{disposition}; filename="incident-{found["id"]}.{kind}"'}
        return Response(write(report_on(found)), 200, headers, media_type)

    async def output(self, request: Request) -> Response:
        """Show the output of a run's playbook."""
        runs_in = self._services.state_dir / "runs"
        return await self._desk.show(request, "output.html", lambda c: output.page(c, number(request), runs_in))

    async def evidence(self, request: Request) -> Response:
        """Show the excerpts of a run's evidence as plain text, so that a browser runs nothing in them."""
        run, runs_in = number(request), self._services.state_dir / "runs"
        found = await self._services.ask(lambda c: output.evidence(c, run, runs_in))
        if found is None:
            return Response(output.NO_EVIDENCE, 404, media_type="text/plain")
        headers = {"Content-Disposition": f'inline; filename="evidence-of-run-{run}.txt"'}
        return Response(found, 200, headers, "text/plain")

    async def fleet(self, request: Request) -> Response:
        """Show pools, hosts, and the windows and silences that hold actions back."""
        config, silences = self._services.config(), self._services.silences()
        chosen, wrong = read_fleet_filter(request.query_params)

        def ask(connection: sa.Connection) -> fleet.FleetPage:
            rows, rails = fleet.active_incidents(connection), config.policy.guardrails
            return fleet.fleet_page(
                config.fleet,
                rails,
                rows,
                silences,
                now=time.time(),
                inventory=str(config.inventory),
                serving=config.policy.repertoire.still_serving,
                chosen=chosen,
                wrong=wrong,
                roll=self._services.presence(),
            )

        return await self._desk.show(request, "fleet.html", ask)

    async def policy(self, request: Request) -> Response:
        """Show the policy in force."""
        return await self._desk.show(request, "policy.html", lambda _: policy.policy_page(self._services.config()))

    async def alerts(self, request: Request) -> Response:
        """List alerts that led to nothing, or all."""
        outcome, wrong = ledger.read_outcome(request.query_params.get("outcome"))

        def ask(connection: sa.Connection) -> ledger.AlertsPage:
            alerts = views.list_alerts(connection, outcome or None, ledger.MOST_SHOWN)
            return ledger.alerts_page(outcome, wrong, alerts, views.list_rejects(connection, ledger.MOST_SHOWN))

        return await self._desk.show(request, "alerts.html", ask)

    async def refused(self, request: Request) -> Response:
        """List the kinds of alerts that were refused, and what would be accepted."""
        config = self._services.config()

        def ask(connection: sa.Connection) -> refused.RefusedPage:
            return refused.refused_page(refusals.newest(connection, refused.MOST_SHOWN), config.policy, config.fleet)

        return await self._desk.show(request, "refused.html", ask)

    async def audit(self, request: Request) -> Response:
        """List the audit log."""
        return await self._desk.show(
            request, "audit.html", lambda c: ledger.audit_rows(views.list_audit(c, ledger.MOST_SHOWN))
        )


def show(
    connection: sa.Connection, services: WebServices, which: int, *, may_order: bool, done: str
) -> incident.IncidentPage | None:
    """Return an incident's page, or None if there is no such incident."""
    found = views.show_incident(connection, which)
    if found is None:
        return None
    return incident.incident_page(found, _plan_shown(connection, services, found), may_order=may_order, done=done)


def _plan_shown(connection: sa.Connection, services: WebServices, found: dict[str, Any]) -> incident.PlanShown | None:
    """Work out what would be done now, by the receiver's own decision functions."""
    row = store.incident(connection, found["id"])
    if row is None or not incident.is_planned(found["state"]):
        return None
    config = services.config()
    known = situation(connection, row, config, time.time(), services.silences())
    step = next_step(config.policy, known)
    ladder = rungs(config.policy.ladder(row.failure_class), config.playbooks, config.policy.repertoire)
    return incident.plan(decide(config.policy, known), examine(config.policy, known, step), ladder, found)


async def icon(_request: Request) -> Response:
    """Redirect to the icon."""
    return RedirectResponse("/static/icon.svg", 308)


async def theme(request: Request) -> Response:
    """Store this browser's theme in a cookie."""
    fields = form(request)
    chosen = fields.get("theme", "")
    answer = RedirectResponse(local_path(fields.get("next", "/")), 303)
    if chosen in THEMES:
        secure = request.url.scheme == "https"
        answer.set_cookie(THEME_COOKIE, chosen, max_age=A_YEAR_S, secure=secure, httponly=True, samesite="strict")
    return answer
