# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speak HTTP with AWX: authenticated, verified, bounded in time and size, and only ever with AWX itself."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.host.numbers import whole_number
from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.knowledge.host.token_file import NoTokenError, first_token
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings

# Where AWX sends every request while its database is being migrated: awx/main/middleware.py
_MIGRATING = "/migrations_notran/"

LARGEST_ANSWER = 16 * 2**20
MOST_PAGES = 10


class AwxUnavailable(RuntimeError):
    """No usable answer: asking again may help.  ``processed`` tells whether AWX may have done what was asked."""

    def __init__(self, reason: str, *, processed: bool, wait_s: float | None = None) -> None:
        """Note how long AWX asked to be left alone, if it did."""
        super().__init__(reason)
        self.processed = processed
        self.wait_s = wait_s


class AwxRefused(RuntimeError):
    """AWX's own answer is no."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the status: 404 means that the thing is not there."""
        super().__init__(reason)
        self.status = status


class Deadline:
    """How much time is left for several calls together."""

    def __init__(self, seconds: float) -> None:
        """Begin now."""
        self._began = time.monotonic()
        self._seconds = seconds

    @property
    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._began + self._seconds - time.monotonic())

    @property
    def overdue(self) -> bool:
        """Tell whether far more time has passed than was planned: this process was stopped in between."""
        return time.monotonic() - self._began > 2 * self._seconds


class AwxClient:
    """One AWX.  Not for several threads at once."""

    def __init__(self, settings: AwxSettings) -> None:
        """Raises OSError if the CA file cannot be read. Raises ssl.SSLError if it holds no certificate."""
        self._settings = settings
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        self._http = bounded_http.client(verify=context)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, deadline: Deadline, **params: Any) -> dict[str, Any]:
        """Ask for an object; ``path`` is below the API's root."""
        return self._call("GET", self._address(path), deadline, params=params)[0]

    def get_dated(self, path: str, deadline: Deadline) -> tuple[dict[str, Any], str | None]:
        """Ask for an object, and what AWX's own clock said (the ``Date`` header)."""
        return self._call("GET", self._address(path), deadline)

    def post(self, path: str, deadline: Deadline, body: Mapping[str, Any]) -> dict[str, Any]:
        """Have AWX do something."""
        return self._call("POST", self._address(path), deadline, body=body)[0]

    def pages(
        self, path: str, deadline: Deadline, *, most: int = MOST_PAGES, **params: Any
    ) -> Iterator[list[dict[str, Any]]]:
        """Ask for a list, page by page; ``next`` must stay on AWX's own host."""
        address, query = self._address(path), dict(params)
        for _page in range(most):
            answer = self._call("GET", address, deadline, params=query)[0]
            results = answer.get("results")
            if not isinstance(results, list):
                raise AwxUnavailable(f"{address} is no list of AWX: it has no results", processed=True)
            yield [item for item in results if isinstance(item, dict)]
            if not answer.get("next"):
                return
            address, query = self._same_host(str(answer["next"])), {}

    def _address(self, path: str) -> str:
        # AWX redirects an address without the slash at its end, and redirects are not followed.
        return f"{self._settings.url.rstrip('/')}{self._settings.api_path.rstrip('/')}/{path.strip('/')}/"

    def _same_host(self, link: str) -> str:
        base = httpx.URL(self._settings.url)
        url = base.join(link)
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise AwxUnavailable(f"AWX's next page is at {url.host}, another host; it was not followed", processed=True)
        return str(url)

    def _call(
        self,
        method: str,
        address: str,
        deadline: Deadline,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Any], str | None]:
        """Call once, with the token of now."""
        request = self._http.build_request(
            method,
            address,
            params=params or None,
            json=body,
            headers={"Accept": "application/json", "Authorization": f"Bearer {_token(self._settings.token_file)}"},
        )
        response, content = self._send(request, deadline)
        return read_answer(response, content), response.headers.get("date")

    def _send(self, request: httpx.Request, deadline: Deadline) -> tuple[httpx.Response, bytes]:
        budget = Deadline(min(self._settings.call_timeout_s, deadline.left))
        if budget.left < 0.05:
            raise AwxUnavailable("AWX is slow: the time for this look is over", processed=False)
        request.extensions["timeout"] = httpx.Timeout(budget.left).as_dict()
        place = f"{request.method} {request.url.path}"
        try:
            response = self._http.send(request, stream=True)
            try:
                return response, bounded_http.whole(response, LARGEST_ANSWER, budget.left)
            finally:
                response.close()
        except bounded_http.AnswerTooLong as error:
            raise AwxUnavailable(f"{place}: {error}", processed=True) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise AwxUnavailable(f"AWX cannot be reached: {error or type(error).__name__}", processed=False) from error
        except httpx.HTTPError as error:
            reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else str(error)
            raise AwxUnavailable(f"{place}: {reason or type(error).__name__}", processed=True) from error


def _token(file: Path) -> str:
    try:
        return first_token(file)
    except OSError as error:
        raise AwxUnavailable(f"the AWX token cannot be read: {error}", processed=False) from error
    except NoTokenError as error:
        raise AwxRefused(401, str(error)) from error


def read_answer(response: httpx.Response, content: bytes) -> dict[str, Any]:
    """Take AWX's answer apart.

    Raises AwxRefused if AWX says no (400, 401, 403, 404, 405, 409 ...).
    Raises AwxUnavailable if this is no answer of AWX's, or AWX says that it cannot now.
    """
    status, place = response.status_code, f"{response.request.method} {response.request.url.path}"
    if status in (429, 503):
        # Both are said before a request is taken: a limit, or a proxy without a server behind it.
        raise AwxUnavailable(f"{place}: HTTP {status}", processed=False, wait_s=_retry_after(response))
    if status >= 500:
        raise AwxUnavailable(f"{place}: HTTP {status}", processed=True)
    if 300 <= status < 400:
        location = urlsplit(response.headers.get("location", ""))
        if location.path.endswith(_MIGRATING):
            raise AwxUnavailable(f"{place}: AWX is being upgraded", processed=False)
        to = location.hostname
        raise AwxRefused(status, f"{place} redirects to {to or 'another path'}; give AWX's final address as url")
    answer = _json(content)
    if answer is None and (status == 204 or (status < 300 and not content)):
        return {}
    if answer is None:
        raise AwxUnavailable(f"{place}: HTTP {status} with no JSON in it; is this the address of AWX?", processed=True)
    if status >= 400:
        raise AwxRefused(status, f"{place}: HTTP {status}: {_error_text(answer)}")
    return answer


def _json(content: bytes) -> dict[str, Any] | None:
    try:
        answer = bounded_http.document(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _error_text(answer: Mapping[str, Any]) -> str:
    """Put AWX's errors, a detail or a mapping from fields to messages, on one short line."""
    text = answer.get("detail")
    if not isinstance(text, str):
        text = json.dumps(answer, ensure_ascii=False)
    return one_line(text, 500)


def _retry_after(response: httpx.Response) -> float | None:
    seconds = whole_number(response.headers.get("retry-after"))
    return None if seconds is None else min(float(seconds), 300.0)
