# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate that every request passes on its way to a route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qsl, quote, urlsplit

import anyio
import sqlalchemy as sa
import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope

from autoglm_recovery.receiver.access.authenticator import (
    FAILURE_EVERY_S,
    FAILURES_AT_ONCE,
    Authenticator,
    Credentials,
    TooManyFailures,
    Unrecognised,
)
from autoglm_recovery.receiver.access.buckets import RateBuckets
from autoglm_recovery.receiver.access.sessions import Sessions
from autoglm_recovery.receiver.intake.payload import PayloadError
from autoglm_recovery.receiver.store import audit, ended_sessions
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.principal import Need, Principal
from autoglm_recovery.receiver.web.body import read_body
from autoglm_recovery.receiver.web.problems import problem, retry_later

LOGIN = "/login"
COOKIE = "autoglm_session"
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field
FORM_TOKEN_HEADER = "x-form-token"  # noqa: S105 - the name of a header
LARGEST_FORM = 16 << 10
MOST_FIELDS = 32

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_BASIC = 'Basic realm="autoglm", charset="UTF-8"'

log = structlog.get_logger()


class Gate:
    """Finds out who asks, and turns away whoever may not."""

    def __init__(self, authenticator: Authenticator, sessions: Sessions, database: Database) -> None:
        self.authenticator = authenticator
        self.sessions = sessions
        self._database = database
        # Whoever is known and tries what they may not is written down, but does not fill the disk by it.
        self._forbidden = RateBuckets(1 / FAILURE_EVERY_S, FAILURES_AT_ONCE)
        # Hashing passwords keeps a core busy each: never all of them, and never the threads that others wait for.
        self._hashing = anyio.CapacityLimiter(2)

    async def admit(self, scope: Scope, receive: Receive, need: Need, *, page: bool) -> Response | None:
        """Put who asks into ``scope["user"]`` and return None if they may, else the answer that turns them away."""
        request = Request(scope, receive)
        writes = request.method not in _SAFE
        if writes and not is_from_here(request):
            return problem(403, "the request comes from a page of another site")
        try:
            if writes and page:
                scope["autoglm.form"] = await _read_form(request)
            if need is Need.nothing:
                return None
            scope["user"] = principal = await self._recognise(credentials_of(request))
        except PayloadError as error:
            return problem(error.status, str(error))
        except Unrecognised as error:
            return await self._turn_away(request, need, error, page=page)
        return await self._let_through(request, principal, need, page=page)

    async def _let_through(self, request: Request, principal: Principal, need: Need, *, page: bool) -> Response | None:
        if not principal.may(need):
            return await self._answer_forbidden(
                request, principal, f"{principal.name} is {_with_article(principal.role)}, who may not {need} here"
            )
        if request.method not in _SAFE and not self._has_form_token(request, principal, page=page):
            return problem(403, "the form has no valid token; load the page again")
        return None

    async def recognise_login(self, credentials: Credentials) -> tuple[Principal, str]:
        """Recognise somebody who logs in; return them and the cookie of their session.

        Raises Unrecognised as the authenticator does.
        """
        return await anyio.to_thread.run_sync(
            partial(self.authenticator.session_for, credentials), limiter=self._hashing
        )

    async def note_failure(self, address: str, error: Unrecognised) -> None:
        """Write down that somebody has tried, without what they tried with."""
        if error.tried is None:
            return
        log.warning("not recognised", address=address, how=error.tried, why=str(error))
        deed = audit.AuditEntry(audit.LOGIN, audit.REFUSED_LOGIN, detail=str(error)[:500])

        def write() -> None:
            with self._database.noting() as connection:
                audit.record_stranger(connection, address, error.tried or "", deed)

        await self._write_audit(write)

    async def _answer_forbidden(self, request: Request, principal: Principal, why: str) -> Response:
        what = f"{request.method} {request.url.path}"[:64]
        log.warning("forbidden", who=principal.name, role=principal.role, address=principal.address, what=what)

        def write() -> None:
            with self._database.noting() as connection:
                audit.record(connection, principal, audit.AuditEntry(what, "forbidden", detail=why))

        if self._forbidden.take(principal.name) == 0:
            await self._write_audit(write)
        return problem(403, why)

    async def _write_audit(self, write: Callable[[], None]) -> None:
        try:
            await run_in_threadpool(write)
        except sa.exc.SQLAlchemyError as error:
            # Whoever is turned away stays so, also when that cannot be written down.
            log.error("the audit log could not be written", wrong=type(error).__name__)  # noqa: TRY400

    async def _recognise(self, credentials: Credentials) -> Principal:
        principal = await self._recognise_as(credentials)
        if principal.how == "session" and await self._was_logged_out(credentials.cookie or ""):
            # As if there were none: somebody may have a certificate as well.
            return await self._recognise_as(replace(credentials, cookie=None))
        return principal

    async def _was_logged_out(self, cookie: str) -> bool:
        session = self.sessions.read(cookie)

        def ask() -> bool:
            with self._database.reading() as connection:
                return session is None or ended_sessions.has_ended(connection, session.number)

        return await run_in_threadpool(ask)

    async def _recognise_as(self, credentials: Credentials) -> Principal:
        if not self.authenticator.is_slow(credentials):
            return self.authenticator.recognise(credentials)
        return await anyio.to_thread.run_sync(partial(self.authenticator.recognise, credentials), limiter=self._hashing)

    async def _turn_away(self, request: Request, need: Need, error: Unrecognised, *, page: bool) -> Response:
        await self.note_failure(address_of(request), error)
        if isinstance(error, TooManyFailures):
            if need is Need.send:
                return retry_later(str(error), error.retry_after_s)
            return problem(429, str(error), {"Retry-After": str(error.retry_after_s)})
        if page and request.method == "GET":
            where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{LOGIN}?next={quote(where)}", 303)
        # A browser that is offered Basic asks for a password by itself, on top of our own page.
        basic = self.authenticator.has_users and "sec-fetch-site" not in request.headers
        return problem(401, str(error), {"WWW-Authenticate": f"Bearer, {_BASIC}" if basic else "Bearer"})

    def _has_form_token(self, request: Request, principal: Principal, *, page: bool) -> bool:
        """Tell whether what writes comes from a page of ours.

        A program that shows a token by itself has no page; a browser adds cookies to whatever any page makes it send.
        """
        if page:
            given = request.scope["autoglm.form"].get(FORM_TOKEN, "")
        elif principal.how == "session":
            given = request.headers.get(FORM_TOKEN_HEADER, "")
        else:
            return True
        return self.sessions.is_form_token(given, principal.name, principal.how)


def credentials_of(request: Request) -> Credentials:
    """Return what a request carries that may say who sent it."""
    return Credentials(
        address=address_of(request),
        authorization=request.headers.get("authorization"),
        cookie=cookie(request, secure_cookie(request)),
        certificate=request.scope.get("autoglm.certificate", ()),
    )


def address_of(request: Request) -> str:
    """Return the address of the other end of the connection, whatever a header says."""
    return request.client.host if request.client else "unknown"


def is_from_here(request: Request) -> bool:
    """Tell whether a request that writes comes from a page of ours, or from no page at all.

    Every browser of today sends Sec-Fetch-Site or at least Origin with it; other programs send neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
    except ValueError:
        return False


async def _read_form(request: Request) -> dict[str, str]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise PayloadError("a form is sent as application/x-www-form-urlencoded", 415)
    body = await read_body(request, LARGEST_FORM)
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
        )
    except ValueError as error:
        raise PayloadError("the form cannot be read") from error


def cookie(request: Request, name: str) -> str | None:
    """Return a cookie as it was sent, of several with one name the last.

    Other programs of this host have cookies of their own, in forms of their own.  Quotes and escapes, which ours have
    none of, stay as they are: Python before 3.11.10 takes them out in a time that grows with the square of the header
    (CVE-2024-7592), so that anybody could hold up everybody for seconds.
    """
    pairs = (pair.strip().partition("=") for pair in request.headers.get("cookie", "").split(";"))
    return {key: value for key, equals, value in pairs if equals}.get(name)


def secure_cookie(request: Request) -> str:
    """Return the cookie's name.  With the prefix a browser takes it only over TLS, and from this very host."""
    return f"__Host-{COOKIE}" if request.url.scheme == "https" else COOKIE


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
