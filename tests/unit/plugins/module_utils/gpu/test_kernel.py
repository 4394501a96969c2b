# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the kernel's lines count against a GPU."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging import kernel
from ansible_collections.autoglm.recovery.plugins.module_utils.host import kernel_log
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread

LOG = """\
[  100.000000] NVRM: Xid (PCI:0000:0b:00): 79, pid=1, name=x, GPU has fallen off the bus.
[  950.000000] NVRM: Xid (PCI:0000:1a:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: pending
[  960.000000] Out of memory: Killed process 12 (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB, UID:0
[  990.000000] usb 1-1: new device
"""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch):
    """The log above, at second 1000."""
    lines = tuple(kernel_log.parse_line(line) for line in LOG.splitlines())
    monkeypatch.setattr(kernel_log, "read", lambda *_: kernel_log.KernelLog("dmesg", lines))
    return lambda window: kernel.recent(window, now=1000.0)


def test_only_faults_of_gpus_within_the_window(seen) -> None:
    assert [(event["xid"], event["age_seconds"]) for event in seen(900).events] == [(79, 900.0), (63, 50.0)]
    assert [event["xid"] for event in seen(60).events] == [63]
    assert seen(0).events == ()


def test_events_go_to_the_gpu_that_they_name(seen) -> None:
    events = seen(2000).events
    assert [event["xid"] for event in kernel.of_gpu(events, "0000:0b:00.0")] == [79]
    assert kernel.of_gpu(events, None) == []
    assert [event["xid"] for event in kernel.of_nobody(events, ["0000:1a:00.0", None])] == [79]


def test_a_log_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_run: object, _timeout: float) -> None:
        raise Unread("Operation not permitted")

    def never(argv: Sequence[str], _timeout: float) -> CommandResult:
        raise AssertionError(argv)

    monkeypatch.setattr(kernel_log, "read", refuse)
    assert kernel.recent(900, never).error == "Operation not permitted"
