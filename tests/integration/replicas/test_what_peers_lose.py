# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What event engines were measured to do, each with the opposite outcome.

Targets such as ``instance: all`` and rubbish that was answered 202 are in ``tests/integration/receiver``.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.receiver.running import alert, payload
from tests.integration.replicas.nursery import Receiver, marks_of, wait_for_incidents
from tests.support.servers.waiting import until

START = "2026-11-22T20:00:00Z"


@pytest.fixture
def one(tmp_path):
    """Return a receiver that is not started yet."""
    receiver = Receiver(tmp_path, "r", database=None, lease=None, hosts=200, work_s=0.0)
    yield receiver
    receiver.end()


def post(receiver, *numbers):
    """Send alerts of these hosts in one group."""
    alerts = [alert(f"h{number}", start=START) for number in numbers]
    return receiver.client.post(f"{receiver.url}/api/v1/alerts", json=payload(*alerts))


def once_each(receiver, count):
    """Wait until all is done; each host had one run, from its beginning to its end."""
    wait_for_incidents(receiver, "verifying", count)
    counted = Counter((word, host) for word, host, _ in marks_of(receiver))
    assert counted == {(word, f"h{n}"): 1 for n in range(count) for word in ("begin", "end")}


def test_of_twenty_accepted_alerts_twenty_are_acted_on_after_a_kill(one):
    one.start()
    until("the receiver to be ready", one.ready)
    assert [post(one, n).status_code for n in range(20)] == [200] * 20
    one.kill()
    one.start()
    until("the receiver to be ready", one.ready)
    once_each(one, 20)


def test_a_group_of_two_hundred_and_the_same_again_in_a_storm_are_acted_on_once_each(one):
    one.start()
    until("the receiver to be ready", one.ready)
    assert post(one, *range(200)).json()["committed"] == 200
    with ThreadPoolExecutor(20) as senders:
        again = list(senders.map(lambda n: post(one, n).json(), range(200)))
    assert all(answer == {"committed": 0, "duplicates": 1, "rejected": 0} for answer in again)
    once_each(one, 200)
