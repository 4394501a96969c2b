# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that read a stream of tokens, each in a thread of its own, so that a test can look at a busy server."""

from __future__ import annotations

import http.client
import json
import threading

# Long enough for a busy machine; a test that waits so long has failed.
PATIENCE = 300.0


class Stream:
    """One request, sent at once. ``tokens``: how many came so far; ``end``: finish reason, or what went wrong."""

    def __init__(self, port: int, max_tokens: int, prompt: str = "the people") -> None:
        """Send the request and begin to read."""
        body = {"model": "tiny", "prompt": prompt, "max_tokens": max_tokens, "ignore_eos": True, "stream": True}
        self.tokens = 0
        self.end: str | None = None
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the server has ended it."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait for its end."""
        self._thread.join(PATIENCE)
        assert self.over, "the stream did not end"

    def _read(self) -> None:
        try:
            for line in self._connection.getresponse():
                if not line.startswith(b"data: {"):
                    continue
                document = json.loads(line[6:])
                if "choices" not in document:
                    self.end = str(document)
                    continue
                self.tokens += 1
                self.end = document["choices"][0].get("finish_reason") or self.end
        except (OSError, http.client.HTTPException) as error:
            self.end = type(error).__name__
        finally:
            self._connection.close()
