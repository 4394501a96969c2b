# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads first of a bundle."""

from __future__ import annotations

import re
import time

from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import summary
from ansible_collections.autoglm.recovery.plugins.module_utils.host.kernel_log import KernelLine, KernelLog
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ProcessEnd, Status
from hypothesis import given
from hypothesis import strategies as st

ABOUT = summary.SnapshotSubject("3f-42", "node-a", 2, 1795888800.0)
DEAD = Status(
    "systemd", "llama.service", state="failed", detail="failed/oom-kill", end=ProcessEnd("killed by signal 9", at=100.0)
)
WALL = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def unread():
    raise Unread("the journal is gone")


def written(status=DEAD, log=lambda: "", kernel=list, memory=lambda: ""):
    """Return a summary."""
    return summary.write(ABOUT, status, log, kernel, memory)


def test_it_says_what_when_and_how_it_ended():
    text = written()
    assert text.startswith("## What\nincident 3f-42, attempt 2, on node-a\ntaken at 2026-11-28T18:00:00.000Z\n")
    assert "unit llama.service: failed" in text
    assert "how the last one ended: killed by signal 9" in text
    assert re.search(r"ended at 20\d\d-", text)


def test_errors_long_before_the_end_and_the_very_end_are_shown():
    log = ["error: failed to load model /var/lib/x", *["GET / 200"] * 500, "bye"]
    shown = summary.last_errors("\n".join(log))
    assert shown[:2] == ["error: failed to load model /var/lib/x", "..."]
    assert shown[-1] == "bye"
    assert len(shown) < 60
    assert summary.last_errors("") == ["(its log is empty)"]


def test_the_kernels_lines_about_faults_have_the_wall_clock():
    lines = [KernelLine(5.0, "eth0: link up"), KernelLine(6.0, "Out of memory: Killed process 42 (llama-server)")]
    (shown,) = summary.kernel_lines(lines)
    assert WALL.match(shown)
    assert "Killed process 42" in shown
    assert summary.kernel_lines(lines[:1]) == ["nothing about a fault"]


def test_the_kernels_log_has_the_wall_clock_beside_its_own():
    moment = time.clock_gettime(time.CLOCK_MONOTONIC)
    (shown, bare) = KernelLog("dmesg", (KernelLine(moment, "x"), KernelLine(None, "y"))).as_text().splitlines()
    assert WALL.match(shown)
    assert shown.endswith("] x")
    assert bare == "y"


def test_memory_and_disks_are_told():
    text = written(memory=lambda: "MemTotal: 16 kB\nMemAvailable:  1 kB\nHugePages_Free: 0\n")
    assert "MemAvailable:  1 kB" in text
    assert "HugePages" not in text
    assert re.search(r"^/: [0-9.]+ \w+ free of [0-9.]+ \w+ \(\d+ %\)$", text, re.MULTILINE)


def test_what_cannot_be_read_says_so_and_keeps_nothing_else_away():
    text = written(log=unread, kernel=unread, memory=unread)
    assert text.count("not readable: the journal is gone") == 3
    assert "Disks at that time" in text
    assert "no service was named" in written(status=None)


@given(st.text(), st.text(), st.lists(st.text(max_size=50), max_size=5))
def test_any_text_is_lines_of_printable_text(log, incident, kernel):
    about = summary.SnapshotSubject(incident, incident, 1, 0.0)
    lines = [KernelLine(1.0, text) for text in kernel]
    text = summary.write(about, None, lambda: log, lambda: lines, lambda: log)
    assert all(line.isprintable() for line in text.split("\n"))
