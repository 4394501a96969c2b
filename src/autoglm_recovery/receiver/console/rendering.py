# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering of a page's contents into an HTTP answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.receiver.console.moments import ago, clock, rough
from autoglm_recovery.receiver.console.shapes import SHAPES
from autoglm_recovery.receiver.console.words import NAMES, STANDS_IN_WORDS
from autoglm_recovery.receiver.values.model import IncidentState
from autoglm_recovery.receiver.web.gate import cookie
from autoglm_recovery.receiver.web.static_files import version
from autoglm_recovery.report.document import duration

THEME_COOKIE = "autoglm_theme"
THEMES = ("auto", "light", "dark")


def spelled(value: object) -> object:
    """Replace control characters in a value that a template prints by escapes; our own markup stays."""
    return value if isinstance(value, Markup) else plain(value)


def link(address: object) -> str | None:
    """Return an address if a page may link to it: one from outside must be a plain web address."""
    text = str(address or "")
    return text if text.lower().startswith(("https://", "http://")) and plain(text) == text else None


def _make_environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("autoglm_recovery.receiver.console", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=spelled,
    )
    made.filters.update(clock=clock, ago=ago, duration=duration, rough=rough, link=link)
    made.globals.update(
        STANDS_IN_WORDS=STANDS_IN_WORDS,
        version=version,
        SHAPES=SHAPES,
        THEMES=THEMES,
        NAMES=NAMES,
        STATES=tuple(IncidentState),
    )
    return made


_templates = _make_environment()


@dataclass(frozen=True)
class Frame:
    """The contents that every page shows around its own."""

    who: str
    role: str
    may_order: bool
    open: bool
    paused: str | None
    persons_needed: int
    well: bool
    theme: str


def theme_of(request: Request) -> str:
    """Return the theme that this browser's cookie names."""
    chosen = cookie(request, THEME_COOKIE) or ""
    return chosen if chosen in THEMES else "auto"


def render(template: str, now: datetime, **shown: Any) -> str:
    """Render a template."""
    return _templates.get_template(template).render(now=now, **shown)


def answer(request: Request, template: str, frame: Frame, view: Any, *, token: str, status: int = 200) -> Response:
    """Answer with a page, or with 304 if the browser's copy is current.

    The tag covers the contents and not the present time: a page that only grew older has not changed.
    """
    tag = _etag(template, frame, view)
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    # An answer to a form is never served from a cache.
    live = tag if status == 200 else ""
    page = render(template, datetime.now(UTC), frame=frame, view=view, token=token, tag=live, path=path)
    return HTMLResponse(page, status, {"ETag": tag})


def _etag(template: str, frame: Frame, view: Any) -> str:
    # Views are frozen and hold no sets, so equal views have the same representation.
    digest = hashlib.sha256(repr((template, frame, view)).encode("utf-8", "backslashreplace")).hexdigest()
    return f'"{digest[:32]}"'
