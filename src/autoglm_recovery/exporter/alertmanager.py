# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts straight to Alertmanager's API, without waiting for a scrape and an evaluation.

Whoever has an alert hands it over and goes on.  One thread sends, again and again with growing pauses where
Alertmanager does not answer; of each alert only the newest state is kept, and of alerts no more than ``MOST``.
"""

from __future__ import annotations

import random
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
# Of api/v2/status, which has Alertmanager's configuration in it.
_LARGEST_ANSWER = 4 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0
_TIMEOUT = 5.0
# Alertmanager forgets its alerts when it is restarted.
_RENEWED_EVERY = 60.0
# Lines of one fault come in bursts; Alertmanager need not hear of each.
_SAME_AGAIN = 5.0
_REFUSED = (400, 413, 422)
_LARGEST_SKEW = 5.0
# An answer of any other year is from no clock, and what is computed with it may be a time that nobody can write.
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
        """Return what makes it the same alert for Alertmanager."""
        return frozenset(self.labels.items())


@dataclass
class SendTotals:
    """What became of alerts."""

    sent: int = 0
    failed: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass
class _Held:
    alert: FastAlert
    due: float
    delivered: bool = False


@dataclass
class AlertSender:
    """Sends to one Alertmanager.  ``headers`` is asked anew each time, so that a token may change.

    ``timeout`` is seconds for the head of an answer, and for its body.
    """

    url: str
    headers: Callable[[], dict[str, str]] = dict
    clock: Callable[[], float] = time.monotonic
    timeout: float = _TIMEOUT
    counts: SendTotals = field(default_factory=SendTotals)
    _held: dict[frozenset[tuple[str, str]], _Held] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _skew: float = 0.0
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more; what was not delivered is in the rules' alerts too."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(2 * self.timeout + 1)

    def put(self, alert: FastAlert) -> None:
        """Take an alert over.  Never waits for Alertmanager."""
        with self._changed:
            held = self._held.pop(alert.identity, None)
            if held is None:
                if len(self._held) >= MOST:
                    del self._held[next(iter(self._held))]
                    self.counts.dropped += 1
                held = _Held(alert, self.clock())
            else:
                starts = min(held.alert.starts, alert.starts)
                due = min(held.due, self.clock() + _SAME_AGAIN) if held.delivered else held.due
                held = _Held(replace(alert, starts=starts), due, held.delivered)
            self._held[alert.identity] = held
            self._changed.notify()

    @property
    def pending(self) -> int:
        """Return how many alerts wait for their first delivery."""
        with self._changed:
            return sum(not held.delivered for held in self._held.values())

    def _run(self) -> None:
        pause = 0.0
        with bounded_http.client(timeout=self.timeout) as client:
            self._learn_skew(client)
            while True:
                batch = self._wait(pause)
                if batch is None:
                    return
                if self._post(client, batch):
                    pause = 0.0
                else:
                    grown = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, pause * 2))
                    pause = grown * random.uniform(0.5, 1.0)  # noqa: S311 - so that a fleet does not come at once

    def _wait(self, pause: float) -> list[FastAlert] | None:
        """Wait out the pause and until something is due; None to end."""
        not_before = self.clock() + pause
        with self._changed:
            while not self._stopping:
                now = self.clock()
                self._forget(time.time())
                due = [held.alert for held in self._held.values() if held.due <= now][:_BATCH]
                if due and now >= not_before:
                    return due
                next_due = min((held.due for held in self._held.values()), default=None)
                self._changed.wait(None if next_due is None else max(next_due, not_before) - now)
        return None

    def _forget(self, now: float) -> None:
        for identity in [identity for identity, held in self._held.items() if held.alert.ends <= now]:
            if not self._held.pop(identity).delivered:
                self.counts.dropped += 1

    def _post(self, client: httpx.Client, batch: list[FastAlert]) -> bool:
        body = [self._json(alert) for alert in batch]
        try:
            answer, told = self._ask(client, "POST", "alerts", json=body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            log.warning("Alertmanager did not take alerts", url=_plain(self.url), error=str(error)[:200])
            self._count("failed", len(batch))
            return False
        self._note_skew(answer)
        if answer.is_success:
            self._delivered(batch)
            return True
        said = told[:200].decode("utf-8", "replace")
        log.warning("Alertmanager refused alerts", url=_plain(self.url), status=answer.status_code, said=said)
        if answer.status_code in _REFUSED and len(batch) > 1:
            return all([self._post(client, [alert]) for alert in batch])  # noqa: C419 - every one is tried
        if answer.status_code in _REFUSED:
            self._drop(batch[0])
            return True
        self._count("failed", len(batch))
        return False

    def _delivered(self, batch: list[FastAlert]) -> None:
        with self._changed:
            self.counts.sent += len(batch)
            for alert in batch:
                held = self._held.get(alert.identity)
                if held is not None:
                    held.delivered = True
                    held.due = self.clock() + (_RENEWED_EVERY if held.alert.ends == alert.ends else _SAME_AGAIN)

    def _drop(self, alert: FastAlert) -> None:
        with self._changed:
            self._held.pop(alert.identity, None)
            self.counts.refused += 1

    def _count(self, what: str, number: int) -> None:
        with self._changed:
            setattr(self.counts, what, getattr(self.counts, what) + number)

    def _learn_skew(self, client: httpx.Client) -> None:
        try:
            self._note_skew(self._ask(client, "GET", "status")[0])
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            log.warning("Alertmanager does not answer", url=_plain(self.url), error=str(error)[:200])

    def _ask(self, client: httpx.Client, method: str, what: str, **more: Any) -> tuple[httpx.Response, bytes]:
        address = f"{self.url.rstrip('/')}/api/v2/{what}"
        return bounded_http.exchange(
            client, method, address, _LARGEST_ANSWER, self.timeout, headers=self.headers(), **more
        )

    def _note_skew(self, answer: httpx.Response) -> None:
        """Compare clocks: an alert from a node whose clock is behind would be over before it came."""
        skew = skew_of(answer.headers.get("date"), time.time())
        if skew is not None:
            self._skew = skew

    def _json(self, alert: FastAlert) -> dict[str, Any]:
        return {
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": self._time(alert.starts),
            "endsAt": self._time(alert.ends),
        }

    def _time(self, at: float) -> str:
        return datetime.fromtimestamp(at + self._skew, timezone.utc).isoformat()


def skew_of(date: str | None, now: float) -> float | None:
    """Return how many seconds the clock that wrote a date is ahead of ``now``, 0 for next to none; None if none did."""
    try:
        theirs = bounded_http.moment_of(date)
    except ValueError:
        return None
    if theirs.year not in _YEARS:
        return None
    skew = theirs.timestamp() - now
    return skew if abs(skew) > _LARGEST_SKEW else 0.0


def _plain(url: str) -> str:
    """Return a URL without what a log must not show."""
    try:
        return str(httpx.URL(url).copy_with(username=None, password=None, query=None))
    except (httpx.InvalidURL, ValueError):
        return "?"
