# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m bench.receiver_state``: commits, storms, takeovers and idling, on SQLite and on PostgreSQL.

Runs here are real supervisors over a playbook that only sleeps: what Ansible costs is another figure.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.load import CONNECTIONS, send
from tests.integration.receiver.running import alert, now, payload
from tests.integration.replicas.nursery import POLICY, Receiver, wait_for_incidents
from tests.support.servers import postgres
from tests.support.servers.waiting import until

SECONDS = 6.0
TAKEOVERS = 5
IDLE_SECONDS = 10.0
STORM_HOSTS, STORM_ALERTS = 1000, 10_000
WATCH = "recovery: {autonomy: watch}"


def main() -> None:
    """Measure, and print each figure beside its baseline."""
    with postgres.running() as server:
        for kind in ("SQLite", "PostgreSQL"):
            commits(kind, server)
            storms(kind, server)
            idle(kind, server)
        takeovers(server)


@contextmanager
def receivers(kind: str, server: postgres.Postgres, count: int = 1, **settings: Any) -> Iterator[list[Receiver]]:
    """Run receivers on an empty database."""
    with tempfile.TemporaryDirectory() as directory:
        url = server.database() if kind == "PostgreSQL" else None
        given = {"lease": None, "hosts": STORM_HOSTS, **settings}
        made = [Receiver(Path(directory), f"r{n}", database=url, **given) for n in range(count)]
        try:
            for receiver in made:
                receiver.start()
            for receiver in made:
                until("the receiver to be ready", receiver.ready)
            yield made
        finally:
            for receiver in made:
                receiver.end()


def commits(kind: str, server: postgres.Postgres) -> None:
    """Count durable commits, alone and while runs go on, beside one commit after the other."""
    alone = one_after_the_other(server) if kind == "PostgreSQL" else sqlite_one_after_the_other()
    print(f"{kind}: webhooks committed, one alert each, {CONNECTIONS} connections")
    print(f"  one INSERT and COMMIT after the other    {alone:7.0f} /s   baseline")
    with receivers(kind, server, work_s=0.2) as (receiver,):
        for name, hosts in (("nothing else going on", 0), ("6 runs at a time going on", 500)):
            if hosts:
                body = payload(*(alert(f"h{n}", start=now()) for n in range(hosts)))
                receiver.client.post(f"{receiver.url}/api/v1/alerts", json=body).raise_for_status()
            load = send(receiver.port, SECONDS, now())
            refused = f"   {load.refused} NOT COMMITTED" if load.refused else ""
            times = f"median {load.percentile(0.5):.0f} ms   p99 {load.percentile(0.99):.0f} ms{refused}"
            print(f"  {name:38}   {load.rate:7.0f} /s   x {load.rate / alone:.2f}   {times}")


def one_after_the_other(server: postgres.Postgres) -> float:
    """Return how many commits a second one connection makes without grouping them."""
    with psycopg.connect(server.database(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t (body TEXT)")
        return _rate(lambda: connection.execute("INSERT INTO t VALUES (%s)", ("x" * 400,)))


def sqlite_one_after_the_other() -> float:
    """Return how many commits a second one writer makes without grouping them."""
    import sqlite3  # noqa: PLC0415 - beside its use

    with tempfile.TemporaryDirectory() as directory:
        connection = sqlite3.connect(Path(directory) / "t.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE t (body TEXT)")
        rate = _rate(lambda: connection.execute("INSERT INTO t VALUES (?)", ("x" * 400,)))
        connection.close()
        return rate


def _rate(commit: Any) -> float:
    count, begun = 0, time.monotonic()
    while time.monotonic() - begun < SECONDS / 2:
        commit()
        count += 1
    return count / (time.monotonic() - begun)


def storms(kind: str, server: postgres.Postgres) -> None:
    """Time a storm of 200 to the end of its runs, and one of 10,000 to the decisions about it."""
    with receivers(kind, server, work_s=0.0) as (receiver,):
        begun = time.monotonic()
        body = payload(*(alert(f"h{n}", start=now()) for n in range(200)))
        receiver.client.post(f"{receiver.url}/api/v1/alerts", json=body).raise_for_status()
        committed = time.monotonic() - begun
        wait_for_incidents(receiver, "verifying", 200)
        took = time.monotonic() - begun
    print(f"{kind}: 200 alerts in a group: 200 after {committed:.2f} s, {took:.1f} s to the end of 200 runs")
    with receivers(kind, server, policy=WATCH) as (receiver,):
        begun = time.monotonic()
        for at in range(0, STORM_ALERTS, 500):
            some = [alert(f"h{n % STORM_HOSTS}", start=now(), alertname=f"A{n}") for n in range(at, at + 500)]
            receiver.client.post(f"{receiver.url}/api/v1/alerts", json=payload(*some)).raise_for_status()
        committed = time.monotonic() - begun
        wait_for_incidents(receiver, "held", STORM_HOSTS)
        while receiver.get("/api/v1/alerts?outcome=new&limit=1")["alerts"]:
            time.sleep(0.1)
        took, memory = time.monotonic() - begun, _process(receiver).memory_info().rss / 1e6
    print(
        f"{kind}: {STORM_ALERTS} alerts over {STORM_HOSTS} hosts in groups of 500: committed in {committed:.1f} s, "
        f"{STORM_HOSTS} incidents decided about after {took:.1f} s, {memory:.0f} MB then"
    )


def idle(kind: str, server: postgres.Postgres) -> None:
    """Say what doing nothing costs."""
    with receivers(kind, server) as (receiver,):
        process = _process(receiver)
        before = process.cpu_times()
        time.sleep(IDLE_SECONDS)
        after = process.cpu_times()
        share = (after.user + after.system - before.user - before.system) / IDLE_SECONDS
        memory = process.memory_info().rss / 1e6
    print(f"{kind}: idle {share:.2%} of a core, {memory:.0f} MB (forked; `autoglm serve` loads the same)")


def takeovers(server: postgres.Postgres) -> None:
    """Time from kill -9 of a run's receiver until another has taken the run over."""
    took = []
    for _ in range(TAKEOVERS):
        with receivers("PostgreSQL", server, count=2, work_s=1000.0, policy=POLICY) as pair:
            pair[0].client.post(f"{pair[0].url}/api/v1/alerts", json=payload(alert("h1", start=now())))
            begun = until("the run to begin", lambda pair=pair: _runs(pair[1]))
            dead, alive = pair if (pair[0].state_dir / "replica").read_text() == begun[0]["owner"] else pair[::-1]
            dead.kill()
            killed = time.monotonic()
            until("the takeover", lambda alive=alive: _runs(alive)[0]["state"] == "lost")
            took.append(time.monotonic() - killed)
    times = f"median {statistics.median(took):.1f} s, max {max(took):.1f} s"
    print(f"takeover after kill -9, lease 5 s, {TAKEOVERS} times: {times}")


def _runs(receiver: Receiver) -> list[dict[str, Any]]:
    if not receiver.get("/api/v1/incidents")["incidents"]:
        return []
    runs: list[dict[str, Any]] = receiver.get("/api/v1/incidents/1")["runs"]
    return [run for run in runs if run["state"] != "launching"]


def _process(receiver: Receiver) -> psutil.Process:
    assert receiver.process is not None
    return psutil.Process(receiver.process.pid)


if __name__ == "__main__":
    main()
