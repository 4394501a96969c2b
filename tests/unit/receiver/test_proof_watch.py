# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of something that is no healthy Prometheus are no proofs, and keep no other incident from its own."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from autoglm_recovery.receiver.proof_watch import LARGEST_ANSWER, ProofWatch

from .desk import desk

ONE = json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [7, "1"]}}).encode()


class FakePrometheus(ThreadingHTTPServer):
    """What no real one does at will.  Answers to each query what the test says, by the host in it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.seen: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
        self.server.seen.append((query, self.headers["Authorization"]))
        status, body = self.server.answers.get(query, (200, ONE))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def prometheus():
    with FakePrometheus() as server:
        yield server
        server.shutdown()


@pytest.fixture
def at(tmp_path, prometheus):
    """Return a desk with two repairs that wait for their proofs."""
    (tmp_path / "token").write_text("a-token\n")
    where = f"{{url: 'http://127.0.0.1:{prometheus.server_port}', token_file: {tmp_path}/token, timeout: 5s}}"
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
    return ProofWatch(at.database, lambda: at.world.policy, lambda: heard.append(True))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>"), "Expecting value"),
        ((200, b"[" * 100_000), "recursion"),
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


def test_one_that_is_down_is_not_waited_for_by_each(watch, prometheus):
    for number in ("node-a", "node-b"):
        prometheus.answers[number] = (503, b'{"status": "error", "error": "starting"}')
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
