# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""shed_load at a real HAProxy: down, held, up again; left and told; and what a run that was killed has left."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoglm_recovery.receiver.runs import ansible_settings
from tests.integration.balancers.running import Haproxy, started
from tests.lab.places import CHECKOUT
from tests.support.servers.asked import ASKED, INCIDENT, RECEIVERS
from tests.support.servers.leftovers import end_processes_of
from tests.support.servers.misleading import MISLEADING
from tests.support.servers.waiting import until

from .fleet import Fleet, told

QUICK = {"autoglm_look_every": 1, "autoglm_quiet_looks": 1, "steps": 2}
OVERLOAD = {**RECEIVERS, **QUICK, "autoglm_incident": {**INCIDENT, "failure_class": "overload", "action": "shed_load"}}
# Fewer than none never wait: it is not over, whatever the engine says.
NEVER_OVER = {**OVERLOAD, "max_waiting": -1}


class Pool:
    """p1 and p2 behind a HAProxy, where each has a weight of 100 and at most 8 requests at once."""

    def __init__(self, fleet: Fleet, haproxy: Haproxy) -> None:
        self.fleet, self.haproxy = fleet, haproxy

    @property
    def p1(self) -> tuple[int, int | None]:
        """The weight of p1, and how many requests at once it gets."""
        balancer = self.haproxy.open()
        return balancer.weight("p1").current, balancer.limit("p1")

    @property
    def notes(self) -> list[Path]:
        return sorted((self.fleet.directory / "shed").rglob("*.json"))


@pytest.fixture
def pool(fleet: Fleet) -> Iterator[Pool]:
    ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
    for name in ports:
        fleet.start(name)
    engines = {name: SimpleNamespace(port=port) for name, port in ports.items()}
    with started(Haproxy(engines, more="maxconn 8")) as haproxy:  # type: ignore[arg-type]
        fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": haproxy.pool()}}
        yield Pool(fleet, haproxy)


def test_load_goes_down_and_comes_back_step_by_step_whatever_the_inventory_calls_so(pool: Pool) -> None:
    pool.fleet.group_vars.update(MISLEADING)
    before, pid = pool.p1, pool.fleet.pid("p1")
    extra, tells = ASKED["shed_load"]
    done = pool.fleet.run("shed_load", {**extra, **OVERLOAD}, **ansible_settings.ENVIRONMENT)
    assert done.returncode == 0, told(done)
    for step in ("keeps 50%: weight 100 -> 50, at once 8 -> 4", tells):
        assert step in told(done)
    assert (pool.p1, pool.notes, pool.fleet.pid("p1")) == (before, [], pid)
    assert any((pool.fleet.directory / "evidence").iterdir())


def test_what_is_not_over_in_time_is_left_and_told_until_a_person_restores_it(pool: Pool) -> None:
    done = pool.fleet.run("shed_load", {**NEVER_OVER, "hold_timeout": 1})
    assert done.returncode != 0
    assert "llama on p1 is LEFT WITH 50% OF ITS LOAD: overload is not over" in told(done)
    assert pool.p1 == (50, 4)
    assert len(pool.notes) == 2

    done = pool.fleet.run("shed_load", {"target": "p1", "restore": True})
    assert done.returncode == 0, told(done)
    assert "its whole load is back: weight 50 -> 100, at once 4 -> 8" in told(done)
    assert (pool.p1, pool.notes) == ((100, 8), [])


def test_what_a_killed_run_has_left_is_no_good_health_and_the_next_repair_brings_it_back(pool: Pool) -> None:
    running = subprocess.Popen(
        pool.fleet.command("shed_load", NEVER_OVER),
        cwd=CHECKOUT, env=pool.fleet.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until("load is shed", lambda: pool.p1 == (50, 4))
    end_processes_of(pool.fleet.directory)
    running.wait()
    marks = [json.loads(note.read_text()) for note in pool.notes]
    assert {mark["service"] for mark in marks} == {"llama"}
    assert [mark["before"] for mark in marks if "before" in mark] == [{"weight": 100, "limit": 8}]

    looked = pool.fleet.run("check_service", {"target": "p1"})
    assert looked.returncode != 0
    assert "llama generates, but a run of ours keeps a part of its load from it" in told(looked)

    # Whoever restarts it takes no shed weight for the whole, and overrules none, though the pool declares one.
    pool.fleet.group_vars["autoglm_pools"]["chat"] |= {"weight": 100, "slow_start": 1}
    restarted = pool.fleet.run("rolling_restart", {"pool": "chat"}, "--limit", "p1")
    assert restarted.returncode == 0, told(restarted)
    assert pool.p1 == (50, 4)

    waits = pool.fleet.run("retry_with_backoff", {**RECEIVERS, "max_waiting": -1})
    assert waits.returncode != 0
    assert "llama on p1 is left with 50% of its load" in told(waits)
    assert pool.p1 == (50, 4)

    done = pool.fleet.run("retry_with_backoff", RECEIVERS)
    assert done.returncode == 0, told(done)
    assert (pool.p1, pool.notes) == ((100, 8), [])


def test_nothing_is_shed_where_no_other_one_takes_it(pool: Pool) -> None:
    pool.haproxy.open().drain("p2")
    done = pool.fleet.run("shed_load", OVERLOAD)
    assert done.returncode != 0
    assert "No load of llama on p1 was shed: p1: refused: 0 of the others serve with their whole load" in told(done)
    assert (pool.p1, pool.notes) == ((100, 8), [])


def test_a_service_without_a_balancer_is_refused(fleet: Fleet) -> None:
    fleet.add("p1")
    done = fleet.run("shed_load", OVERLOAD)
    assert done.returncode != 0
    assert "load is shed at a balancer, and the pool of llama of p1 has none" in told(done)
