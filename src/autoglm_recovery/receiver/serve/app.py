# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the interface together."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from autoglm_recovery.receiver.console import fleet_api as fleet
from autoglm_recovery.receiver.console import pages
from autoglm_recovery.receiver.web import api, intake, openapi, probes, session
from autoglm_recovery.receiver.web.gate import Gate
from autoglm_recovery.receiver.web.guarded import check_guarded
from autoglm_recovery.receiver.web.headers import SecurityHeaders
from autoglm_recovery.receiver.web.hosts import Hosts
from autoglm_recovery.receiver.web.problems import http_problem, our_fault
from autoglm_recovery.receiver.web.rates import Rates
from autoglm_recovery.receiver.web.services import WebServices

# Everything that answers; a new part of the interface adds its function here.
AREAS = (intake.routes, api.routes, fleet.routes, probes.routes, session.routes, pages.routes)


def build(services: WebServices) -> Starlette:
    """Return the application."""
    routes = [route for area in AREAS for route in area(services)]
    routes.append(openapi.route(routes))
    check_guarded(routes)
    only_loopback = services.authenticator.open and not services.allowed_hosts
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: http_problem, Exception: our_fault},
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(Rates, services.requests_per_second, services.metrics.request_refused),
            Middleware(Hosts, services.allowed_hosts, only_loopback=only_loopback),
        ],
    )
    app.state.gate = Gate(services.authenticator, services.sessions, services.database)
    # A redirect would go to whatever host the request names.
    app.router.redirect_slashes = False
    return app
