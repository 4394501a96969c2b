# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair that a real Prometheus has to see before the receiver believes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.integration.exporter.running import Running
from tests.integration.receiver.running import Receiver, alert, now, payload, serving
from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

# One that cannot be asked to look back less, as Debian 12's, is believed when that time has passed since the repair.
LOOKS_BACK_SHORTLY = "--query.lookback-delta=2s"


class FakeEngine:
    """Something with a metric that the test sets.  A real Prometheus reads it.  See tests/FAKES.md."""

    def __init__(self) -> None:
        self.tokens_per_second = 0.0
        self.port = 0

    def __call__(self, asked: Asked) -> Reply:
        if asked.path != "/metrics":
            return Reply(404)
        page = f"tokens_per_second {self.tokens_per_second}\n".encode()
        return Reply(200, page, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


@pytest.fixture
def measured() -> Iterator[FakeEngine]:
    engine = FakeEngine()
    with answering_http(engine) as server:
        engine.port = server.server_port
        yield engine


@pytest.fixture
def prometheus(tmp_path: Path, measured: FakeEngine) -> Iterator[Running]:
    """Return a Prometheus that scrapes it as the host node-a."""
    (tmp_path / "prometheus").mkdir()
    targets = [{"targets": [f"127.0.0.1:{measured.port}"], "labels": {"host": "node-a"}}]
    config = {
        "scrape_configs": [
            {"job_name": "engine", "scrape_interval": "200ms", "scrape_timeout": "200ms", "static_configs": targets}
        ]
    }
    (tmp_path / "prometheus/prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    running = Running([tool("prometheus"), *words, LOOKS_BACK_SHORTLY], tmp_path / "prometheus", port)
    running.start()
    try:
        until("Prometheus", lambda: (answer := running.get("/-/ready")) is not None and answer.is_success)
        yield running
    finally:
        if running.process is not None:
            running.stop()


@contextmanager
def asking(directory: Path, port: int, expression: str, resolve_within: str) -> Iterator[Receiver]:
    """Run a receiver that asks this Prometheus after each repair."""
    strategy = {"delay": "0s", "resolve_within": resolve_within, "verify": expression}
    where = {"url": f"http://127.0.0.1:{port}", "every": "500ms", "timeout": "1s"}
    policy = {"monitoring": {"prometheus": where}, "recovery": {"strategies": {"oom": strategy}}}
    (directory / "receiver").mkdir()
    with serving(directory / "receiver", policy=yaml.safe_dump(policy)) as receiver:
        yield receiver


def repair(receiver: Receiver) -> None:
    """Have an alert fire, be repaired, and resolve."""
    fired = alert(start=now())
    receiver.post(payload(fired))
    until("the playbook to have proven its repair", lambda: receiver.incidents("verifying"))
    receiver.post(payload({**fired, "status": "resolved", "endsAt": now()}))


def texts(receiver: Receiver) -> list[str]:
    return [line["text"] for line in receiver.get("/api/v1/incidents/1")["timeline"]]


def test_a_repair_is_believed_when_prometheus_sees_it(
    tmp_path: Path, prometheus: Running, measured: FakeEngine
) -> None:
    with asking(tmp_path, prometheus.port, 'tokens_per_second{host="$host"} > 0', "5m") as receiver:
        repair(receiver)
        until("it to be told", lambda: any("verify has not been seen to hold" in text for text in texts(receiver)))
        assert receiver.incidents("verifying")
        measured.tokens_per_second = 42.0
        until("the incident to end", lambda: receiver.incidents("resolved"))
        assert "verify holds: it is 42 for" in texts(receiver)[-1]
        assert "host=node-a" in texts(receiver)[-1]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('tokens_per_second{host="$host"} > 0', "it finds nothing"),
        ("tokens_per_second{", "Prometheus does not take the expression"),
        ('tokens_per_second{gpu="$gpu"}', "the incident has no gpu"),
    ],
)
def test_one_that_prometheus_does_not_see_is_a_person_s(
    tmp_path: Path, prometheus: Running, expression: str, said: str
) -> None:
    with asking(tmp_path, prometheus.port, expression, "3s") as receiver:
        repair(receiver)
        until("a person to be called", lambda: receiver.incidents("unproven"))
        assert said in receiver.incidents("unproven")[0]["reason"]
        assert [run["state"] for run in receiver.runs(1)] == ["unverified"]


def test_what_was_measured_before_the_repair_is_no_proof(
    tmp_path: Path, prometheus: Running, measured: FakeEngine
) -> None:
    measured.tokens_per_second = 42.0
    known = '/api/v1/query?query=tokens_per_second{host="node-a"}'

    def value() -> list[object]:
        answer = prometheus.get(known)
        return answer.json()["data"]["result"] if answer is not None and answer.is_success else []

    until("Prometheus to have seen it", lambda: value() and value()[0]["value"][1] == "42")
    # From now on nothing new comes, and the old sample counts for five minutes to who does not ask for less.
    prometheus.stop()
    prometheus.command.remove(LOOKS_BACK_SHORTLY)
    (tmp_path / "prometheus/prometheus.yml").write_text("scrape_configs: []\n")
    prometheus.start()
    until("Prometheus to know it again", value)
    with asking(tmp_path, prometheus.port, 'tokens_per_second{host="$host"} > 0', "3s") as receiver:
        repair(receiver)
        repaired = time.monotonic()
        # A newer Prometheus is asked to look back less; of an older one the answer counts when it cannot be of before.
        told = ("it finds nothing", "it counts from")
        until("it to be told", lambda: any(words in text for words in told for text in texts(receiver)))
        assert value()
        until("the time for a proof to be over", lambda: time.monotonic() > repaired + 4)
        assert not receiver.incidents("resolved")


def test_without_prometheus_nothing_is_believed_and_the_receiver_goes_on(tmp_path: Path, prometheus: Running) -> None:
    prometheus.stop()
    with asking(tmp_path, prometheus.port, "vector(1)", "15s") as receiver:
        repair(receiver)
        until("it to be told", lambda: any("Prometheus cannot be asked" in text for text in texts(receiver)))
        assert receiver.incidents("verifying")
        prometheus.start()
        until("the incident to end", lambda: receiver.incidents("resolved"))
