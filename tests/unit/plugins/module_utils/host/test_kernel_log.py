# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three readers of the kernel's log, and what is said when they fail."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import kernel_log
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread

# Python has a name for it from 3.10 on.
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)


def runner(**answers: bytes):
    def run(argv, _timeout):
        found = answers.get(argv[0])
        return CommandResult(0, found, b"") if found is not None else CommandResult(1, b"", b"Operation not permitted")

    return run


def test_a_kmsg_record() -> None:
    line = kernel_log.parse_kmsg_record("6,1234,2508843717,-;Killed process 9725\n SUBSYSTEM=x\n")
    assert line == kernel_log.KernelLine(2508.843717, "Killed process 9725")


@pytest.mark.parametrize("record", ["", "6,1", "no semicolon", "6,1,x,-;text"])
def test_what_is_no_kmsg_record(record: str) -> None:
    assert kernel_log.parse_kmsg_record(record) is None


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("[ 2508.843717] Killed", 2508.843717, "Killed"),
        ("[12345.678901] node-a kernel: Killed", 12345.678901, "Killed"),
        ("no stamp", None, "no stamp"),
    ],
)
def test_lines_of_dmesg_and_of_the_journal(text: str, at: float | None, said: str) -> None:
    assert kernel_log.parse_line(text) == kernel_log.KernelLine(at, said)


def test_the_next_reader_is_used_and_the_failure_is_told(tmp_path: Path) -> None:
    log = kernel_log.read(runner(dmesg=b"[    1.000000] hello\n"), 1.0, str(tmp_path / "absent"))
    assert (log.source, log.lines[0].text) == ("dmesg", "hello")
    assert "absent" in log.failed[0]


def test_an_empty_reader_is_no_source(tmp_path: Path) -> None:
    log = kernel_log.read(runner(dmesg=b"", journalctl=b"[    1.000000] host kernel: hi\n"), 1.0, str(tmp_path / "no"))
    assert log.source == "journalctl -k"
    assert "dmesg: empty" in log.failed


def test_no_reader_at_all(tmp_path: Path) -> None:
    with pytest.raises(Unread, match=r"dmesg: .*not permitted.*journalctl"):
        kernel_log.read(runner(), 1.0, str(tmp_path / "no"))


def test_a_line_break_in_a_message_begins_no_message(tmp_path: Path) -> None:
    printed = (
        b"[    1.000000] a.out[7]: segfault at 0 ip 0 sp 0 error 4 in x\nNVRM: Xid (PCI:0000:3b:00): 79, y[55d0+1000]\n"
    )
    (line,) = kernel_log.read(runner(dmesg=printed + b"\n"), 1.0, str(tmp_path / "no")).lines
    assert (line.at, line.text.partition("\n")[0]) == (1.0, "a.out[7]: segfault at 0 ip 0 sp 0 error 4 in x")


def test_of_more_records_than_can_be_held_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe in packet mode gives records one by one, as /dev/kmsg does."""
    monkeypatch.setattr(kernel_log, "_MAX_BYTES", 10_000)
    readable, writable = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    fcntl.fcntl(writable, F_SETPIPE_SZ, 2**20)
    try:
        for number in range(200):
            os.write(writable, f"6,{number},{number}000000,-;{'x' * 1000}\n".encode())
        lines = kernel_log.read(runner(), 60.0, f"/proc/self/fd/{readable}").lines
    finally:
        os.close(readable)
        os.close(writable)
    assert [line.at for line in lines] == [float(number) for number in range(190, 200)]
