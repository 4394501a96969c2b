# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Style, script and icon, at addresses that change with what is in them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
A_YEAR_S = 365 * 24 * 3600


class Files(StaticFiles):
    """Hands them out.  They are read before anybody has logged in, and so hold nothing of the fleet."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Let browsers keep what they have asked for by its version."""
        answer = await super().get_response(path, scope)
        if answer.status_code == 200 and b"v=" in scope["query_string"]:
            answer.headers["Cache-Control"] = f"public, max-age={A_YEAR_S}, immutable"
        return answer


@cache
def version(name: str) -> str:
    """Return what the address of a file ends in, so that it is fetched anew when it has changed."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
