# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts straight to Alertmanager's API, without waiting for a scrape and an evaluation.

A caller hands an alert over and does not wait.  One thread sends, and retries with growing pauses where Alertmanager
does not answer.  Only the newest state of each alert is kept, and at most ``MOST`` alerts.
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import httpx
import structlog

from autoglm_recovery import bounded_http

MOST = 1000
_BATCH = 100
# The answer of api/v2/status contains Alertmanager's configuration.
_LARGEST_ANSWER = 4 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_TIMEOUT = 5.0
# Alerts are sent again because Alertmanager loses them at a restart.
_RENEWED_EVERY = 60.0
# Lines of one fault come in bursts, which are sent as one update.
_SAME_AGAIN = 5.0
_REFUSED = (400, 413, 422)
_LARGEST_SKEW = 5.0
# A date outside of these years is wrong, and computing with it could give a time that cannot be formatted.
_YEARS = range(2000, 2200)

log = structlog.get_logger()


@dataclass(frozen=True)
class FastAlert:
    """An alert that fires until ``ends``.  Times are this node's, in seconds since the epoch."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts: float
    ends: float

    @property
    def identity(self) -> frozenset[tuple[str, str]]:
        """Return the labels by which Alertmanager identifies the alert."""
        return frozenset(self.labels.items())


@dataclass
class SendTotals:
    """How many alerts were delivered, dropped and refused."""

    sent: int = 0
    failed: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass
class _QueuedAlert:
    alert: FastAlert
    due: float
    delivered: bool = False


@dataclass
class AlertSender:
    """Sends to one Alertmanager.  ``headers`` is called for each request, so that a token may change.

    ``timeout`` is seconds for the head of an answer, and for its body.  ``authorities``: those that Alertmanager's
    certificate may be of, in place of httpx's own.
    """

    url: str
    headers: Callable[[], dict[str, str]] = dict
    clock: Callable[[], float] = time.monotonic
    timeout: float = _TIMEOUT
    authorities: ssl.SSLContext | None = None
    counts: SendTotals = field(default_factory=SendTotals)
    _held: dict[frozenset[tuple[str, str]], _QueuedAlert] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _skew: float = 0.0
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread that sends."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending.  The alert rules raise undelivered alerts as well."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(2 * self.timeout + 1)

    def put(self, alert: FastAlert) -> None:
        """Queue an alert.  Never waits for Alertmanager."""
        with self._changed:
            held = self._held.pop(alert.identity, None)
            if held is None:
                if len(self._held) >= MOST:
                    del self._held[next(iter(self._held))]
                    self.counts.dropped += 1
                held = _QueuedAlert(alert, self.clock())
            else:
                starts = min(held.alert.starts, alert.starts)
                due = min(held.due, self.clock() + _SAME_AGAIN) if held.delivered else held.due
                held = _QueuedAlert(replace(alert, starts=starts), due, held.delivered)
            self._held[alert.identity] = held
            self._changed.notify()

    @property
    def pending(self) -> int:
        """Return how many alerts wait for their first delivery."""
        with self._changed:
            return sum(not held.delivered for held in self._held.values())

    def _run(self) -> None:
        pause = 0.0
        with bounded_http.client(verify=self.authorities, timeout=self.timeout) as client:
            self._learn_clock_skew(client)
            while True:
                batch = self._wait_for_due(pause)
                if batch is None:
                    return
                if self._post_batch(client, batch):
                    pause = 0.0
                else:
                    grown = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, pause * 2))
                    pause = grown * random.uniform(0.5, 1.0)  # noqa: S311 - so that a fleet does not come at once

    def _wait_for_due(self, pause: float) -> list[FastAlert] | None:
        """Wait for the pause and for due alerts, and return these; None at the end."""
        not_before = self.clock() + pause
        with self._changed:
            while not self._stopping:
                now = self.clock()
                self._forget_ended(time.time())
                due = [held.alert for held in self._held.values() if held.due <= now][:_BATCH]
                if due and now >= not_before:
                    return due
                next_due = min((held.due for held in self._held.values()), default=None)
                self._changed.wait(None if next_due is None else max(next_due, not_before) - now)
        return None

    def _forget_ended(self, now: float) -> None:
        for identity in [identity for identity, held in self._held.items() if held.alert.ends <= now]:
            if not self._held.pop(identity).delivered:
                self.counts.dropped += 1

    def _post_batch(self, client: httpx.Client, batch: list[FastAlert]) -> bool:
        body = [self._as_json(alert) for alert in batch]
        try:
            answer, told = self._request(client, "POST", "alerts", json=body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            log.warning("Alertmanager did not take alerts", url=_without_secrets(self.url), error=str(error)[:200])
            self._add_to_count("failed", len(batch))
            return False
        self._note_clock_skew(answer)
        if answer.is_success:
            self._note_delivered(batch)
            return True
        said = told[:200].decode("utf-8", "replace")
        log.warning("Alertmanager refused alerts", url=_without_secrets(self.url), status=answer.status_code, said=said)
        if answer.status_code in _REFUSED and len(batch) > 1:
            return all([self._post_batch(client, [alert]) for alert in batch])  # noqa: C419 - every one is tried
        if answer.status_code in _REFUSED:
            self._drop_refused(batch[0])
            return True
        self._add_to_count("failed", len(batch))
        return False

    def _note_delivered(self, batch: list[FastAlert]) -> None:
        with self._changed:
            self.counts.sent += len(batch)
            for alert in batch:
                held = self._held.get(alert.identity)
                if held is not None:
                    held.delivered = True
                    held.due = self.clock() + (_RENEWED_EVERY if held.alert.ends == alert.ends else _SAME_AGAIN)

    def _drop_refused(self, alert: FastAlert) -> None:
        with self._changed:
            self._held.pop(alert.identity, None)
            self.counts.refused += 1

    def _add_to_count(self, what: str, number: int) -> None:
        with self._changed:
            setattr(self.counts, what, getattr(self.counts, what) + number)

    def _learn_clock_skew(self, client: httpx.Client) -> None:
        try:
            self._note_clock_skew(self._request(client, "GET", "status")[0])
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            log.warning("Alertmanager does not answer", url=_without_secrets(self.url), error=str(error)[:200])

    def _request(self, client: httpx.Client, method: str, what: str, **more: Any) -> tuple[httpx.Response, bytes]:
        address = f"{self.url.rstrip('/')}/api/v2/{what}"
        return bounded_http.exchange(
            client, method, address, _LARGEST_ANSWER, self.timeout, headers=self.headers(), **more
        )

    def _note_clock_skew(self, answer: httpx.Response) -> None:
        """Compare clocks: an alert from a node whose clock is behind could end before it arrives."""
        skew = skew_of(answer.headers.get("date"), time.time())
        if skew is not None:
            self._skew = skew

    def _as_json(self, alert: FastAlert) -> dict[str, Any]:
        return {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": self._at_alertmanager(alert.starts),
            "endsAt": self._at_alertmanager(alert.ends),
        }

    def _at_alertmanager(self, at: float) -> str:
        return datetime.fromtimestamp(at + self._skew, timezone.utc).isoformat()


def skew_of(date: str | None, now: float) -> float | None:
    """Return how many seconds the date of an answer is ahead of ``now``, 0 if nearly equal; None without a date."""
    try:
        theirs = bounded_http.moment_of(date)
    except ValueError:
        return None
    if theirs.year not in _YEARS:
        return None
    skew = theirs.timestamp() - now
    return skew if abs(skew) > _LARGEST_SKEW else 0.0


def _without_secrets(url: str) -> str:
    """Return a URL without credentials, for the log."""
    try:
        return str(httpx.URL(url).copy_with(username=None, password=None, query=None))
    except (httpx.InvalidURL, ValueError):
        return "?"
