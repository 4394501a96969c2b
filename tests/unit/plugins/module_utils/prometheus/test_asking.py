# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus is asked three things; the first of its replicas that answers them all counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import (
    EngineRequest,
    Response,
    TransportError,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.asking import (
    CannotAsk,
    Jobs,
    PrometheusServer,
    Telling,
    ask,
)

TARGET = {"labels": {"job": "node", "host": "node-a"}, "scrapeUrl": "http://192.0.2.1:9100/metrics", "lastError": "x"}
OTHERS = {"labels": {"job": "of others", "host": "node-b"}, "scrapeUrl": "http://192.0.2.2/"}
ACTIVE = {"status": "success", "data": {"activeTargets": [TARGET, OTHERS]}}
VECTOR = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {"host": "node-a"}, "value": [5.0, "1"]}]},
}
Reply = Callable[[EngineRequest], Response]


def well(request: EngineRequest) -> Response:
    """Answer as Prometheus does."""
    return Response(200, json.dumps(ACTIVE if "/api/v1/targets?" in request.url else VECTOR).encode(), 0.0)


def server(reply: Reply, *urls: str) -> PrometheusServer:
    """Return a server that answers so."""
    return PrometheusServer(urls or ("http://a",), reply, {"Authorization": "Bearer s3cret"})


def answering(status: int, body: bytes = b"") -> Reply:
    """Return what answers everything alike."""
    return lambda _request: Response(status, body, 0.0)


def test_what_is_told_is_kept_as_plain_data_without_what_nobody_needs() -> None:
    asked: list[EngineRequest] = []
    telling = ask(server(lambda request: (asked.append(request), well(request))[1]), Jobs())
    assert [each["labels"]["host"] for each in telling.targets] == ["node-a"]
    plain = json.loads(json.dumps(telling.as_plain()))
    assert Telling.of_plain(plain) == telling
    assert "lastError" not in json.dumps(plain)
    assert len(asked) == 3
    assert {request.headers["Authorization"] for request in asked} == {"Bearer s3cret"}


def test_the_first_replica_that_answers_everything_counts() -> None:
    def reply(request: EngineRequest) -> Response:
        if request.url.startswith("http://a/"):
            raise TransportError("refused", "nothing listens there")
        return Response(503, b"starting", 0.0) if request.url.startswith("http://b/api/v1/query") else well(request)

    assert ask(server(reply, "http://a", "http://b", "http://c"), Jobs()).targets
    with pytest.raises(CannotAsk) as refused:
        ask(server(reply, "http://a", "http://b"), Jobs())
    assert str(refused.value) == "http://a: nothing listens there; http://b: it answers 503: starting"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answering(401), "it answers 401: these credentials, or none, are not enough"),
        (answering(302), "a redirect, which is not followed"),
        (answering(200, b"<html>"), "is this the address of Prometheus?"),
        (answering(200, b"[" * 100_000), "is this the address of Prometheus?"),
        (answering(200, b"{}"), "the answer is none of Prometheus'"),
        (answering(200, b'{"data": {"activeTargets": [{"labels": 1}]}}'), "the answer is none of Prometheus'"),
        (answering(200, json.dumps(ACTIVE).encode()), "the answer is not as Prometheus gives it"),
        (answering(400, b"no\nsuch\x1b thing"), r"it answers 400: no such\x1b thing"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error_of_one_line(reply: Reply, said: str) -> None:
    with pytest.raises(CannotAsk) as refused:
        ask(server(reply), Jobs())
    assert said in str(refused.value)
    assert str(refused.value).isprintable()
    assert "s3cret" not in str(refused.value)


def test_names_of_jobs_are_words_and_no_expressions() -> None:
    asked: list[str] = []
    odd: dict[str, Any] = {"node": ('a"} or up{x="',), "inference": ("b|c.d",), "exporter": ()}
    ask(server(lambda request: (asked.append(request.url), well(request))[1]), Jobs(**odd))
    assert len(asked) == 2
    assert "b%5C%5C%7Cc%5C%5C.d" in asked[1]
    assert "a%5C%22%5C%5C%7D" in asked[1] or "a%5C%5C%5C%22" in asked[1]
