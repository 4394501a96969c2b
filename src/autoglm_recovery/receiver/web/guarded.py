# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes that say what they need, and are held to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from autoglm_recovery.receiver.values.principal import Need, Principal


class _Number(IntegerConvertor):
    """Digits that can be read as a number: of thousands Python refuses that, with an error of its own."""

    regex = "[0-9]{1,100}"


# In place of Starlette's, for every ``{id:int}`` in a path.
register_url_convertor("int", _Number())

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Contract:
    """What the OpenAPI document says of a route beyond its path, its method and its need.

    ``gives`` is the model of an answer with 200, or a media type; ``fails`` are the other answers that are its own.
    """

    gives: type[BaseModel] | str
    takes: type[BaseModel] | None = None
    takes_required: bool = True
    query: tuple[type[BaseModel], ...] = ()
    fails: tuple[int, ...] = ()


class Guarded(Route):
    """A path whose handler is called only for somebody who may.

    A page, which a person opens in a browser, has no contract: there, who is not recognised is sent to log in, and what
    writes is a form with a token.
    """

    def __init__(
        self, path: str, handler: Handler, *, methods: Sequence[str], need: Need, contract: Contract | None = None
    ) -> None:
        super().__init__(path, handler, methods=list(methods), include_in_schema=contract is not None)
        self.need = need
        self.contract = contract
        self.summary = (handler.__doc__ or "").strip().partition("\n")[0]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or turn away."""
        if self.methods and scope["method"] not in self.methods:
            await super().handle(scope, receive, send)
            return
        gate = scope["app"].state.gate
        refusal = await gate.admit(scope, receive, self.need, page=self.contract is None)
        await (refusal or super().handle)(scope, receive, send)


class GuardedMount(Mount):
    """An application below a path, such as static files, for somebody who may."""

    def __init__(self, path: str, app: ASGIApp, *, need: Need, name: str | None = None) -> None:
        super().__init__(path, app, name=name)
        self.need = need

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in or turn away; nothing below can be written to."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        refusal = await scope["app"].state.gate.admit(scope, receive, self.need, page=False)
        await (refusal or super().handle)(scope, receive, send)


def who(request: Request) -> Principal:
    """Return who asks.  Only for handlers of routes that need something: there it is always somebody."""
    principal = request.scope["user"]
    assert isinstance(principal, Principal)  # noqa: S101 - the gate puts nothing else there
    return principal


def form(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent to a page; the gate has read them."""
    fields: dict[str, str] = request.scope["autoglm.form"]
    return fields


def form_token(request: Request) -> str:
    """Return what a form on a page must carry in the field ``form_token``, for whoever asks for the page.

    A script of the page sends the same in the header ``X-Form-Token`` where it gives orders through the API.
    """
    principal = who(request)
    token: str = request.app.state.gate.sessions.form_token(principal.name, principal.how)
    return token


def check_guarded(routes: Sequence[BaseRoute]) -> None:
    """Refuse a route that nobody guards.

    Raises TypeError, which names it.
    """
    for route in routes:
        if not isinstance(route, (Guarded, GuardedMount)):
            raise TypeError(f"{route!r} says not who may use it; make it a Guarded or a GuardedMount")
