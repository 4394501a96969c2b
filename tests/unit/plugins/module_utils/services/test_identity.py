# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose process is it? Every rule has a line; no process is taken for ours on a mere number."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services.identity import (
    ANOTHER,
    DOUBTFUL,
    GONE,
    OURS,
    PidFile,
    identify,
    parse_pid,
    resembles,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.services.process import Process, Program
from hypothesis import given
from hypothesis import strategies as st

COMMAND = ("/usr/bin/llama-server", "--port", "8080")
NOW = time.time()
BOOTED = time.clock_gettime(time.CLOCK_BOOTTIME)
FILE = PidFile("/run/x.pid", 77, NOW, 0)
EARLIER = Process(77, "S", "llama-server", 77, BOOTED - 5.0, 0)  # it wrote its file five seconds after its start
LATER = replace(EARLIER, began=BOOTED + 60.0)
MARKED = Program(("x",), "/x", FILE.mark)
LLAMA = Program(COMMAND, "/usr/bin/llama-server")
SLEEP = Program(("sleep", "9"), "/usr/bin/sleep")

TABLE = [
    # file, process, program -> verdict
    (FILE, None, None, GONE),
    (FILE, EARLIER, None, OURS),
    (FILE, replace(EARLIER, began=BOOTED + 0.5), None, OURS),  # within what the clocks can tell
    (FILE, LATER, SLEEP, ANOTHER),
    (FILE, LATER, LLAMA, DOUBTFUL),  # the same program: perhaps the clock was set
    (FILE, LATER, None, DOUBTFUL),  # what it runs could not be read
    (FILE, LATER, MARKED, OURS),
    (FILE, LATER, Program(("x",), "/x", "/run/other.pid:77"), ANOTHER),
    (FILE, LATER, Program(("x",), "/x", "/run/x.pid:78"), ANOTHER),  # a child of one of our earlier processes
    (replace(FILE, owner=1000), EARLIER, None, DOUBTFUL),
    (replace(FILE, owner=1000), replace(EARLIER, uid=1000), None, OURS),
    (replace(FILE, owner=1000), LATER, MARKED, DOUBTFUL),
]


@pytest.mark.parametrize(("file", "process", "program", "verdict"), TABLE)
def test_table(file: PidFile, process: Process | None, program: Program | None, verdict: str) -> None:
    found = identify(file, process, program, COMMAND)
    assert found.verdict == verdict
    assert (found.reason == "") == (verdict == OURS)


@pytest.mark.parametrize(
    ("argv", "exe", "alike"),
    [
        (COMMAND, "", True),
        (("/usr/bin/llama-server",), "/usr/bin/llama-server", True),
        (("python3", *COMMAND), "", True),  # a script, by its interpreter
        (COMMAND[1:], "", True),  # a wrapper that became its tail
        (("VLLM::EngineCore",), "/opt/python3.11", False),
        (("sleep", "9"), "/usr/bin/sleep", False),
        ((), "", False),
    ],
)
def test_resemblance(argv: tuple[str, ...], exe: str, alike: bool) -> None:
    assert resembles(Program(argv, exe), COMMAND) is alike
    assert not resembles(Program(argv, exe), ())


@pytest.mark.parametrize(("text", "pid"), [("77", 77), ("77\n", 77), (" 77 \n/data\nmore", 77), ("4194304", 4194304)])
def test_numbers(text: str, pid: int) -> None:
    assert parse_pid(text) == pid


@given(st.text(max_size=20))
def test_a_number_or_a_refusal(text: str) -> None:
    try:
        assert 1 < parse_pid(text) <= 4194304
    except ValueError as error:
        assert "no process's number" in str(error)
