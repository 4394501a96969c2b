# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's directory says, whoever looks at it and whenever its writer was killed."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import subprocess
import sys
from pathlib import Path

from autoglm_recovery.receiver.runs.local.launcher import LocalLauncher
from autoglm_recovery.receiver.runs.local.run_directory import prepare, status, told
from autoglm_recovery.receiver.runs.protocol import RunRecord, RunSpec, RunStatus

ORDER = RunSpec("restart_process", "node-a", Path("/inventory"), 60.0, {"autoglm_target": {"host": "node-a"}})


def test_a_prepared_run_is_whole_and_private(tmp_path):
    prepare(tmp_path / "1", ORDER)
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"project", "vars.yml", "request.json"}
    assert (tmp_path / "1").stat().st_mode & 0o077 == 0
    assert status(tmp_path / "1") is RunStatus.not_begun


def test_what_an_earlier_receiver_prepared_is_not_written_again(tmp_path):
    prepare(tmp_path, ORDER)
    before = (tmp_path / "request.json").stat().st_ino, (tmp_path / "vars.yml").stat().st_ino
    prepare(tmp_path, RunSpec("reboot_node", "node-b", Path("/other"), 1.0, {}))
    assert before == ((tmp_path / "request.json").stat().st_ino, (tmp_path / "vars.yml").stat().st_ino)
    assert json.loads((tmp_path / "request.json").read_text())["limit"] == "node-a"


def test_a_half_prepared_run_is_prepared_again(tmp_path):
    (tmp_path / "vars.yml").write_text("half")
    prepare(tmp_path, ORDER)
    assert "node-a" in (tmp_path / "vars.yml").read_text()


def test_the_lock_the_mark_and_the_result_tell_the_life_of_a_run(tmp_path):
    assert status(tmp_path) is RunStatus.not_begun
    with open(tmp_path / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "started").touch()
        assert status(tmp_path) is RunStatus.running
    assert status(tmp_path) is RunStatus.lost
    (tmp_path / "result.json").write_text("{}")
    assert status(tmp_path) is RunStatus.ended


def test_a_line_that_is_still_being_written_waits(tmp_path):
    assert told(tmp_path, 0) == []
    first, second = (json.dumps({"at": at, "kind": "task", "text": "a"}) for at in (1.0, 2.0))
    (tmp_path / "events.jsonl").write_text(f'{first}\n{second}\n{{"at":')
    assert told(tmp_path, 1) == [json.loads(second)]


def test_what_has_begun_is_never_begun_again_though_nothing_is_left_of_it(tmp_path):
    spawned = []

    def spawn(_directory):
        spawned.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        return spawned[-1]

    launcher = LocalLauncher(lambda: 1e12, spawn)
    view = RunRecord(1, 1, "node-a", "restart_process", 1, 1, tmp_path / "1", 1.0)
    begun = dataclasses.replace(view, begun=True)
    try:
        assert launcher.look(view, lambda: ORDER).status is RunStatus.not_begun
        # Its own process is there still: somebody took the directory away from under it.
        assert launcher.look(begun, lambda: ORDER).status is RunStatus.running
    finally:
        spawned[0].communicate(b"\n")
    for _ in range(2):
        look = launcher.look(begun, lambda: ORDER)
        assert (look.status, look.rc) == (RunStatus.lost, None)
        assert str(tmp_path) in look.why
    assert len(spawned) == 1


def test_a_line_of_the_timeline_that_a_full_disk_has_cut_is_told_as_such(tmp_path):
    whole = {"at": 5.0, "kind": "task", "text": "a"}
    lines = [json.dumps(whole), '{"at": 6.0, "kind": "ta', json.dumps({**whole, "at": "x"}), json.dumps(whole), '{"at"']
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    found = told(tmp_path, 0)
    assert [line["text"] for line in found] == ["a", *["a line of what the run told cannot be read"] * 2, "a"]
    assert all(line["at"] > 0 for line in found)
    assert told(tmp_path, 3) == [whole]
