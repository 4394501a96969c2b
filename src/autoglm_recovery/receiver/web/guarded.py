# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that say what they need, and are held to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from autoglm_recovery.receiver.access.authenticator import Authenticator, Credentials, Unrecognised
from autoglm_recovery.receiver.access.principal import Need, Principal
from autoglm_recovery.receiver.web.problems import problem

LOGIN = "/login"

Handler = Callable[[Request], Awaitable[Response]]


class Guarded(Route):
    """A path whose handler is called only for somebody who may.

    C(page) marks what a person opens in a browser: there, who is not recognised is sent to log in.
    """

    def __init__(self, path: str, handler: Handler, *, methods: Sequence[str], need: Need, page: bool = False) -> None:
        super().__init__(path, handler, methods=list(methods), include_in_schema=not page)
        self.need = need
        self.page = page

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or turn away."""
        if self.methods and scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
            return
        refusal = await admit(scope, receive, self.need, page=self.page)
        await (refusal or super().handle)(scope, receive, send)


class GuardedMount(Mount):
    """An application below a path, such as static files, for somebody who may."""

    def __init__(self, path: str, app: ASGIApp, *, need: Need, name: str | None = None) -> None:
        super().__init__(path, app, name=name)
        self.need = need

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or turn away."""
        refusal = await admit(scope, receive, self.need, page=False)
        await (refusal or super().handle)(scope, receive, send)


async def admit(scope: Scope, receive: Receive, need: Need, *, page: bool) -> Response | None:
    """Find out who asks, and return None if they may, else the answer that turns them away."""
    if need is Need.nothing:
        return None
    request = Request(scope, receive)
    authenticator: Authenticator = request.app.state.authenticator
    try:
        principal = authenticator.recognise(_credentials(request))
    except Unrecognised as error:
        if page and request.method == "GET":
            return RedirectResponse(f"{LOGIN}?next={quote(request.url.path)}", 303)
        return problem(error.status, str(error), error.headers)
    if not principal.may(need):
        return problem(403, f"{principal.name} is a {principal.role}, which may not {need} here")
    scope["user"] = principal
    return None


def _credentials(request: Request) -> Credentials:
    return Credentials(
        address=request.client.host if request.client else "unknown",
        authorization=request.headers.get("authorization"),
    )


def who(request: Request) -> Principal:
    """Return who asks.  Only for handlers of routes that need something: there it is always somebody."""
    principal = request.scope["user"]
    assert isinstance(principal, Principal)  # noqa: S101 - the guard puts nothing else there
    return principal


def check_guarded(routes: Sequence[BaseRoute]) -> None:
    """Refuse a route that nobody guards.

    :raises TypeError: names it.
    """
    for route in routes:
        if not isinstance(route, (Guarded, GuardedMount)):
            raise TypeError(f"{route!r} says not who may use it; make it a Guarded or a GuardedMount")
