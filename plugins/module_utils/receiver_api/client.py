# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a receiver: its incidents, orders about one, and the switch that pauses all actions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ..engines.transport import EngineRequest, Response, Transport, TransportError
from ..host.plain import one_line

# An incident is shown with some hundreds of alerts, each with its labels.
_LARGEST_ANSWER = 12 * 1024 * 1024
_LONGEST_DETAIL = 500
_BEYOND_REDIRECTS = 400


class ReceiverError(Exception):
    """The receiver did not do what was asked. C(status) is that of its answer, None where there was none."""

    def __init__(self, reason: str, status: int | None = None, known: bool = False) -> None:
        """known: the receiver itself says so, and nobody in its place."""
        super().__init__(reason)
        self.status = status
        self.known = known


class ReceiverClient:
    """The questions, each asked once: no proxy, no redirect, one deadline for all of an exchange."""

    def __init__(self, url: str, token: str | None, timeout: float, transport: Transport) -> None:
        self._url = url
        self._headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._timeout = timeout
        self._transport = transport

    def incidents(self, query: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The newest incidents that are so. Raises ReceiverError."""
        path = "/api/v1/incidents"
        told = self._request("GET", f"{path}?{urlencode(query)}" if query else path)
        listed = told.get("incidents")
        if not isinstance(listed, list) or not all(_is_incident(each) for each in listed):
            raise ReceiverError(f"what is at {self._url} answers, but not with incidents as a receiver has them")
        return listed

    def incident(self, number: int) -> dict[str, Any]:
        """One incident with all that belongs to it. Raises ReceiverError; of status 404 and known for none."""
        return self._checked(self._request("GET", f"/api/v1/incidents/{number}"))

    def order(self, number: int, action: str, comment: str) -> dict[str, Any]:
        """Give an order about an incident; the incident afterwards. Raises ReceiverError."""
        return self._checked(self._request("POST", f"/api/v1/incidents/{number}/{action}", _comment_body(comment)))

    def switch(self) -> dict[str, Any]:
        """Whether all actions are paused: C(paused), C(since), C(by), C(reason). Raises ReceiverError."""
        return self._switch(self._request("GET", "/api/v1/pause"))

    def turn(self, order: str, comment: str) -> dict[str, Any]:
        """C(pause) or C(resume) all actions; the switch afterwards. Raises ReceiverError."""
        return self._switch(self._request("POST", f"/api/v1/{order}", _comment_body(comment)))

    def _checked(self, told: dict[str, Any]) -> dict[str, Any]:
        lists = ("alerts", "runs", "timeline", "notices")
        if not _is_incident(told) or not all(isinstance(told.get(each), list) for each in lists):
            raise ReceiverError(f"what is at {self._url} answers, but not with an incident as a receiver has it")
        return told

    def _switch(self, told: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(told.get("paused"), bool):
            raise ReceiverError(f"what is at {self._url} answers, but not whether actions are paused")
        return {name: told.get(name) for name in ("paused", "since", "by", "reason")}

    def _request(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        request = EngineRequest(method, self._url + path, self._timeout, headers, content, _LARGEST_ANSWER)
        try:
            answer = self._transport(request)
        except TransportError as error:
            raise ReceiverError(f"the receiver at {self._url} cannot be asked: {error.reason}") from error
        told = _document(answer.body)
        if answer.status != 200:
            raise _refusal(self._url, answer, told)
        if not isinstance(told, dict):
            raise ReceiverError(f"what is at {self._url} answers, but not as a receiver does", answer.status)
        return told


def _comment_body(comment: str) -> dict[str, str] | None:
    return {"comment": comment} if comment else None


def _is_incident(told: Any) -> bool:
    return isinstance(told, dict) and isinstance(told.get("id"), int) and isinstance(told.get("state"), str)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


_MEANING = {
    401: "the receiver does not know who asks; give token or token_file of somebody whom its access file names",
    403: "the receiver knows who asks, and they may not",
    404: "there is no such thing",
    409: "the incident does not allow it now",
    421: "the receiver does not answer to this name; use one that it was started with (--allowed-host)",
    429: "the receiver was asked too often, or has seen too many wrong tokens of this address; try again later",
    503: "the receiver cannot do it now; try again later",
}


def _refusal(url: str, answer: Response, told: Any) -> ReceiverError:
    """Say what an answer means that is no success: in the receiver's words, where it is the receiver that answers."""
    status = answer.status
    if 300 <= status < _BEYOND_REDIRECTS:
        return ReceiverError(
            f"{url} answers with a redirect ({status}), which is not followed: it would take the token elsewhere."
            " Give the receiver's own address",
            status,
        )
    if not isinstance(told, dict) or told.get("status") != status or not isinstance(told.get("detail"), str):
        return ReceiverError(
            f"{url} answers with {status}, and not as a receiver does: is it the receiver's address?", status
        )
    detail = one_line(told["detail"], _LONGEST_DETAIL)
    meaning = _MEANING.get(status, "the receiver refuses it")
    return ReceiverError(f"{meaning} ({status}): {detail}", status, known=True)
