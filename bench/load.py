# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded load of webhooks over kept connections, light enough to share two cores with what it measures."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

CONNECTIONS = 16


@dataclass
class Load:
    """What a load came to.  ``seconds`` of each request, in the order in which they ended."""

    answered: int = 0
    refused: int = 0
    took: list[float] = field(default_factory=list)
    wall: float = 0.0

    @property
    def rate(self) -> float:
        """Return commits per second."""
        return self.answered / self.wall

    def percentile(self, share: float) -> float:
        """Return the time below which this share of the requests stayed, in milliseconds."""
        return sorted(self.took)[min(len(self.took) - 1, int(share * len(self.took)))] * 1000


def _request(number: int, start: str) -> bytes:
    # A host that no inventory holds: what is measured is the commit, and nothing is launched because of it.
    labels = {"alertname": "Bench", "host": f"bench-{number}", "failure_class": "crash"}
    one = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": start}
    body = json.dumps({"version": "4", "groupKey": f"g{number}", "receiver": "r", "alerts": [one]}).encode()
    head = "POST /api/v1/alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _connection(port: int, worker: int, end: float, start: str, load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = worker * 10_000_000
    while time.monotonic() < end:
        number += 1
        begun = time.perf_counter()
        writer.write(_request(number, start))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        load.took.append(time.perf_counter() - begun)
        if head.split(b" ", 2)[1] == b"200" and b'"committed":1' in body:
            load.answered += 1
        else:
            load.refused += 1
    writer.close()
    await writer.wait_closed()


def send(port: int, seconds: float, start: str) -> Load:
    """Send one alert a request over ``CONNECTIONS`` connections for so many seconds."""

    async def all_connections() -> Load:
        load = Load()
        end = time.monotonic() + seconds
        begun = time.monotonic()
        await asyncio.gather(*(_connection(port, worker, end, start, load) for worker in range(1, CONNECTIONS + 1)))
        load.wall = time.monotonic() - begun
        return load

    return asyncio.run(all_connections())
