# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver does while its database is away: nothing is said to be stored that is not, and it gets well alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.integration.receiver.running import alert, now, payload, serving
from tests.support.servers import postgres
from tests.support.servers.waiting import until

from .outages import link_to
from .pair import Pair
from .test_takeover import playbooks_of, succeeded

WATCH = "recovery: {autonomy: watch}"
# After each that it could not store, the receiver waits for as long as a second.
SOME_REFUSED = 5
# Of so many the disk cannot hold half.
MORE_THAN_FIT = 1000


def refused(receiver, body):
    """Tell whether a delivery was answered with "later", and say so in Alertmanager's terms."""
    answer = receiver.post(body)
    assert answer.status_code in (200, 503), answer.text
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) > 0
    return answer.status_code == 503


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_of_the_database_costs_a_retry_and_no_restart_of_ours(tmp_path, how):
    with postgres.running() as server, serving(tmp_path, policy=WATCH, database=server.database()) as receiver:
        bodies = [payload(alert(host, start=now())) for host in ("node-a", "node-b")]
        assert not refused(receiver, bodies[0])
        server.stop(how)
        assert refused(receiver, bodies[1])
        assert receiver.client.get(f"{receiver.url}/readyz").status_code == 503
        assert receiver.client.get(f"{receiver.url}/api/v1/incidents").status_code == 503
        server.start()
        until("the receiver to be ready again", receiver.ready)
        assert receiver.post(bodies[1]).json()["committed"] == 1
        assert receiver.post(bodies[0]).json()["duplicates"] == 1
        until("both to be decided about", lambda: len(receiver.incidents("held")) == 2)


def test_who_is_cut_off_from_the_database_loses_its_run_and_gets_well(tmp_path, postgresql):
    with link_to(postgresql.port) as link:
        pair = Pair(tmp_path, postgresql.database())
        pair.a.database = pair.a.database.replace(f":{postgresql.port}/", f":{link.port}/")
        try:
            pair.a.start()
            pair.a.hold()
            pair.a.post(payload(alert(start=now())))
            until("its playbook to begin", lambda: pair.a.marks)
            pair.b.start()
            link.cut()
            until("the second attempt", lambda: len(pair.b.runs(1)) == 2)
            # It ended its playbook itself, before anybody else began.
            assert playbooks_of(pair.a) == []
            with pytest.raises(httpx.TimeoutException):
                httpx.get(f"{pair.a.url}/readyz", timeout=0.5, trust_env=False)
            pair.b.let_go()
            succeeded(pair.b)
            link.mend()
            until("the one that was cut off to be ready again", pair.a.ready)
            assert [run["state"] for run in pair.a.runs(1)] == ["lost", "succeeded"]
            assert not refused(pair.a, payload(alert("node-b", start=now())))
            succeeded(pair.a, 2)
            assert sum(line.startswith("end node-a") for line in pair.a.marks) == 1
        finally:
            pair.end()


def test_a_delivery_that_the_network_swallows_is_refused_in_time(tmp_path, postgresql):
    url = postgresql.database()
    with link_to(postgresql.port) as link:
        far = url.replace(f":{postgresql.port}/", f":{link.port}/")
        with serving(tmp_path, policy=WATCH, database=far) as receiver:
            body = payload(alert(start=now()))
            link.cut()
            assert refused(receiver, body)
            link.mend()
            until("the receiver to be ready again", receiver.ready)
            assert not refused(receiver, body)
            until("it to be decided about", lambda: len(receiver.incidents("held")) == 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk to fill")
def test_a_full_disk_of_the_database_makes_alertmanager_try_again_and_loses_nothing(tmp_path):
    with postgres.running() as server:
        small = server.directory / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(small)], check=True)
        try:
            _fill_and_free(server, small, tmp_path)
        finally:
            server.stop(signal.SIGQUIT)
            subprocess.run(["umount", "--lazy", str(small)], check=True)


def _fill_and_free(server: postgres.Postgres, small: Path, directory: Path) -> None:
    place = small / "tables"
    place.mkdir()
    shutil.chown(place, "nobody", "nogroup")
    server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    server.execute("CREATE DATABASE tight TABLESPACE small")
    with serving(directory, policy=WATCH, database=server.url("tight")) as receiver:
        with open(small / "ballast", "wb") as ballast:
            ballast.write(b"x" * (shutil.disk_usage(small).free - (1 << 20)))
        bodies, later = [], []
        while sum(later) < SOME_REFUSED and len(bodies) < MORE_THAN_FIT:
            bodies.append(payload(alert(f"h{len(bodies)}", start=now(), padding=os.urandom(10_000).hex())))
            later.append(refused(receiver, bodies[-1]))
        assert sum(later) == SOME_REFUSED
        assert not all(later)
        (small / "ballast").unlink()
        again = [receiver.post(body).json() for body in bodies]
        assert sum(answer["duplicates"] for answer in again) == later.count(False)
        assert sum(answer["committed"] for answer in again) == later.count(True)
        until("the receiver to be ready again", receiver.ready)
