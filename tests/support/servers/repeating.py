# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that refuses each request and repeats all of it in its answer, as proxies and pages of errors do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from tests.support.servers.http_answers import Asked, Reply, answering_http


@contextmanager
def repeating() -> Iterator[tuple[str, set[str]]]:
    """Run one; return HOST:PORT, and the paths that it has been asked for so far."""
    paths: set[str] = set()

    def refuse(asked: Asked) -> Reply:
        paths.add(asked.path)
        sent = asked.body.decode("utf-8", "replace")
        said = f"refused: {asked.method} {asked.path}?{urlencode(asked.query, doseq=True)} {dict(asked.headers)} {sent}"
        # As AWX, Prometheus, Alertmanager, and most others, name what went wrong.
        answer = {"detail": said, "status": "error", "errorType": said, "error": said, "message": said}
        return Reply(400, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    with answering_http(refuse) as server:
        yield server.url.removeprefix("http://"), paths
