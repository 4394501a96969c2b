# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of something that is no healthy Prometheus are no proofs, and keep no other incident from its own."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from autoglm_recovery import bounded_http
from autoglm_recovery.receiver.verify import proof_watch
from autoglm_recovery.receiver.verify.proof_watch import LARGEST_ANSWER, ProofWatch
from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.unit.receiver.desk import desk

JSON = {"Content-Type": "application/json"}
ONE = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [7, "1"]}}).encode()


class FakePrometheus:
    """Answers to each query what the test says, by the host in it: also what no real one would.  See tests/FAKES.md."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.reads_look_back = True
        self.flags: tuple[int, bytes] = (404, b"not found")

    def __call__(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) == ("GET", "/api/v1/status/flags"):
            return Reply(*self.flags, JSON)
        if (asked.method, asked.path) != ("POST", "/api/v1/query"):
            return Reply(404, b"404 page not found\n")
        # Go reads a form of this type alone: of another one there would be no query.
        assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
        form = parse_qs(asked.body.decode())
        query = form["query"][0]
        if form["lookback_delta"] == ["none"]:
            # As web/api/v1/api.go (extractQueryOpts) of Prometheus 2.44 and later answers, and as 2.42 does.
            refused = b'{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration: ..."}'
            return Reply(*((400, refused) if self.reads_look_back else (200, ONE)), JSON)
        self.seen.append((query, asked.headers["Authorization"]))
        return Reply(*self.answers.get(query, (200, ONE)), JSON)


@pytest.fixture
def prometheus():
    with answering_http(FakePrometheus()) as server:
        server.answer.url = server.url
        yield server.answer


@pytest.fixture
def at(tmp_path, prometheus):
    """Return a desk with two repairs that wait for their proofs."""
    (tmp_path / "token").write_text("a-token\n")
    where = f"{{url: '{prometheus.url}', token_file: {tmp_path}/token, timeout: 5s}}"
    strategy = "{delay: 0s, verify: $host}"
    policy = f"monitoring: {{prometheus: {where}}}\nrecovery: {{strategies: {{oom: {strategy}}}}}\n"
    policy += "guardrails: {max_pool_unavailable: 100%, max_fleet_unavailable: 100%}"
    with desk(tmp_path, policy) as made:
        for host in ("node-a", "node-b"):
            made.fire(host, "oom")
            made.end_run(host, 0)
        yield made


@pytest.fixture
def heard():
    return []


@pytest.fixture
def watch(at, heard):
    return ProofWatch(at.database, lambda: at.config.policy, lambda: heard.append(True))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>"), "Expecting value"),
        ((200, b"[" * 100_000), "nested too deeply"),
        ((200, b"{}"), "not as Prometheus gives it"),
        ((200, b"x" * (LARGEST_ANSWER + 1)), "more than 4 MiB"),
        (
            (400, b'{"status": "error", "error": "parse error: unexpected <eof>"}'),
            "does not take the expression: parse",
        ),
        ((400, b"[]"), "list indices"),
    ],
)
def test_what_is_no_answer_is_unknown_and_the_next_incident_is_asked_about(watch, prometheus, answer, said):
    prometheus.answers["node-a"] = answer
    watch.look()
    assert watch.of(1).holds is None
    assert said in watch.of(1).said
    assert watch.of(2).holds is True
    assert {token for _query, token in prometheus.seen} == {"Bearer a-token"}


@pytest.mark.usefixtures("prometheus")
def test_an_answer_that_drips_is_not_waited_for(watch, monkeypatch):
    whole = bounded_http.whole
    monkeypatch.setattr(bounded_http, "whole", lambda answer, most_bytes, _within_s: whole(answer, most_bytes, 0.0))
    watch.look()
    assert watch.of(1).holds is None
    assert "takes longer than 0 s" in watch.of(1).said


def test_one_that_is_down_is_not_waited_for_by_each(watch, prometheus):
    for number in ("node-a", "node-b"):
        prometheus.answers[number] = (503, b"Service Unavailable")
    watch.look()
    assert [watch.of(run).holds for run in (1, 2)] == [None, None]
    assert "503" in watch.of(2).said
    assert len(prometheus.seen) == 1


def test_an_incident_is_due_when_its_answer_is_another(watch, prometheus, at, heard):
    watch.look()
    # At once by the wall's clock, which is behind the desk's; before, at the end of resolve_within.
    assert [at.incident(number).due_at < at.now for number in (1, 2)] == [True, True]
    assert heard == [True]
    watch.look()
    assert heard == [True]
    prometheus.answers["node-b"] = (200, ONE.replace(b'"1"', b'"0"'))
    watch.look()
    assert heard == [True, True]
    assert (watch.of(1).holds, watch.of(2).holds) == (True, False)


def test_without_an_expression_nobody_is_asked(watch, prometheus, at):
    at.policy("")
    watch.look()
    assert prometheus.seen == []


def test_what_is_over_is_asked_about_no_more(watch, prometheus, at):
    at.order(1, "close")
    watch.look()
    assert [query for query, _token in prometheus.seen] == ["node-b"]


@pytest.mark.parametrize(
    ("flags", "seconds"),
    [
        ((200, b'{"status":"success","data":{"query.lookback-delta":"1m30s"}}'), 90),
        ((200, b'{"status":"success","data":{}}'), 300),
        ((404, b"not found"), 300),
        ((200, b"<html>"), 300),
    ],
)
def test_one_that_looks_back_as_far_as_it_likes_is_believed_when_that_is_over(
    watch, prometheus, at, monkeypatch, flags, seconds
):
    prometheus.reads_look_back, prometheus.flags = False, flags
    prometheus.answers["node-b"] = (200, ONE.replace(b'"1"', b'"0"'))
    monkeypatch.setattr(proof_watch, "wall", lambda: at.now + seconds - 1)
    watch.look()
    assert (watch.of(1).holds, watch.of(1).counts_from) == (None, at.now + seconds)
    assert "it is 1; this may be from before the repair" in watch.of(1).said
    # What it denies it denies at once.
    assert watch.of(2).holds is False
    monkeypatch.setattr(proof_watch, "wall", lambda: at.now + seconds)
    watch.look()
    assert watch.of(1).holds is True
