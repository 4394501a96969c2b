# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories of runs go, and that no other does."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.runs.local.artifacts import ArtifactRetention, KeptRun, Sweeper, found_in, to_remove

RUNS = st.lists(
    st.tuples(st.integers(1, 40), st.one_of(st.none(), st.floats(0, 1000))), unique_by=lambda run: run[0], max_size=30
)


def kept(number: int, ended_at: float | None) -> KeptRun:
    """Return a run."""
    return KeptRun(number, Path(f"/runs/{number}"), ended_at)


@given(RUNS, st.sets(st.integers(1, 40)), st.one_of(st.none(), st.integers(0, 10)), st.floats(0, 1000))
def test_what_goes(runs: list, unfinished: set[int], keep: int | None, age: float) -> None:
    everything = [kept(*run) for run in runs]
    going = to_remove(everything, unfinished, ArtifactRetention(keep, age), 1000.0)
    stays = [run for run in everything if run not in going]
    assert all(run.ended_at is not None and run.number not in unfinished for run in going)
    for run in going:
        newer = [other for other in everything if other.age > run.age]
        assert 1000.0 - run.ended_at > age or (keep is not None and len(newer) >= keep)
    for run in stays:
        if run.ended_at is not None and run.number not in unfinished:
            assert 1000.0 - run.ended_at <= age
            assert keep is None or len([other for other in everything if other.age > run.age]) < keep


def test_without_limits_everything_stays() -> None:
    assert to_remove([kept(1, 0.0)], (), ArtifactRetention(None, None), 1e12) == []


def _run(directory: Path, number: int, *files: str, age: float = 0.0) -> Path:
    path = directory / str(number)
    path.mkdir()
    for name in files:
        (path / name).write_text("{}")
        moment = (path / name).stat().st_mtime - age
        os.utime(path / name, (moment, moment))
    return path


def test_only_what_is_over_is_removed(tmp_path: Path) -> None:
    _run(tmp_path, 1, "started", "result.json", age=100)
    _run(tmp_path, 2, "started", "lock", age=100)  # cut off
    _run(tmp_path, 3, age=100)  # not begun
    going_on = _run(tmp_path, 4, "started", "lock", age=100)
    _run(tmp_path, 5, "started", "result.json", age=100)  # ended, but not taken in yet
    _run(tmp_path, 6, "started", "result.json")
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "7").symlink_to(other)
    (tmp_path / "8").write_text("a file")
    _run(tmp_path, 9, "result.json", age=100).rename(tmp_path / "9.removed")
    with open(going_on / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweeper = Sweeper(tmp_path, ArtifactRetention(keep=None, max_age_s=50.0))
        assert sweeper.sweep({5}) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4", "5", "6", "7", "8", "other"}
    _run(tmp_path, 10, "result.json", age=100)
    assert sweeper.sweep(()) == 0  # not every turn


def test_what_is_kept_of_a_run_elsewhere_goes_by_its_own_age_and_only_when_it_is_over(tmp_path: Path) -> None:
    for number in (1, 2):
        _run(tmp_path, number, "evidence-1.json", age=100)
    _run(tmp_path, 3, "evidence-1.json", "evidence-2.json")
    assert Sweeper(tmp_path, ArtifactRetention(keep=None, max_age_s=50.0)).sweep({2}) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"2", "3"}


def test_a_directory_that_is_not_there_yet_is_no_error(tmp_path: Path) -> None:
    assert Sweeper(tmp_path / "none", ArtifactRetention()).sweep(()) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed_stops_nothing(tmp_path: Path) -> None:
    _run(tmp_path, 1, "result.json", age=100)
    tmp_path.chmod(0o500)
    assert Sweeper(tmp_path, ArtifactRetention(keep=0)).sweep(()) == 0


def test_runs_are_found_by_their_numbers(tmp_path: Path) -> None:
    for name in ("12", "12-0f3a", "13-00", "x", "-1", "1-x", "1.removed", "1-0f.removed", "٣"):
        (tmp_path / name).mkdir()
    assert sorted(run.number for run in found_in(tmp_path)) == [12, 12, 13]


def test_runs_of_a_database_that_was_lost_make_no_room_for_themselves() -> None:
    lost = [kept(number, 10.0) for number in range(900, 910)]
    new = [kept(number, 20.0) for number in range(1, 6)]
    assert to_remove([*lost, *new], (), ArtifactRetention(keep=5, max_age_s=None), 30.0) == lost[::-1]
