# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of a /proc made for the test, with everything that a real one withholds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import processes
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread

from tests.support.servers.headless import headless
from tests.support.servers.waiting import until


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    root = tmp_path / "7"
    for tid in ("7", "8"):
        (root / "task" / tid).mkdir(parents=True)
        (root / "task" / tid / "stat").write_text(f"{tid} (a) b) T 1")
        (root / "task" / tid / "comm").write_text("llama-server\n")
        (root / "task" / tid / "stack").write_text("[<0>] do_signal_stop+0x1\n[<0>] get_signal+0x2\n")
    (root / "status").write_text(
        "Name:\tllama-server\nState:\tT (stopped)\nPPid:\t1\nThreads:\t2\nVmRSS:\t 99 kB\nUid:\t0\t0\n"
    )
    (root / "cmdline").write_bytes(b"llama-server\0--api-key\0s3cret-value\0")
    (root / "environ").write_bytes(b"HF_TOKEN=s3cret-value\0LANG=C\0")
    (root / "fd").mkdir()
    (root / "fd" / "3").symlink_to("/dev/nvidia0")
    (tmp_path / "self").mkdir()
    return tmp_path


def test_a_living_process_is_looked_at_where_it_is() -> None:
    assert processes.living_thread(Path("/proc/self")) == Path("/proc/self")


def test_a_process_without_its_first_thread_is_looked_at_in_one_that_goes_on(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    with headless(str(held)) as process:
        root = Path(f"/proc/{process.pid}")
        assert list((root / "fd").iterdir()) == [], "which is why it has to be looked at elsewhere"
        thread = processes.living_thread(root)
        assert thread is not None
        assert thread.parent == root / "task"
        assert held in [each.readlink() for each in (thread / "fd").iterdir()]


def test_of_a_zombie_nothing_lives() -> None:
    with subprocess.Popen(["true"]) as process:
        root = Path(f"/proc/{process.pid}")
        until("it has ended", lambda: (root / "stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert processes.living_thread(root) is None


def test_threads_with_their_kernel_stacks(proc: Path) -> None:
    text = processes.threads(proc, 7).text
    assert text.startswith("# thread 7 state T\ncomm: llama-server\n")
    assert "stack:\n[<0>] do_signal_stop+0x1\n" in text
    assert "wchan: (unreadable: No such file or directory)" in text
    assert "# thread 8 state T" in text


def test_about_tells_open_files_and_what_is_missing(proc: Path) -> None:
    text = processes.about(proc, 7).text
    assert "3 -> /dev/nvidia0" in text
    assert "## limits\n(unreadable: No such file or directory)" in text


def test_secrets_are_out(proc: Path) -> None:
    for piece in (processes.memory_map(proc, 7), processes.command_lines(proc)):
        assert "s3cret-value" not in piece.text
    assert "LANG=C" in processes.memory_map(proc, 7).text


def test_the_overview_has_one_line_a_process(proc: Path) -> None:
    (proc / "9").mkdir()  # ended meanwhile: nothing in it can be read
    head, line = processes.overview(proc).text.splitlines()
    assert head.split()[0] == "PID"
    assert line.split() == ["7", "1", "T", "2", "99", "0", "llama-server"]


def test_a_dead_process_is_said_to_be_gone(proc: Path) -> None:
    with pytest.raises(Unread, match="process 42 is gone"):
        processes.about(proc, 42)


def test_command_lines_and_environments_of_any_length_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid in range(1, 31):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(b"/bin/x\0" + b"a" * 2**21)
        (tmp_path / str(pid) / "environ").write_bytes(b"A=" + b"b" * 2**21)
    assert len(processes.memory_map(tmp_path, 7).text) < 2**21 + 1000
    monkeypatch.setattr(processes, "_MAX_LINES", 2**22)
    all_of_them = processes.command_lines(tmp_path)
    assert len(all_of_them.text) < 6 * 2**20
    assert "are left out" in all_of_them.remarks[0]
