# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does not answer as Prometheus does is refused with a sentence, and what answers too much is asked in halves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from autoglm_recovery.receiver.rehearse.backtest import prometheus
from autoglm_recovery.receiver.rehearse.backtest.events import AlertRecord, FiringSpan
from autoglm_recovery.receiver.rehearse.backtest.prometheus import PrometheusRecord, RecordError
from tests.support.servers.http_answers import Asked, Reply, answering_http

JSON = {"Content-Type": "application/json"}
Range = tuple[float, float]


@contextmanager
def answering(answer: Callable[[str, Range], tuple[int, bytes]]) -> Iterator[str]:
    """A fake Prometheus: serve answers to queries about ranges, on this machine alone.  See tests/FAKES.md."""

    def reply(asked: Asked) -> Reply:
        if (asked.method, asked.path) != ("GET", "/api/v1/query_range"):
            return Reply(404, b"404 page not found\n")
        found = {name: values[0] for name, values in asked.query.items()}
        start, end = float(found["start"]), float(found["end"])
        if (end - start) / float(found["step"]) > 11000:
            # web/api/v1/api.go, queryRange.
            return Reply(400, b'{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution"}', JSON)
        return Reply(*answer(found["query"], (start, end)), JSON)

    with answering_http(reply) as server:
        yield server.url


def read(url: str) -> AlertRecord:
    """Read an hour."""
    with httpx.Client(trust_env=False) as client:
        return PrometheusRecord(client, url).read(1_000_000.0, 1_003_600.0, 30.0)


def matrix(*moments: float, **metric: str) -> bytes:
    """Return one series as Prometheus does."""
    result = [{"metric": metric, "values": [[moment, "1"] for moment in moments]}] if moments else []
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html>", b"[]", b"\xff\xfe", b"[" * 200_000, b'{"status": "error"}'),
        b'{"status": "success", "data": {"resultType": "vector", "result": []}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": [], "values": []}]}}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [["x"]]}]}}',
        *(matrix(float("nan")), matrix(5.0), matrix(1e300)),
    ],
)
def test_rubbish_is_refused(body):
    with (
        answering(lambda _query, _range: (200, body)) as url,
        pytest.raises(RecordError, match="not as Prometheus does"),
    ):
        read(url)


def test_a_refusal_is_passed_on_in_the_servers_words():
    with (
        answering(lambda *_: (403, b'{"error": "no\\nsuch \\u001btenant"}')) as url,
        pytest.raises(RecordError) as refused,
    ):
        read(url)
    assert str(refused.value).endswith("refused (403): no such \\x1btenant")


def test_what_is_too_much_at_once_is_read_in_halves_without_a_moment_lost():
    asked = []

    def answer(query: str, between: Range) -> tuple[int, bytes]:
        start, end = between
        if end - start > 600:
            return 422, b'{"error": "query processing would load too many samples into memory"}'
        asked.append((query, start, end))
        return 200, matrix(*(start + n * 30 for n in range(round((end - start) / 30) + 1)), alertname="Oom")

    with answering(answer) as url:
        record = read(url)
    assert [series.spans for series in record.series] == [(FiringSpan(record.since, record.until),)]
    assert record.holes == ()
    assert len(asked) > 10


def test_what_is_too_much_for_a_moment_is_given_up():
    said = "cannot answer for one moment: 422 too many samples"
    body = b'{"error": "too many samples"}'
    with answering(lambda *_: (422, body)) as url, pytest.raises(RecordError, match=said):
        read(url)


def test_an_answer_without_an_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(prometheus, "LARGEST_ANSWER", 100)
    with answering(lambda *_: (200, b" " * 101)) as url, pytest.raises(RecordError, match="an answer of more than"):
        read(url)


def test_more_alerts_than_anybody_replays_are_refused(monkeypatch):
    monkeypatch.setattr(prometheus, "MOST_SERIES", 0)
    with answering(lambda _, between: (200, matrix(between[0]))) as url, pytest.raises(RecordError, match="--since"):
        read(url)
