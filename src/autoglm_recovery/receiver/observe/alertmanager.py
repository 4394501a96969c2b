# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Alertmanager's API v2 says that it has: its alerts, and since when it runs (api/v2/openapi.yaml, api/v2/api.go).

``GET /api/v2/alerts`` leaves out what has ended and names all else, silenced or inhibited or not.  The alerts are kept
in memory alone: after a restart there are none until Prometheus sends them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.receiver.fleet import fleet_http
from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.values.watchdog import is_watchdog

MOST_BYTES = 32 << 20


class Unanswered(RuntimeError):
    """Alertmanager gave no whole answer that can be read, so that nothing is known; or refused what it was told."""


@dataclass(frozen=True)
class ActiveAlert:
    """One alert that Alertmanager has and that has not ended.  Times are seconds since the epoch, by its clock."""

    fingerprint: str
    labels: Mapping[str, str]
    starts_at: float
    updated_at: float

    def is_stored_as(self, labels: Mapping[str, str]) -> bool:
        """Tell whether this is the alert that was stored with these labels, as they are cut at intake.

        Its fingerprint alone was posted by the sender, who may have named another's.
        """
        return {name: without_secrets(value) for name, value in self.labels.items()} == dict(labels)


@dataclass(frozen=True)
class AlertmanagerAlerts:
    """What Alertmanager had at ``at``, and since when it runs; all by its clock."""

    alerts: Mapping[str, ActiveAlert]
    up_since: float
    at: float

    def doubt(self, complete_after: float) -> str | None:
        """Say why what it lacks need not have ended, or None where it has been told of all that fires."""
        heard = [alert.updated_at for alert in self.alerts.values() if is_watchdog(alert.labels)]
        if not heard:
            return "it has no Watchdog"
        if self.at - max(heard) > complete_after:
            return f"its Watchdog was last sent {self.at - max(heard):.0f} s ago"
        if self.at - self.up_since < complete_after:
            return f"it has run for {self.at - self.up_since:.0f} s only"
        return None


def read_had(alerts: object, status: object, at: float) -> AlertmanagerAlerts:
    """Read what ``GET /api/v2/alerts`` and ``GET /api/v2/status`` answer.

    Raises ValueError if any part of it is not what Alertmanager's API v2 says.
    """
    if not isinstance(alerts, list):
        raise ValueError("the answer is no list of alerts")  # noqa: TRY004 - what came over the wire is wrong
    try:
        read = [_active(entry) for entry in alerts]
        up_since = _moment(status["uptime"])  # type: ignore[index]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"the answer cannot be read: {error!r}") from error
    return AlertmanagerAlerts({alert.fingerprint: alert for alert in read}, up_since, at)


def _active(entry: Mapping[str, Any]) -> ActiveAlert:
    labels = entry["labels"]
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("an alert's labels are no texts")
    fingerprint = entry["fingerprint"]
    if not isinstance(fingerprint, str) or not fingerprint:
        raise TypeError("an alert has no fingerprint")
    return ActiveAlert(fingerprint, labels, _moment(entry["startsAt"]), _moment(entry["updatedAt"]))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class AlertmanagerClient:
    """Speaks to one Alertmanager.  To be closed, or used as a context."""

    def __init__(self, url: str, setting: fleet_http.Setting) -> None:
        """Raises Unanswered if a file that the setting names cannot be used."""
        self._within_s = setting.timeout.total_seconds() * 4
        try:
            self._http = fleet_http.client(url, setting)
        except (OSError, ValueError) as error:
            raise Unanswered(_describe_error(error)) from error

    def __enter__(self) -> AlertmanagerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def had(self) -> AlertmanagerAlerts:
        """Ask what it has.

        Raises Unanswered unless both answers are whole and can be read.
        """
        status, _ = self._request("GET", "/api/v2/status")
        alerts, date = self._request("GET", "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true")
        try:
            return read_had(alerts, status, bounded_http.moment_of(date).timestamp())
        except ValueError as error:
            raise Unanswered(_describe_error(error)) from error

    def silences(self) -> object:
        """Return what ``GET /api/v2/silences`` answers.

        Raises Unanswered unless it is JSON.
        """
        return self._request("GET", "/api/v2/silences")[0]

    def silence(self, body: Mapping[str, Any]) -> str:
        """Make a silence; return its number.

        Raises Unanswered if nobody can say that it was made.
        """
        answer, _ = self._request("POST", "/api/v2/silences", body)
        if not isinstance(answer, dict) or not isinstance(answer.get("silenceID"), str) or not answer["silenceID"]:
            raise Unanswered("the answer has no silenceID")
        return str(answer["silenceID"])[:100]

    def expire(self, number: str) -> None:
        """End a silence.

        Raises Unanswered if nobody can say that it was ended.
        """
        self._request("DELETE", f"/api/v2/silence/{number}")

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[Any, str]:
        """Return the answer, None for an empty one, and its header ``Date``."""
        try:
            with self._http.stream(method, path, json=body) as answer:
                told = bounded_http.whole(answer, MOST_BYTES, self._within_s)
            if not answer.is_success:
                said = one_line(told[:200].decode("utf-8", "replace"))
                raise Unanswered(f"{method} {path.partition('?')[0]}: HTTP {answer.status_code} {said}")
            return (bounded_http.document(told) if told else None), answer.headers.get("date", "")
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise Unanswered(_describe_error(error)) from error


def _describe_error(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
