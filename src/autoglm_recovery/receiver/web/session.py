# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log in and out with a browser.  The session is a signed cookie that no script reads and no other site sends."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import replace

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from autoglm_recovery.receiver.access.authenticator import TooManyFailures, Unrecognised
from autoglm_recovery.receiver.access.sessions import LASTS_S
from autoglm_recovery.receiver.store import audit, ended_sessions
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.gate import LOGIN, credentials_of, secure_cookie
from autoglm_recovery.receiver.web.guarded import Guarded, form
from autoglm_recovery.receiver.web.services import WebServices
from autoglm_recovery.receiver.web.static_files import version

HOME = "/"

_pages = Environment(loader=PackageLoader("autoglm_recovery.receiver.web"), autoescape=select_autoescape())
_pages.globals["version"] = version
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")


def routes(services: WebServices) -> list[Guarded]:
    """Return the ways in and out."""
    session = _SessionHandlers(services)
    return [
        Guarded(LOGIN, session.page, methods=["GET"], need=Need.nothing),
        Guarded(LOGIN, session.log_in, methods=["POST"], need=Need.nothing),
        Guarded("/logout", session.log_out, methods=["POST"], need=Need.nothing),
    ]


def local_path(text: str) -> str:
    """Return a path on this server, and the home page for whatever else somebody has put into a link."""
    return text if _LOCAL_PATH.fullmatch(text) else HOME


class _SessionHandlers:
    def __init__(self, services: WebServices) -> None:
        self._services = services

    async def page(self, request: Request) -> Response:
        """Show the form."""
        if self._services.authenticator.open:
            return RedirectResponse(HOME, 303)
        return _login_page(request.query_params.get("next", HOME))

    async def log_in(self, request: Request) -> Response:
        """Begin a session for a token, or for a user with a password."""
        fields = form(request)
        gate = request.app.state.gate
        given = replace(credentials_of(request), authorization=_authorization_header(fields), cookie=None)
        where = local_path(fields.get("next", HOME))
        if self._services.authenticator.open:
            return RedirectResponse(HOME, 303)
        try:
            principal, cookie = await gate.recognise_login(given)
        except Unrecognised as error:
            await gate.note_failure(given.address, error)
            if isinstance(error, TooManyFailures):
                wait = {"Retry-After": str(error.retry_after_s)}
                return _login_page(where, f"{error}; try again in {error.retry_after_s} s", 429, wait)
            return _login_page(where, "Name, password or token is wrong.", 401)
        if not principal.may(Need.read):
            return _login_page(where, f"{principal.name} may post alerts and nothing else.", 403)
        await self._services.write(lambda c: audit.record(c, principal, audit.AuditEntry(audit.LOGIN, "done")))
        answer = RedirectResponse(where, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            secure_cookie(request), cookie, max_age=LASTS_S, secure=secure, httponly=True, samesite="strict"
        )
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the session of this browser, also for whoever has a copy of its cookie."""
        session = self._services.sessions.read(credentials_of(request).cookie or "")
        if session is not None:
            now = time.time()
            await self._services.write(lambda c: ended_sessions.end(c, session.number, now, now + LASTS_S))
        answer = RedirectResponse(LOGIN, 303)
        secure = request.url.scheme == "https"
        answer.delete_cookie(secure_cookie(request), secure=secure, httponly=True, samesite="strict")
        return answer


def _authorization_header(fields: dict[str, str]) -> str:
    name, secret = fields.get("name", "").strip(), fields.get("secret", "")
    if not name:
        return f"Bearer {secret}"
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode("utf-8", "replace")).decode()


def _login_page(where: str, wrong: str = "", status: int = 200, headers: dict[str, str] | None = None) -> Response:
    page = _pages.get_template("login.html").render(next=local_path(where), wrong=wrong)
    return HTMLResponse(page, status, headers)
