# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answer only to names that are ours.

Where anybody on this machine is let in, a page in a browser on this machine could have its own name point to 127.0.0.1
after it was loaded (DNS rebinding) and would then be of this origin.  Its requests still carry its name as the Host.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from autoglm_recovery.receiver.access.authenticator import is_loopback
from autoglm_recovery.receiver.web.problems import problem


class Hosts:
    """Turns away requests for other names.  With no names, where everybody shows who they are, any name is good."""

    def __init__(self, app: ASGIApp, names: Collection[str], *, only_loopback: bool) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)
        self._only_loopback = only_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or turn away."""
        if self._names or self._only_loopback:
            given = [value for name, value in scope["headers"] if name == b"host"]
            host = name_of(given[0].decode("latin-1")) if len(given) == 1 else ""
            if host not in self._names and not (self._only_loopback and is_loopback(host)):
                await problem(421, "this server does not answer to that Host; see --allowed-host")(scope, receive, send)
                return
        await self._app(scope, receive, send)


def name_of(host: str) -> str:
    """Return the name or address in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
