# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steady traffic through a balancer: half plain completions, half streams, every answer checked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field

import httpx

TOKENS = 48
PER_SECOND = 10
AT_ONCE = 16  # never more in flight than this, however slow the servers get
ANSWER_SECONDS = 30


class TruncatedError(Exception):
    """An answer began well and broke off."""


@dataclass
class Counts:
    """What became of the requests so far."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    truncated: int = 0
    by_node: Counter[str] = field(default_factory=Counter)  # complete answers
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        """Requests that the user did not get a whole answer to."""
        return self.failed + self.truncated


class Traffic:
    """Users, in a thread of their own."""

    def __init__(self, balancer: str, tokens: int = TOKENS, per_second: float = PER_SECOND, key: str = "") -> None:
        """Nothing is sent yet. ``tokens`` is the length of each answer, ``key`` what the servers ask for."""
        self.counts = Counts()
        self._balancer = balancer
        self._tokens = tokens
        self._pause = 1 / per_second
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_steadily()), daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait for the answers that are still under way."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(ANSWER_SECONDS + 5)

    async def _send_steadily(self) -> None:
        room = asyncio.Semaphore(AT_ONCE)
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False, headers=self._headers) as client:
            under_way: set[asyncio.Task[None]] = set()
            number = 0
            while not self._over.is_set():
                await room.acquire()
                number += 1
                task = asyncio.create_task(self._one(client, number))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                task.add_done_callback(lambda _: room.release())
                await asyncio.sleep(self._pause)
            await asyncio.gather(*under_way)

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        body = {
            "prompt": f"the people {number}",
            "max_tokens": self._tokens,
            "temperature": 0,
            "stream": number % 2 == 0,
        }
        kind = "stream" if body["stream"] else "plain"
        self.counts.sent += 1
        try:
            async with client.stream("POST", f"{self._balancer}/v1/completions", json=body) as response:
                if response.is_error:
                    said = (await response.aread()).decode(errors="replace")[:200]
                    raise httpx.HTTPStatusError(
                        f"{response.status_code} {said}", request=response.request, response=response
                    )
                await (_whole_stream(response) if body["stream"] else _whole_answer(response, self._tokens))
        except TruncatedError as error:
            self.counts.truncated += 1
            self.counts.errors[f"{kind}: {error}"] += 1
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.counts.failed += 1
            self.counts.errors[f"{kind}: {type(error).__name__} {error}".splitlines()[0]] += 1
        else:
            self.counts.ok += 1
            self.counts.by_node[response.headers.get("x-backend", "?")] += 1


async def _whole_answer(response: httpx.Response, tokens: int) -> None:
    answer = json.loads(await response.aread())
    if answer["usage"]["completion_tokens"] != tokens:
        raise TruncatedError("short answer")


async def _whole_stream(response: httpx.Response) -> None:
    ended = False
    with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
        async for line in response.aiter_lines():
            ended = ended or line.strip() == "data: [DONE]"
    if not ended:
        raise TruncatedError("broke off")
