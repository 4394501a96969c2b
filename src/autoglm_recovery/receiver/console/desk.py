# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all pages: it asks the database for what a page shows, and answers with the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from autoglm_recovery.receiver.console import overview
from autoglm_recovery.receiver.console.rendering import Frame, answer, theme_of
from autoglm_recovery.receiver.store.pauses import paused
from autoglm_recovery.receiver.values.principal import Need
from autoglm_recovery.receiver.web.guarded import form_token, who
from autoglm_recovery.receiver.web.services import WebServices

T = TypeVar("T")


class PageRenderer:
    """Renders pages with the frame that all of them share."""

    def __init__(self, services: WebServices) -> None:
        self.services = services

    async def show(
        self, request: Request, template: str, ask: Callable[[sa.Connection], Any], *, status: int = 200
    ) -> Response:
        """Answer with a page of what ``ask`` returns, read in one transaction with the page's frame."""
        shown, (switch, persons) = await self.services.ask(lambda c: (ask(c), (paused(c), overview.persons_needed(c))))
        if shown is None:
            return await self.missing(request)
        return answer(
            request, template, self._frame(request, switch, persons), shown, token=form_token(request), status=status
        )

    async def missing(self, request: Request) -> Response:
        """Say that there is no such page."""
        return await self.show(request, "missing.html", lambda _: request.url.path, status=404)

    def _frame(self, request: Request, switch: str | None, persons: int) -> Frame:
        principal = who(request)
        return Frame(
            who=principal.name,
            role=principal.role.value,
            may_order=principal.may(Need.order),
            open=principal.how == "open",
            paused=switch,
            persons_needed=persons,
            well=self.services.well(),
            theme=theme_of(request),
        )


def number(request: Request) -> int:
    """Return the number in the address of an incident or a run."""
    found = int(request.path_params["id"])
    if found >= 2**63:
        raise HTTPException(404, "there is no such number")
    return found
