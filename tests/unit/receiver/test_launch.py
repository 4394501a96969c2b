# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run's directory says, whoever looks at it and whenever its writer was killed."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from autoglm_recovery.receiver.launch import Life, Order, life, prepare, told

ORDER = Order("restart_process", "node-a", Path("/inventory"), 60.0, {"autoglm_target": {"host": "node-a"}})


def test_a_prepared_run_is_whole_and_private(tmp_path):
    prepare(tmp_path / "1", ORDER)
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"project", "vars.yml", "request.json"}
    assert (tmp_path / "1").stat().st_mode & 0o077 == 0
    assert life(tmp_path / "1") is Life.unborn


def test_what_an_earlier_receiver_prepared_is_not_written_again(tmp_path):
    prepare(tmp_path, ORDER)
    before = (tmp_path / "request.json").stat().st_ino, (tmp_path / "vars.yml").stat().st_ino
    prepare(tmp_path, Order("reboot_node", "node-b", Path("/other"), 1.0, {}))
    assert before == ((tmp_path / "request.json").stat().st_ino, (tmp_path / "vars.yml").stat().st_ino)
    assert json.loads((tmp_path / "request.json").read_text())["limit"] == "node-a"


def test_a_half_prepared_run_is_prepared_again(tmp_path):
    (tmp_path / "vars.yml").write_text("half")
    prepare(tmp_path, ORDER)
    assert "node-a" in (tmp_path / "vars.yml").read_text()


def test_the_lock_the_mark_and_the_result_tell_the_life_of_a_run(tmp_path):
    assert life(tmp_path) is Life.unborn
    with open(tmp_path / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "started").touch()
        assert life(tmp_path) is Life.alive
    assert life(tmp_path) is Life.cut_off
    (tmp_path / "result.json").write_text("{}")
    assert life(tmp_path) is Life.ended


def test_a_line_that_is_still_being_written_waits(tmp_path):
    assert told(tmp_path, 0) == []
    (tmp_path / "events.jsonl").write_text('{"n": 1}\n{"n": 2}\n{"n":')
    assert told(tmp_path, 1) == [{"n": 2}]
