# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a run is: leases by one clock, tokens that only grow, late writes that are refused."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from autoglm_recovery.receiver.store import fences, runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease, RunClaim, Superseded
from autoglm_recovery.receiver.values.model import Target
from tests.unit.receiver.desk import begin_run, open_incident


def lease(owner: str, at: float, seconds: float = 5.0) -> Lease:
    """Return a lease by a clock that stands still."""
    return Lease(owner, seconds, sa.literal(at))


def begun(database, by: Lease, host: str = "node-a") -> int:
    """Have a run going on and return its number."""
    with database.writing() as connection:
        return begin_run(connection, by, open_incident(connection, Target(host)), host)


def only(database):
    """Return the one unfinished run."""
    with database.reading() as connection:
        (run,) = runs.unfinished(connection)
        return run


def test_the_database_has_one_clock_and_it_is_right(database):
    with database.reading() as connection:
        first = connection.execute(sa.select(database.now())).scalar()
    with database.reading() as connection:
        second = connection.execute(sa.select(database.now())).scalar()
    assert first <= second
    assert abs(second - time.time()) < 60


def test_a_claim_is_for_a_while_and_may_be_renewed(database):
    begun(database, lease("a", 100.0))
    assert (only(database).owner, only(database).lease_until, only(database).fence) == ("a", 105.0, 100_000_000)
    with database.appending() as connection:
        assert [run.id for run in runs.renew(connection, lease("a", 103.0))] == [1]
        assert runs.renew(connection, lease("b", 103.0)) == []
    assert only(database).lease_until == 108.0


def test_a_run_is_taken_over_once_its_lease_is_over_and_not_before(database):
    begun(database, lease("a", 100.0))
    for at, found in ((104.9, 0), (105.1, 1)):
        with database.reading() as connection:
            assert len(runs.lapsed(connection, lease("b", at))) == found
            assert runs.lapsed(connection, lease("a", at)) == []
            assert runs.next_lapse(connection, lease("b", at)) == pytest.approx(105.0 - at)
            assert runs.next_lapse(connection, lease("a", at)) is None
    with database.writing() as connection:
        assert runs.take_over(connection, only(database), lease("b", 104.9)) is None
        assert runs.take_over(connection, only(database), lease("b", 105.1)).owner == "b"


def test_who_takes_over_has_a_higher_token_and_late_writes_are_refused(database):
    begun(database, lease("a", 100.0))
    old = runs.claim_of(only(database))
    with database.writing() as connection:
        new = runs.take_over(connection, only(database), lease("b", 106.0))
    assert new.fence > old.fence
    for late in (old, RunClaim(old.run_id, "b", old.fence), RunClaim(old.run_id, "a", new.fence)):
        with pytest.raises(Superseded), database.writing() as connection:
            runs.report(connection, late, state="succeeded")
    assert only(database).state == "running"
    with database.writing() as connection:
        assert runs.renew(connection, lease("a", 106.0)) == []
        runs.report(connection, new, state="lost")
    with pytest.raises(Superseded), database.writing() as connection:
        runs.report(connection, new, state="succeeded")  # it has ended


def test_two_that_take_over_at_once_are_one(database_url, database):
    begun(database, lease("a", 100.0))
    run = only(database)
    got, barrier = [], threading.Barrier(4)

    def take(name):
        mine = Database(database_url)
        barrier.wait()
        with mine.writing() as connection:
            got.append(runs.take_over(connection, run, lease(name, 200.0)))
        mine.close()

    threads = [threading.Thread(target=take, args=(name,)) for name in "bcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in got) == 1


def test_a_receiver_that_was_restarted_has_its_runs_under_a_new_token(database):
    begun(database, lease("a", 100.0))
    begun(database, lease("b", 100.0), "node-b")
    begun(database, lease(runs.NOBODY, 0.0), "node-c")
    with database.writing() as connection:
        claims = runs.take_up(connection, lease("a", 101.0))
    assert [(claim.run_id, claim.fence) for claim in claims] == [(1, 101_000_000), (3, 101_000_001)]
    with pytest.raises(Superseded), database.writing() as connection:
        runs.report(connection, RunClaim(1, "a", 100_000_000), state="failed")


@pytest.mark.usefixtures("database")
def test_tokens_grow_whoever_asks(database_url):
    given, barrier = [], threading.Barrier(4)

    def ask():
        mine = Database(database_url)
        barrier.wait()
        for _ in range(10):
            with mine.writing() as connection:
                given.append(fences.give(connection, mine.now(), "node-a"))
        mine.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert given == sorted(set(given))
    assert len(given) == 40


def given(database, at, host="node-a"):
    """Return a token that is given at a moment."""
    with database.writing() as connection:
        return fences.give(connection, sa.literal(at), host)


def test_tokens_are_the_time_and_grow_when_it_stands_still_or_goes_back(database):
    assert [given(database, at) for at in (100.0, 100.0, 50.0, 200.5)] == [
        100_000_000,
        100_000_001,
        100_000_002,
        200_500_000,
    ]


def test_a_mark_raises_the_tokens_of_its_host_alone(database):
    with database.writing() as connection:
        assert fences.raise_to(connection, "node-a", 10**15)
        assert fences.raise_to(connection, "node-a", 10**14)  # an old refusal comes late
    assert [given(database, 100.0), given(database, 100.0)] == [10**15 + 1, 10**15 + 2]
    assert given(database, 100.0, "node-b") < 101_000_000
    assert given(database, 2e9) == 2 * 10**15  # the clock is above it again


@pytest.mark.parametrize("nonsense", [0, -1, 2**53 - 1, 2**63, 2**200])
def test_nonsense_from_a_host_raises_nothing(database, nonsense):
    with database.writing() as connection:
        assert not fences.raise_to(connection, "node-a", nonsense)
    assert given(database, 100.0) == 100_000_000
