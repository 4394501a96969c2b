# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers killed at any moment, again and again, on both databases.

AUTOGLM_KILLS=5000 makes it as many as one has time for; AUTOGLM_SEED makes it other moments.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter, defaultdict

import pytest

from tests.integration.replicas.nursery import Receiver, Sender, marks_of, wait_for_incidents
from tests.support.servers.waiting import until

KILLS = int(os.environ.get("AUTOGLM_KILLS", "60"))
SEED = int(os.environ.get("AUTOGLM_SEED", "5"))
NEW_ALERTS_PER_LIFE = 2
LONGEST_LIFE_S = 0.35


@pytest.fixture
def herd(tmp_path, postgresql):
    """Return a function that makes receivers on one database; they end with the test."""
    made: list[Receiver] = []

    def make(kind: str, count: int, lease: str) -> list[Receiver]:
        database = postgresql.database() if kind == "postgresql" else None
        hosts = KILLS * NEW_ALERTS_PER_LIFE
        made.extend(Receiver(tmp_path, f"r{n}", database, lease, hosts) for n in range(count))
        return made

    yield make
    for receiver in made:
        receiver.end()


def live(receiver: Receiver, chance: random.Random) -> None:
    """Let a receiver live until some moment: of its work mostly, of its start now and then."""
    if chance.random() < 0.8:
        until("the receiver to answer", receiver.answers)
    time.sleep(chance.uniform(0, LONGEST_LIFE_S))


def finish(receivers: list[Receiver], sender: Sender, count: int) -> Receiver:
    """Let all live until everything is done; return one of them."""
    for receiver in receivers:
        if receiver.process is None or not receiver.process.is_alive():
            receiver.start()
    for receiver in receivers:
        until("the receiver to be ready", receiver.ready)
    sender.stop()
    wait_for_incidents(receivers[0], "verifying", count)
    return receivers[0]


def runs_by_host(receiver: Receiver, hosts: int) -> dict[str, list[dict[str, object]]]:
    """Return the runs of every incident, which are as many as hosts."""
    found = {}
    # Numbers are given in order, with gaps where a transaction was cut off.
    newest = receiver.get("/api/v1/incidents?limit=1")["incidents"][0]["id"]
    for number in range(1, newest + 1):
        answer = receiver.client.get(f"{receiver.url}/api/v1/incidents/{number}")
        if answer.status_code == 404:
            continue
        incident = answer.json()
        assert incident["host"] not in found, "one incident a host"
        found[incident["host"]] = incident["runs"]
        assert incident["alerts"][0]["outcome"] == "joined"
    assert len(found) == hosts
    return found


@pytest.mark.parametrize(("kind", "count"), [("sqlite", 1), ("postgresql", 2)])
def test_killed_and_started_again_nothing_is_lost_and_nothing_runs_twice(herd, kind, count):
    chance = random.Random(SEED)  # noqa: S311 - the same moments in every run
    receivers = herd(kind, count, "2m")
    sender = Sender(receivers)
    for kill in range(KILLS):
        receiver = receivers[kill % count]
        if receiver.process is None:
            receiver.start()
        sender.offer(range(kill * NEW_ALERTS_PER_LIFE, (kill + 1) * NEW_ALERTS_PER_LIFE))
        live(receiver, chance)
        receiver.kill()
        receiver.start()
    hosts = KILLS * NEW_ALERTS_PER_LIFE
    witness = finish(receivers, sender, hosts)
    assert set(sender.accepted) == set(range(hosts))
    for host, runs in runs_by_host(witness, hosts).items():
        assert [run["state"] for run in runs] == ["succeeded"], (host, runs)
    counted = Counter((word, host) for word, host, _ in marks_of(witness))
    assert counted == {(word, f"h{n}"): 1 for n in range(hosts) for word in ("begin", "end")}


def test_killed_and_frozen_the_others_take_over_and_no_two_ever_act_on_one_host(herd):
    chance = random.Random(SEED)  # noqa: S311 - as above
    receivers = herd("postgresql", 3, "2s")
    sender = Sender(receivers)
    for receiver in receivers:
        receiver.work_s = 1.0
        receiver.start()
    for kill in range(KILLS // 2):
        receiver = chance.choice(receivers)
        sender.offer(range(kill * NEW_ALERTS_PER_LIFE, (kill + 1) * NEW_ALERTS_PER_LIFE))
        live(receiver, chance)
        if chance.random() < 0.5:
            receiver.kill()
            time.sleep(chance.uniform(0, 0.5))
            receiver.start()
        else:
            receiver.send(signal.SIGSTOP)
            time.sleep(chance.uniform(0, 4))
            receiver.send(signal.SIGCONT)
    hosts = KILLS // 2 * NEW_ALERTS_PER_LIFE
    witness = finish(receivers, sender, hosts)
    assert set(sender.accepted) == set(range(hosts))
    taken_over = 0
    for host, runs in runs_by_host(witness, hosts).items():
        *lost, last = [run["state"] for run in runs]
        assert (set(lost) | {"lost", last}) == {"lost", "succeeded"}, (host, runs)
        taken_over += len(lost)
    assert taken_over or KILLS < 100  # with few it is left to chance
    of_host = defaultdict(list)
    for word, host, fence in marks_of(witness):
        of_host[host].append((word, int(fence)))
    for host, marks in of_host.items():
        tokens = [token for _, token in marks]
        assert tokens == sorted(tokens), (host, marks)  # nobody acts once a newer one has begun
        assert len(set(marks)) == len(marks), (host, marks)  # and no run is run twice
