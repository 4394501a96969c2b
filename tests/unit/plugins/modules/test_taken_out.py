# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note that a run keeps a service out of traffic: kept over runs, and only where nobody else can put one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import taken_out

Run = Callable[..., dict[str, Any]]
STATES = ("present", "absent", "queried")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")


@pytest.fixture
def act(run_module: Run) -> Run:
    def run(path: Path, state: str, check: bool = False, **options: Any) -> dict[str, Any]:
        told = {"service": "llama"} if state == "present" else {}
        return run_module(taken_out, check, path=str(path), state=state, **told, **options)

    return run


@pytest.fixture
def of_others(tmp_path: Path) -> Path:
    folder = tmp_path / "of-others"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    return folder


def test_a_note_stays_until_it_is_removed(act: Run, tmp_path: Path) -> None:
    note = tmp_path / "made" / "taken-out" / "a.json"
    asked = [("queried", {}), ("present", {"incident": "7"}), ("present", {"incident": "7"}), ("queried", {})]
    asked += [("present", {"incident": "8"}), ("absent", {}), ("absent", {}), ("queried", {})]
    told = [act(note, state, **options) for state, options in asked]
    assert [each["noted"] for each in told] == [False, False, True, True, True, True, False, False]
    assert [each["changed"] for each in told] == [False, True, False, False, True, True, False, False]
    assert json.loads(told[4]["diff"]["after"]) == {"service": "llama", "incident": "8"}
    assert list(note.parent.iterdir()) == []


def test_it_is_its_owner_s_alone_whatever_the_mask(act: Run, tmp_path: Path) -> None:
    note = tmp_path / "taken-out" / "a.json"
    before = os.umask(0)
    try:
        act(note, "present")
    finally:
        os.umask(before)
    assert (note.parent.stat().st_mode & 0o777, note.stat().st_mode & 0o777) == (0o700, 0o640)


def test_in_check_mode_nothing_is_changed(act: Run, tmp_path: Path) -> None:
    note = tmp_path / "taken-out" / "a.json"
    assert act(note, "present", check=True)["changed"]
    assert not note.parent.exists()
    act(note, "present")
    assert act(note, "absent", check=True)["changed"]
    assert note.exists()


@as_root
@pytest.mark.parametrize("state", STATES)
def test_a_directory_that_others_can_change_or_replace_holds_no_note(act: Run, of_others: Path, state: str) -> None:
    for folder in (of_others, of_others / "taken-out"):
        folder.mkdir(exist_ok=True)
        (folder / "a.json").write_text("{}")
        told = act(folder / "a.json", state)
        assert "must belong to root and be writable for nobody else" in told["msg"]
        assert (folder / "a.json").read_text() == "{}"


@as_root
@pytest.mark.parametrize("state", STATES)
def test_a_link_of_others_leads_nowhere(act: Run, tmp_path: Path, of_others: Path, state: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "a.json").write_text("of root")
    (of_others / "taken-out").symlink_to(victim)
    assert act(of_others / "taken-out" / "a.json", state)["failed"]
    assert {path.name: path.read_text() for path in victim.iterdir()} == {"a.json": "of root"}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
def test_what_is_no_plain_file_is_no_note_and_left_alone(act: Run, tmp_path: Path, kind: str, state: str) -> None:
    note, target = tmp_path / "a.json", tmp_path / "target"
    target.write_text("{}")
    {"directory": note.mkdir, "link": lambda: note.symlink_to(target), "pipe": lambda: os.mkfifo(note)}[kind]()
    assert act(note, state)["failed"]
    assert os.path.lexists(note)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "target"]
    assert target.read_text() == "{}"
    if kind == "directory":
        assert list(note.iterdir()) == []


def test_a_relative_path_and_a_note_about_nothing_are_refused(act: Run, run_module: Run, tmp_path: Path) -> None:
    assert "is not an absolute path" in act(Path("taken-out/a.json"), "present")["msg"]
    assert "service" in run_module(taken_out, path=str(tmp_path / "a.json"), state="present")["msg"]
    assert run_module(taken_out, path=f"{tmp_path}/", state="present", service="llama")["failed"]
