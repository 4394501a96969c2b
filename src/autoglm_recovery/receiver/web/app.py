# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the interface together."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from autoglm_recovery.receiver.web import api, intake, probes
from autoglm_recovery.receiver.web.guarded import check_guarded
from autoglm_recovery.receiver.web.parts import Parts
from autoglm_recovery.receiver.web.problems import http_problem, our_fault

# Everything that answers; a new part of the interface adds its function here.
AREAS = (intake.routes, api.routes, probes.routes)


def build(parts: Parts) -> Starlette:
    """Return the application."""
    routes = [route for area in AREAS for route in area(parts)]
    check_guarded(routes)
    app = Starlette(routes=routes, exception_handlers={HTTPException: http_problem, Exception: our_fault})
    app.state.authenticator = parts.authenticator
    # A redirect would go to whatever host the request names.
    app.router.redirect_slashes = False
    return app
