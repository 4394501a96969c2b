# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""So many requests a second from one address, and so many in all.

More are told to come later, with 503: Alertmanager gives an alert up for anything below 500.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from autoglm_recovery.addresses import network_of
from autoglm_recovery.receiver.access.buckets import RateBuckets
from autoglm_recovery.receiver.web.gate import address_of
from autoglm_recovery.receiver.web.problems import problem, retry_later

# An address may bring a storm of a few seconds at once; four addresses may do so together.
SECONDS_AT_ONCE = 4
ADDRESSES = 4
# RFC 6585 section 5. Their size is bounded by the HTTP parser.
MOST_HEADERS = 100


class Rates:
    """Counts requests before anything else is done for them."""

    def __init__(self, app: ASGIApp, per_second: float, refused: Callable[[], None]) -> None:
        self._app = app
        self._refused = refused
        self._each = RateBuckets(per_second, per_second * SECONDS_AT_ONCE)
        self._all = RateBuckets(per_second * ADDRESSES, per_second * ADDRESSES * SECONDS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on or turn away."""
        wait = self._each.take(network_of(address_of(Request(scope)))) or self._all.take("")
        if wait:
            self._refused()
            await retry_later("too many requests", math.ceil(wait))(scope, receive, send)
        elif len(scope["headers"]) > MOST_HEADERS:
            await problem(431, f"more than {MOST_HEADERS} headers")(scope, receive, send)
        else:
            await self._app(scope, receive, send)
