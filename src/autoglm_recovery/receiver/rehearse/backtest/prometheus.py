# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a Prometheus for the alerts that it has recorded, within bounds of time and size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.receiver.fleet.fleet_http import shown
from autoglm_recovery.receiver.rehearse.backtest.events import (
    AlertRecord,
    FiringSpan,
    Series,
    alert_labels,
    joined,
    spans_of,
)

ALERTS = 'ALERTS{alertstate="firing"}'
# Something that every Prometheus records that scrapes anything: where it is missing, nothing was recorded.
ANYTHING = "count(up)"

# Prometheus refuses a range of more than 11,000 points a series (web/api/v1/api.go).
MOST_POINTS = 10_000
LARGEST_ANSWER = 64 << 20
MOST_SERIES = 50_000
TIMEOUT_S = 60
LONGEST_ANSWER_S = 600
_SLACK_S = 0.01
# Answers to a range that is too much for a server or for something in front of it: half of it may do.
_TOO_MUCH = (413, 422, 503, 504)


class RecordError(RuntimeError):
    """The record could not be read, and why."""


class _TooMuch(Exception):
    """This range is more than one answer can hold, and what was said about it."""


@dataclass
class _Found:
    """What was read so far, chunk by chunk."""

    step: float
    spans: dict[tuple[tuple[str, str], ...], list[FiringSpan]] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)

    def add(self, answer: dict[str, Any], start: float, end: float) -> None:
        self.warnings.update(dict.fromkeys(map(str, answer.get("warnings") or ())))
        for one in answer["data"]["result"]:
            labels = alert_labels(one["metric"].items())
            spans = spans_of((float(moment) for moment, _value in one["values"]), self.step)
            if not all(start <= span.first + _SLACK_S and span.last <= end + _SLACK_S for span in spans):
                raise ValueError("a moment for which nobody asked")
            self.spans.setdefault(labels, []).extend(spans)
        if len(self.spans) > MOST_SERIES:
            raise RecordError(f"more than {MOST_SERIES} different alerts; ask for less with --since")


class PrometheusRecord:
    """Reads one Prometheus, or what speaks its query API."""

    def __init__(self, client: httpx.Client, url: str) -> None:
        self._client = client
        self._address = url.rstrip("/") + "/api/v1/query_range"
        self._shown = shown(url)

    def read(
        self, since: float, until: float, step: float, told: Callable[[float], None] = lambda _: None
    ) -> AlertRecord:
        """Read all alerts that fired, on the grid of multiples of ``step``.  ``told`` hears how much is done, 0 to 1.

        Raises RecordError if it cannot be read as a whole.
        """
        first, last = -int(-since // step) * step, int(until // step) * step
        if last <= first:
            raise RecordError("the range holds no step; ask for more with --since, or for a shorter --step")
        alerts, anything = _Found(step), _Found(step)
        for start, end in chunks(first, last, step):
            self._range(ALERTS, start, end, alerts)
            self._range(ANYTHING, start, end, anything)
            told((end - first) / (last - first))
        seen = joined((span for spans in anything.spans.values() for span in spans), step)
        series = [Series(labels, joined(spans, step)) for labels, spans in sorted(alerts.spans.items())]
        return AlertRecord(first, last, step, tuple(series), seen, (*alerts.warnings, *anything.warnings))

    def _range(self, query: str, start: float, end: float, found: _Found) -> None:
        """Read a range; what is too much at once is read in halves."""
        try:
            found.add(self._ask(query, start, end, found.step), start, end)
        except _TooMuch as error:
            points = round((end - start) / found.step)
            if points < 1:
                raise RecordError(f"Prometheus at {self._shown} cannot answer for one moment: {error}") from error
            middle = start + points // 2 * found.step
            self._range(query, start, middle, found)
            self._range(query, middle + found.step, end, found)
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise RecordError(f"{self._shown} answers, but not as Prometheus does: {error!r}") from error

    def _ask(self, query: str, start: float, end: float, step: float) -> dict[str, Any]:
        asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        try:
            with self._client.stream("GET", self._address, params={**asked, "timeout": f"{TIMEOUT_S}s"}) as answer:
                body = bounded_http.whole(answer, LARGEST_ANSWER, LONGEST_ANSWER_S)
        except bounded_http.AnswerTooLong as error:
            raise _TooMuch(str(error)) from error
        except httpx.TimeoutException as error:
            raise RecordError(f"Prometheus at {self._shown} did not answer in {TIMEOUT_S} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RecordError(f"Prometheus at {self._shown} cannot be asked: {error}") from error
        if answer.status_code in _TOO_MUCH:
            raise _TooMuch(f"{answer.status_code} {_error_text(body)}")
        if answer.status_code != 200:
            raise RecordError(f"Prometheus at {self._shown} refused ({answer.status_code}): {_error_text(body)}")
        read = bounded_http.document(body)
        if read["status"] != "success" or read["data"]["resultType"] != "matrix":
            raise ValueError(f"status {read['status']!r}")
        return dict(read)


def chunks(first: float, last: float, step: float) -> Iterator[tuple[float, float]]:
    """Cut a grid into ranges of points, none of which is in two of them."""
    points = round((last - first) / step) + 1
    for at in range(0, points, MOST_POINTS):
        yield first + at * step, first + min(at + MOST_POINTS, points) * step - step


def _error_text(body: bytes) -> str:
    """Return what a server said, short and in one line that cannot paint on a terminal."""
    try:
        said = str(bounded_http.document(body)["error"])
    except (KeyError, RecursionError, TypeError, ValueError):
        said = body[:1000].decode(errors="replace")
    return one_line(said, 300)
