# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a body that a stranger sends."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from autoglm_recovery.receiver.intake.payload import PayloadError


async def read_json_body(request: Request, largest: int) -> bytes:
    """Read the body, but never more than allowed.

    Raises PayloadError with the status that says why not.
    """
    check_json(request)
    return await read_body(request, largest)


async def read_body(request: Request, largest: int) -> bytes:
    """Read the body, but never more than allowed.

    Raises PayloadError if it is larger, or its sender went away.
    """
    # A few bytes may unpack to more than there is memory.
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise PayloadError("Content-Encoding is not supported; send the body as it is", 415)
    # Said beforehand, as h11 has read it: not waited for, nor asked for with 100 (Continue).
    if int(request.headers.get("content-length", "0")) > largest:
        raise PayloadError(f"the body is larger than {largest} bytes", 413)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > largest:
                raise PayloadError(f"the body is larger than {largest} bytes", 413)
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise PayloadError("the sender went away before the end of the body") from error
    return b"".join(chunks)


def check_json(request: Request) -> None:
    """Refuse a body of another media type: a page of another site cannot send this one without asking us first.

    Raises PayloadError, which says which it has.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise PayloadError(f"Content-Type must be application/json, not {media_type[:80]!r}", 415)
