# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two receivers on one database: each thing once, and what one leaves the other takes over."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.receiver.running import alert, now, payload
from tests.support.servers.waiting import until

from .pair import Pair, log_of


def playbooks_of(receiver):
    """Return the processes of playbooks that a receiver had started."""
    import psutil  # noqa: PLC0415 - some tests ask

    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if "ansible-playbook" in line and str(receiver.directory) in line and process.info["status"] != "zombie":
            found.append(process)
    return found


def succeeded(receiver, count=1):
    """Wait until the incidents were repaired."""
    until(f"{count} repairs", lambda: len(receiver.incidents("verifying")) == count)


def test_a_storm_of_redeliveries_to_both_is_acted_on_once_each(tmp_path, postgresql):
    hosts = tuple(f"h{n}" for n in range(4))
    pair = Pair(tmp_path, postgresql.database(), hosts=hosts, lease="60s")
    try:
        pair.start()
        start = now()
        bodies = [payload(alert(host, start=start)) for host in hosts for _ in range(10)]
        with ThreadPoolExecutor(10) as senders:
            answers = list(senders.map(lambda n: (pair.a, pair.b)[n % 2].post(bodies[n]), range(len(bodies))))
        assert all(answer.status_code == 200 for answer in answers)
        assert sum(answer.json()["committed"] for answer in answers) == len(hosts)
        assert sum(answer.json()["duplicates"] for answer in answers) == len(bodies) - len(hosts)
        succeeded(pair.a, len(hosts))
        assert sorted(line.split()[:2] for line in pair.a.marks) == sorted(
            [word, host] for word in ("begin", "end") for host in hosts
        )
    finally:
        pair.end()


def test_a_run_of_a_killed_receiver_ends_and_the_other_goes_on(pair):
    pair.start()
    pair.a.hold()
    pair.a.post(payload(alert(start=now())))
    dead, alive = pair.owner()
    dead.kill()
    until("the second attempt", lambda: len(alive.runs(1)) == 2)
    assert playbooks_of(dead) == []
    alive.let_go()
    succeeded(alive)
    first, second = alive.runs(1)
    assert (first["state"], second["state"]) == ("lost", "succeeded")
    assert second["owner"] != dead.directory.joinpath("state/replica").read_text()
    # The first was cut off in its middle; the second has a higher token than the claim that closed the first.
    assert first["fence"] < second["fence"]
    assert alive.marks == ["begin node-a 1", "begin node-a 2", "end node-a 2"]
    told = [line["text"] for line in alive.get("/api/v1/incidents/1")["timeline"]]
    assert any("took the run over" in text for text in told)
    assert any("died or froze" in text for text in told)


def test_a_frozen_receiver_loses_its_run_and_is_well_when_it_wakes(pair):
    pair.start()
    pair.a.hold()
    pair.a.post(payload(alert(start=now())))
    frozen, alive = pair.owner()
    assert frozen.process is not None
    frozen.process.send_signal(signal.SIGSTOP)
    until("the second attempt", lambda: len(alive.runs(1)) == 2)
    # Its supervisor was not frozen, and ended the playbook before the other began.
    assert playbooks_of(frozen) == []
    alive.let_go()
    succeeded(alive)
    frozen.process.send_signal(signal.SIGCONT)
    until("the frozen one to be ready again", frozen.ready)
    assert [run["state"] for run in frozen.runs(1)] == ["lost", "succeeded"]
    assert sum(line.startswith("end") for line in alive.marks) == 1
    # And it takes part again.
    frozen.post(payload(alert("node-b", start=now())))
    succeeded(frozen, 2)


def test_a_receiver_that_is_back_within_its_lease_keeps_its_run(tmp_path, postgresql):
    pair = Pair(tmp_path, postgresql.database(), lease="60s")
    try:
        pair.start()
        pair.a.hold()
        pair.a.post(payload(alert(start=now())))
        dead, alive = pair.owner()
        dead.kill()
        dead.start()
        dead.let_go()
        succeeded(alive)
        assert [run["state"] for run in alive.runs(1)] == ["succeeded"]
        assert alive.marks == ["begin node-a 1", "end node-a 1"]
    finally:
        pair.end()


def test_alerts_that_a_killed_receiver_accepted_are_acted_on_by_the_other(tmp_path, postgresql):
    hosts = tuple(f"h{n}" for n in range(20))
    # Twenty at once would only wait for each other; that each is acted on is the point.
    pair = Pair(tmp_path, postgresql.database(), hosts=hosts, policy="recovery: {autonomy: watch}")
    try:
        pair.start()
        start = now()
        accepted = [pair.a.post(payload(alert(host, start=start))).status_code for host in hosts]
        pair.a.kill()
        assert accepted == [200] * len(hosts)
        until("all of them to be decided about", lambda: len(pair.b.incidents("held")) == len(hosts))
    finally:
        pair.end()


def test_an_order_to_one_ends_the_run_of_the_other(pair):
    pair.start()
    pair.a.hold()
    pair.a.post(payload(alert(start=now())))
    has, other = pair.owner()
    assert other.order(1, "close").json()["state"] == "closed"
    until("the run to end", lambda: other.runs(1)[0]["state"] == "cancelled")
    assert playbooks_of(has) == []
    assert other.incidents("closed")
    assert other.marks == ["begin node-a 1"]


@pytest.mark.parametrize("url", ["postgresql://autoglm:secret-word@127.0.0.1:1/x", "mysql://a:secret-word@b/c"])
def test_a_database_that_cannot_be_used_is_said_without_its_password(tmp_path, url):
    pair = Pair(tmp_path, url)
    with pytest.raises(AssertionError):
        pair.a.start()
    assert "database" in log_of(pair.a)
    assert "secret-word" not in log_of(pair.a)
