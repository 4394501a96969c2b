# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark that nobody uses a host: written whole, lifted by its owner or a person, heeded by the lock of the host."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock as lock_files
from ansible_collections.autoglm.recovery.plugins.modules import host_lock, quarantine

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def act(run_module: Run, tmp_path: Path) -> Run:
    def run(state: str, check: bool = False, **options: Any) -> dict[str, Any]:
        told = {"reason": "Xid 79", "who": "alice on ops-1"} if state == "present" else {}
        return run_module(quarantine, check, path=str(tmp_path / "quarantine"), state=state, **{**told, **options})

    return run


@pytest.fixture
def take(run_module: Run, tmp_path: Path) -> Run:
    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        told = {"host": "node-a", "run": "one", "who": "bob on ops-2", "directory": str(tmp_path / "locks")}
        return run_module(host_lock, check, **{**told, **options})

    return run


def test_a_host_is_marked_once_and_given_back_by_a_person(act: Run) -> None:
    told = [act("queried"), act("present"), act("present", force=True), act("queried"), act("absent", force=True)]
    assert [each["quarantined"] for each in told] == [False, False, True, True, True]
    assert [each["changed"] for each in told] == [False, True, False, False, True]
    assert "by alice on ops-1: Xid 79" in told[3]["said"]
    assert told[4]["mark"] is None
    assert "Xid 79" in told[4]["diff"]["before"]


def test_check_mode_says_it_and_marks_nothing(act: Run, tmp_path: Path) -> None:
    assert act("present", check=True)["changed"]
    assert not (tmp_path / "quarantine").exists()
    act("present")
    assert act("absent", check=True, force=True)["changed"]
    assert (tmp_path / "quarantine").exists()


def test_somebody_else_s_mark_is_kept_and_told(act: Run) -> None:
    act("present")
    kept = act("present", incident="7", reason="another", who="incident 7 (root on ops-1)")
    assert (kept["changed"], kept["kept"]) == (False, True)
    assert kept["mark"]["reason"] == "Xid 79"
    refused = act("absent", incident="7")
    assert "the quarantine is alice on ops-1's" in refused["msg"]
    assert act("queried")["quarantined"]


def test_an_incident_gives_back_what_it_has_taken(act: Run) -> None:
    act("present", incident="7")
    assert act("absent", incident="8")["failed"]
    assert act("absent", incident="7")["changed"]


@pytest.mark.parametrize(("wrong", "said"), [({"meant_until": "soon"}, "until"), ({"reason": "  "}, "reason: say why")])
def test_an_order_that_makes_no_sense_is_refused(act: Run, wrong: dict[str, str], said: str) -> None:
    assert said in act("present", **wrong)["msg"]
    assert not act("queried")["quarantined"]


def test_a_mark_that_nobody_can_read_is_lifted_by_a_person_alone(act: Run, tmp_path: Path) -> None:
    (tmp_path / "quarantine").write_text("{")
    for state in ("queried", "present", "absent"):
        assert "cannot be read" in act(state, incident="7")["msg"]
    assert "cannot be read" in act("queried", force=True)["msg"]
    assert act("absent", force=True)["changed"]
    assert not act("queried")["quarantined"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
def test_a_mark_where_others_could_put_one_counts_as_one(take: Run, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    assert "cannot be read" in take(quarantine=str(theirs / "quarantine"))["msg"]
    assert not lock_files.in_use(str(tmp_path / "locks"))


def test_nobody_takes_a_host_under_quarantine_and_it_is_free_afterwards(act: Run, take: Run, tmp_path: Path) -> None:
    marked = str(tmp_path / "quarantine")
    assert take(quarantine=marked)["changed"]
    act("present")
    assert take(check=True, quarantine=marked)["quarantined"]
    refused = take(quarantine=marked)
    assert "node-a is under quarantine since " in refused["msg"]
    assert "return_node gives it back" in refused["msg"]
    assert refused["holder"]["who"].startswith("nobody: under quarantine since ")
    assert not lock_files.in_use(str(tmp_path / "locks"))
    # Whoever puts it there and gives it back does not ask.
    assert take()["changed"]


def test_a_mark_that_cannot_be_read_keeps_out(take: Run, tmp_path: Path) -> None:
    (tmp_path / "quarantine").write_text("{")
    assert "cannot be read" in take(quarantine=str(tmp_path / "quarantine"))["msg"]
    assert not lock_files.in_use(str(tmp_path / "locks"))
