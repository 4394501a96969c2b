# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Floods of a receiver, each in a process of its own: ``python -m tests.integration.receiver.floods NAME PORT TOKEN``.

Many visitors from several addresses of this machine come at once, do what their flood is made of, and come again when
they are turned away.  A line on standard output says that the flood is on; it goes on until its process is ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import ssl
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

# Not the address from which the others' alerts come.
ADDRESSES = tuple(f"127.0.0.{last}" for last in range(2, 10))
AGAIN_AFTER_S = 0.2
DRIP_EVERY_S = 0.3
NUMBERS = count(os.getpid() * 10**6)
# One for all: to make one takes longer than to shake hands.
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


@dataclass(frozen=True)
class Flood:
    """What each visitor does in a connection, how many there are, and whether they come as far as HTTP."""

    behave: Behaviour
    visitors: int
    tls: bool = True


def post(token: str, *headers: str) -> bytes:
    """Return the beginning of a POST of alerts."""
    lines = (
        *("POST /api/v1/alerts HTTP/1.1", "Host: localhost", "Content-Type: application/json"),
        *(f"Authorization: Bearer {token}", *headers),
    )
    return "\r\n".join((*lines, "", "")).encode()


def large(padding: str) -> bytes:
    """Return a webhook of 20 alerts, new ones each time, with as much in it as a sender may say."""
    labels = {f"label_{n}": f"password={padding} https://user:{padding}@host/" for n in range(20)}
    start = datetime.now(UTC).isoformat()
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "Flood", "host": f"nowhere-{next(NUMBERS)}", **labels},
            "annotations": labels,
            "startsAt": start,
        }
        for _ in range(20)
    ]
    return json.dumps({"version": "4", "groupKey": padding * 200, "receiver": "r", "alerts": alerts}).encode()


async def until_ended(reader: asyncio.StreamReader) -> None:
    """Read until the other end has had enough."""
    while await reader.read(65536):
        pass


async def nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _token: str) -> None:
    """Ask nothing."""
    await until_ended(reader)


def saying(*pieces: bytes) -> Behaviour:
    """Say something and wait for what comes of it."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _token: str) -> None:
        writer.writelines(pieces)
        await writer.drain()
        await until_ended(reader)

    return say


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
    """Say something, and then a byte now and then."""
    writer.write(first)
    while not reader.at_eof():
        writer.write(b"1")
        await writer.drain()
        await asyncio.sleep(DRIP_EVERY_S)


async def slow_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _token: str) -> None:
    """Never come to the end of a header."""
    await drip(reader, writer, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")


async def slow_bodies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Never come to the end of a body."""
    await drip(reader, writer, post(token, "Content-Length: 1000000"))


async def endless_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Send chunk after chunk."""
    writer.write(post(token, "Transfer-Encoding: chunked"))
    while not reader.at_eof():
        writer.write(b"4000\r\n" + b"[" * 0x4000 + b"\r\n")
        await writer.drain()


async def refused_bodies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Break the framing of a body that is being read."""
    writer.writelines((post(token, "Transfer-Encoding: chunked"), b"2\r\n{}\r\nno size\r\n"))
    await until_ended(reader)


async def large_bodies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Have bodies of a megabyte parsed, redacted and digested."""
    body = large("x" * 600)
    writer.writelines((post(token, f"Content-Length: {len(body)}", "Connection: close"), body))
    await until_ended(reader)


async def many_alerts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    """Have alerts in masses written, whose group keys and labels are long."""
    body = large("x" * 12)
    writer.writelines((post(token, f"Content-Length: {len(body)}", "Connection: close"), body))
    await until_ended(reader)


async def guesses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _token: str) -> None:
    """Guess tokens and passwords."""
    body = b"{}"
    guess = f"guess-{next(NUMBERS)}-0123456789"
    basic = b64encode(f"person:{guess}".encode()).decode()
    writer.writelines((post(guess, f"Content-Length: {len(body)}"), body))
    writer.write(
        f"GET /api/v1/incidents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    await until_ended(reader)


async def go_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _token: str) -> None:
    """Come and go."""


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
FLOODS = {
    "connections that never say anything": Flood(nothing, 1400, tls=False),
    "handshakes that never end": Flood(saying(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 1200, tls=False),
    "handshakes and nothing more": Flood(nothing, 1200),
    "plain HTTP": Flood(saying(HEALTH, b"\r\n"), 200, tls=False),
    "connections that end at once": Flood(go_at_once, 200, tls=False),
    "slow headers": Flood(slow_headers, 400),
    "slow bodies": Flood(slow_bodies, 400),
    "chunks without end": Flood(endless_chunks, 8),
    "broken bodies": Flood(refused_bodies, 50),
    "large headers": Flood(saying(HEALTH, b"X: y\r\n" * 20_000, b"\r\n"), 50),
    "requests whose answers nobody reads": Flood(saying((HEALTH + b"\r\n") * 500), 50),
    "guesses": Flood(guesses, 50),
    "large bodies": Flood(large_bodies, 16),
    "alerts in masses": Flood(many_alerts, 16),
}


async def visit(flood: Flood, address: str, port: int, token: str, came: Callable[[], None]) -> None:
    """Come again and again."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(address, 0), ssl=TLS if flood.tls else None
            )
            came()
            try:
                await flood.behave(reader, writer, token)
            finally:
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            came()
        await asyncio.sleep(AGAIN_AFTER_S)


async def go_on(flood: Flood, port: int, token: str) -> None:
    """Go on for ever; say when as many have come, or were turned away, as there are."""
    coming = count(1)

    def came() -> None:
        if next(coming) == flood.visitors:
            print("on", flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(flood.visitors):
            group.create_task(visit(flood, ADDRESSES[number % len(ADDRESSES)], port, token, came))


def main() -> None:
    """Flood."""
    name, port, token = sys.argv[1:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(go_on(FLOODS[name], int(port), token))


if __name__ == "__main__":
    main()
