# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is out of traffic, by the notes of runs; and whether one is at work, by the lock of the host."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from autoglm_recovery.exporter.traffic import look, traffic_metrics
from autoglm_recovery.knowledge.locks import host_lock, quarantine
from autoglm_recovery.knowledge.locks.holding import Holder
from tests.support.servers.plays import ROLE, load


def note(folder: Path, service: str, content: object = None) -> Path:
    """Write one as playbooks/tasks/note_taken_out.yml does."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(service.encode()).hexdigest()}.json"
    path.write_text(json.dumps({"service": service, "incident": None} if content is None else content) + "\n")
    os.utime(path, (1000, 1000))
    return path


def holder(seconds: float) -> Holder:
    """Return a run that may hold the host for so long."""
    return Holder("run", "somebody", "node-a", None, 1.0, host_lock.now() + seconds, host_lock.boot(), {})


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """A directory that only we may change, as /run/autoglm/locks."""
    folder = tmp_path / "locks"
    folder.mkdir(mode=0o755)
    return folder


def test_each_service_with_a_note_is_out_since_then(tmp_path: Path, locks: Path) -> None:
    note(tmp_path / "notes", "llama")
    gone = note(tmp_path / "notes", "a/b {{ x }}")
    (tmp_path / "notes" / ".ansible_tmp_x.json").write_text("{")
    seen = look(tmp_path / "notes", locks)
    assert seen.out == {"llama": 1000.0, "a/b {{ x }}": 1000.0}
    assert seen.readable
    gone.unlink()
    assert look(tmp_path / "notes", locks).out == {"llama": 1000.0}


def test_each_service_with_less_than_its_load_is_told_and_what_cannot_be_read_is_unknown(
    tmp_path: Path, locks: Path
) -> None:
    shed = tmp_path / "shed"
    note(shed, "llama")
    (shed / "balancers").mkdir()
    seen = look(tmp_path / "notes", locks, shed)
    assert (seen.shed, seen.shed_readable, seen.out, seen.readable) == ({"llama": 1000.0}, True, {}, True)
    (told,) = next(m for m in traffic_metrics(seen) if "load_shed_timestamp" in m.name).samples
    assert (told.value, told.labels) == (1000.0, {"service": "llama"})
    note(shed, "other", [])
    assert not look(tmp_path / "notes", locks, shed).shed_readable
    assert look(tmp_path / "notes", locks, shed).readable


def test_a_host_without_notes_has_nobody_out(tmp_path: Path) -> None:
    seen = look(tmp_path / "notes", tmp_path / "locks")
    assert (seen.out, seen.readable, seen.at_work) == ({}, True, False)
    assert not (tmp_path / "locks").exists(), "a look makes nothing"


@pytest.mark.parametrize("content", [[], {"service": "other"}, {"service": 1}, "x" * 5000])
def test_what_is_no_note_of_ours_is_unknown(tmp_path: Path, locks: Path, content: object) -> None:
    note(tmp_path / "notes", "llama", content)
    seen = look(tmp_path / "notes", locks)
    assert (seen.out, seen.readable) == ({}, False)


def test_a_quarantine_is_told_with_its_reason_and_is_no_note_of_a_service(tmp_path: Path, locks: Path) -> None:
    mark = quarantine.mark(who="alice on ops-1", reason="Xid 79 " + "x" * 500, since=1234.0)
    notes = tmp_path / "notes"
    quarantine.write(quarantine.beside_notes(str(notes)), mark)
    seen = look(notes, locks)
    assert (seen.out, seen.readable, seen.quarantine) == ({}, True, mark)
    (told,) = next(m for m in traffic_metrics(seen) if m.name == "autoglm_quarantined_timestamp_seconds").samples
    assert (told.value, told.labels["by"]) == (1234.0, "alice on ops-1")
    assert told.labels["reason"].startswith("Xid 79 xxx")
    assert len(told.labels["reason"]) <= 200


def test_when_a_quarantine_was_meant_to_be_over_is_told_where_somebody_has_said_so(tmp_path: Path, locks: Path) -> None:
    path = quarantine.beside_notes(str(tmp_path / "notes"))
    told = []
    for until in (None, 5000.0):
        quarantine.write(path, quarantine.mark(who="alice", reason="new memory", since=1234.0, until=until))
        metrics = traffic_metrics(look(tmp_path / "notes", locks))
        samples = [sample for metric in metrics for sample in metric.samples if "meant_until" in sample.name]
        told.append([sample.value for sample in samples])
    assert told == [[], [5000.0]]


def test_a_mark_that_cannot_be_read_is_unknown_and_no_absence_of_one(tmp_path: Path, locks: Path) -> None:
    (tmp_path / "quarantine").write_text("{")
    seen = look(tmp_path, locks)
    assert (seen.quarantine, seen.readable) == (None, False)


def test_notes_that_cannot_be_listed_are_unknown(tmp_path: Path, locks: Path) -> None:
    (tmp_path / "notes").write_text("a file")
    assert not look(tmp_path / "notes", locks).readable


def test_a_run_is_at_work_until_it_gives_the_host_back_or_its_time_is_over(tmp_path: Path, locks: Path) -> None:
    host_lock.take(holder(600), directory=str(locks))
    assert look(tmp_path, locks).at_work is True
    host_lock.release("run", str(locks))
    assert look(tmp_path, locks).at_work is False
    host_lock.take(holder(-1), directory=str(locks))
    assert look(tmp_path, locks).at_work is False
    host_lock.keep(replace(holder(600), boot="another"), str(locks))
    assert look(tmp_path, locks).at_work is False


def test_a_lock_that_cannot_be_read_is_unknown(tmp_path: Path, locks: Path) -> None:
    (locks / "host").write_text("{")
    seen = look(tmp_path / "notes", locks)
    assert seen.at_work is None
    assert "autoglm_host_at_work" not in {metric.name for metric in traffic_metrics(seen)}


def test_looking_keeps_no_run_waiting(tmp_path: Path, locks: Path) -> None:
    """A look holds no flock, or a task that says that it is at work would not be heard."""
    look(tmp_path, locks)
    assert list(locks.iterdir()) == []


def test_the_default_places_are_those_of_the_playbooks() -> None:
    from autoglm_recovery.exporter.traffic import NOTES  # noqa: PLC0415

    run = load(ROLE / "vars/main/run.yml")
    assert f"default='{NOTES}'" in run["autoglm_taken_out_dir"]
