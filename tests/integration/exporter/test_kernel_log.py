# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel records: counted once each, over restarts, from files, pipes and the kernel itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.exporter.running import NO_SUCH_GPU, Exporter, KernelFile, Page

GPU = "0000:3b:00"
SAID = f"NVRM: Xid (PCI:{NO_SUCH_GPU}): 43, pid=1, name=test, this is a test, no such GPU exists".encode()


def count(page: Page, xid: int, gpu: str = GPU) -> float | None:
    return page.value("autoglm_kernel_faults_total", kind="xid", xid=str(xid), gpu=gpu)


def test_faults_are_counted_once_also_over_restarts(make_exporter: Callable[..., Exporter], kernel: KernelFile) -> None:
    kernel.xid(48, GPU)
    exporter = make_exporter("--kmsg", str(kernel.path))
    exporter.until("the first fault", lambda page: count(page, 48) == 1)
    kernel.say("usb 1-1: new high-speed USB device number 2")
    kernel.xid(48, GPU)
    exporter.until("the second", lambda page: count(page, 48) == 2)
    exporter.stop()
    kernel.xid(79, GPU)
    exporter.start()
    page = exporter.until("the one in between", lambda page: count(page, 79) == 1)
    assert count(page, 48) == 2
    exporter.stop(signal.SIGKILL)
    exporter.start()
    page = exporter.until("the page after kill -9", lambda page: page.value("autoglm_kernel_log_readable") == 1)
    assert (count(page, 48), count(page, 79)) == (2, 1)
    assert page.value("autoglm_kernel_fault_last_seen_timestamp_seconds", xid="79") == pytest.approx(
        time.time(), abs=60
    )


def test_what_the_kernel_overwrote_is_counted_as_lost(
    make_exporter: Callable[..., Exporter], kernel: KernelFile
) -> None:
    kernel.xid(48, GPU)
    exporter = make_exporter("--kmsg", str(kernel.path))
    kernel.xid(48, GPU, skip=7)
    page = exporter.until("the second fault", lambda page: count(page, 48) == 2)
    assert page.value("autoglm_kernel_log_lost_records_total") == 7


def test_rubbish_in_the_state_file_is_not_in_the_way(
    make_exporter: Callable[..., Exporter], kernel: KernelFile, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "exporter.json"
    state.parent.mkdir()
    state.write_bytes(b'{"version": 1, "faults": [{"labels": 7}, 0, {"labels": {"kind": []}, "count": -1}], "gpus": 3')
    kernel.xid(48, GPU)
    exporter = make_exporter("--kmsg", str(kernel.path))
    exporter.until("the fault", lambda page: count(page, 48) == 1)
    exporter.stop()
    assert "counters begin anew" in exporter.log()
    assert state.read_text().startswith('{"boot_id"')


def test_a_state_that_cannot_be_written_costs_no_fault(
    make_exporter: Callable[..., Exporter], kernel: KernelFile, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    kernel.xid(48, GPU)
    page = make_exporter("--kmsg", str(kernel.path)).until("the fault", lambda page: count(page, 48) == 1)
    assert page.values("autoglm_state_save_errors")


def test_a_pipe_may_be_opened_again_and_again_by_its_writers(
    make_exporter: Callable[..., Exporter], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    exporter = make_exporter("--kmsg", str(pipe))
    for number in (1, 2):
        with pipe.open("w") as writer:
            writer.write(f"NVRM: Xid (PCI:{GPU}): 62, a line without a number\n")
        exporter.until("the fault", lambda page, number=number: count(page, 62) == number)


def test_a_log_that_is_not_there_yet(make_exporter: Callable[..., Exporter], tmp_path: Path) -> None:
    page = make_exporter("--kmsg", str(tmp_path / "missing")).until(
        "a page", lambda page: page.value("autoglm_kernel_log_readable") == 0
    )
    assert page.value("autoglm_heartbeat_timestamp_seconds")


def test_the_kernel_itself(make_exporter: Callable[..., Exporter]) -> None:
    """Not with the address of a GPU that exists: all readers of this kernel's log see the line."""
    reader = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.lseek(reader, 0, os.SEEK_SET)
        # Those of earlier test runs are still there.
        earlier = sum(SAID in record for record in records(reader))
        if not write_to_kernel(reader):
            pytest.skip("/dev/kmsg cannot be written here, or the kernel drops what is written")
    finally:
        os.close(reader)
    exporter = make_exporter()
    exporter.until("all lines", lambda page: count(page, 43, NO_SUCH_GPU) == earlier + 1)
    exporter.stop()
    exporter.start()
    exporter.until("a page", lambda page: page.value("autoglm_kernel_log_readable") == 1)
    exporter.until("the same again", lambda page: count(page, 43, NO_SUCH_GPU) == earlier + 1)


def records(reader: int) -> Iterator[bytes]:
    """Read what is in the kernel's log from here on."""
    with contextlib.suppress(BlockingIOError):
        while True:
            try:
                yield os.read(reader, 8192)
            except BrokenPipeError:  # overwritten meanwhile: the next read is of the oldest that is left
                continue


def write_to_kernel(reader: int) -> bool:
    """Write a line, and see that it is there: the kernel limits the rate of such lines, and says nothing."""
    try:
        with open("/dev/kmsg", "wb") as kmsg:
            kmsg.write(b"<4>" + SAID + b"\n")
    except OSError:
        return False
    return any(SAID in record for record in records(reader))
