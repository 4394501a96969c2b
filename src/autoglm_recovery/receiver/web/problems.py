# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that say what is wrong (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from autoglm_recovery.receiver.web.headers import ALWAYS

RETRY_AFTER_S = 5
MEDIA_TYPE = "application/problem+json"


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with a problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def retry_later(detail: str, after_s: int = RETRY_AFTER_S, headers: dict[str, str] | None = None) -> Response:
    """Answer that the same request may succeed later.  Alertmanager retries on 5xx only."""
    return problem(503, detail, {"Retry-After": str(after_s), **(headers or {})})


async def http_problem(_request: Request, error: Exception) -> Response:
    """Turn what the framework raises into a problem."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    return problem(error.status_code, error.detail, dict(error.headers or {}))


async def our_fault(_request: Request, error: Exception) -> Response:
    """Answer for a fault of ours, which may pass: 503 makes Alertmanager try again, so that no alert is lost."""
    # This answer is made outside of all middleware.
    return retry_later(f"the receiver failed: {type(error).__name__}", headers={**ALWAYS, "Cache-Control": "no-store"})
