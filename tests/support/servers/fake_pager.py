# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake of whoever takes notices, which are the services that Apprise speaks to.  See tests/FAKES.md.

What is sent is made by the real Apprise.  The answer is a bare status, which is all that Apprise looks at for the
addresses that are used here.
"""

from __future__ import annotations

import contextlib
from typing import Any

from tests.support.servers.http_answers import Asked, Reply, answering_http

SECRET = "hunter2hunter2"


class FakePager:
    """Keeps the JSON that it is sent, and answers with ``status``.  ``url`` is for Apprise, and has a password."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.received: list[Any] = []
        self._until_closed = contextlib.ExitStack()
        self.port = self._until_closed.enter_context(answering_http(self._take, port=port)).server_port
        self.url = f"json://user:{SECRET}@127.0.0.1:{self.port}/hook"

    def _take(self, asked: Asked) -> Reply:
        if asked.method != "POST":
            return Reply(405)
        self.received.append(asked.json())
        return Reply(self.status)

    def close(self) -> None:
        """Stop listening."""
        self._until_closed.close()
