# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executed programs: what a message says, of which service it is, and whether it may run."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.exporter.exec_connector import Executed, Forked, Numbered, ProcessConnector, parse
from autoglm_recovery.exporter.exec_watch import AllowList, ExecutedProgram, ExecWatch, clean
from autoglm_recovery.exporter.faults import CountedFault
from autoglm_recovery.exporter.services import NodeService, Services, ServicesError, load_services

PYTHON = "/usr/bin/python3.11"
LLM = NodeService("llm", "pool-a", "llm.service", frozenset({PYTHON}))
OTHER = NodeService("other", "pool-a", "other.service")
MACHINE, CONTAINER = 1, 2
FILE, ANOTHER = (8, 100), (8, 101)


def message(what: int, *numbers: int, cpu: int = 0, sequence: int = 0, group: int = 1) -> bytes:
    body = struct.pack("=IIQ", what, cpu, 1_500_000_000) + struct.pack(f"={len(numbers)}I", *numbers) + bytes(24)
    inner = struct.pack("=IIIIHH", group, 1, sequence, 0, len(body), 0) + body
    return struct.pack("=IHHII", 16 + len(inner), 3, 0, 0, 0) + inner


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (message(2, 11, 10), Executed(10, 1.5)),
        (message(1, 5, 4, 20, 20), Forked(4, 20)),
        (message(1, 5, 4, 21, 20), None),
        (message(0x80000000, 7, 7), None),
    ],
    ids=["execve", "fork", "thread", "exit"],
)
def test_what_a_message_says(data: bytes, event: object) -> None:
    assert parse(data) == Numbered(0, 0, event)  # type: ignore[arg-type]


@pytest.mark.parametrize("data", [b"", message(2, 1, 1)[:59], message(2, 1, 1, group=2), message(0, 0, 0)])
def test_what_is_no_event(data: bytes) -> None:
    assert parse(data) is None


@given(st.binary(max_size=120))
def test_rubbish_is_no_error(data: bytes) -> None:
    parse(data)
    parse(message(1, 1, 2, 3, 3)[:36] + data)


def test_each_processors_gaps_are_lost_events() -> None:
    connector = ProcessConnector()
    for cpu, sequence in ((0, 7), (1, 90), (0, 8), (0, 12), (1, 91), (0, 2**32 - 1)):
        connector._count_gap(Numbered(cpu, sequence, None))
    assert connector.lost == 3  # a number that goes back by a step is no gap
    connector._count_gap(Numbered(0, 1, None))
    assert connector.lost == 4


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (ExecutedProgram(PYTHON, FILE, CONTAINER), ""),
        (ExecutedProgram(PYTHON, ANOTHER, CONTAINER), "is not the file"),
        (ExecutedProgram(PYTHON, ANOTHER, CONTAINER + 1), ""),
        (ExecutedProgram(PYTHON, ANOTHER, MACHINE), ""),
        (ExecutedProgram(PYTHON, FILE, CONTAINER, regular=False), "has no name"),
        (ExecutedProgram("/tmp/python3.11", FILE, CONTAINER), "not among"),
        (ExecutedProgram(f"{PYTHON} (deleted)", FILE, CONTAINER), "not among"),
        (ExecutedProgram("/memfd:python3.11 (deleted)", FILE, CONTAINER), "not among"),
        (ExecutedProgram("/usr/lib/systemd/systemd-executor", ANOTHER, CONTAINER), "not among"),
        (ExecutedProgram("/usr/lib/systemd/systemd-executor", (8, 5), MACHINE), ""),
    ],
)
def test_what_may_run(program: ExecutedProgram, why: str) -> None:
    allow = AllowList(MACHINE, executor=(8, 5))
    assert allow.why_not(LLM, ExecutedProgram(PYTHON, FILE, CONTAINER)) == ""
    assert why in allow.why_not(LLM, program)
    assert bool(allow.why_not(LLM, program)) == bool(why)


class WrittenProc:
    """A /proc of a test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, pid: int, unit: str, exe: Path | None) -> None:
        (self.root / str(pid) / "ns").mkdir(parents=True)
        (self.root / str(pid) / "ns/mnt").touch()
        (self.root / str(pid) / "cgroup").write_text(f"0::/system.slice/{unit}\n")
        if exe is not None:
            (self.root / str(pid) / "exe").symlink_to(exe)


@pytest.fixture
def proc(tmp_path: Path) -> WrittenProc:
    return WrittenProc(tmp_path / "proc")


@pytest.fixture
def told() -> list[CountedFault]:
    return []


@pytest.fixture
def watch(proc: WrittenProc, told: list[CountedFault]) -> ExecWatch:
    return ExecWatch(ProcessConnector(), Services([LLM, OTHER]), told.append, proc.root)


def test_a_program_that_is_not_declared_is_told_of_with_its_service(
    watch: ExecWatch, proc: WrittenProc, told: list[CountedFault], tmp_path: Path
) -> None:
    program = tmp_path / "miner"
    program.touch()
    proc.process(10, "llm.service", program)
    watch.take(Executed(10, 0.0))
    assert told[0].labels == {
        "kind": "unexpected_exec",
        "failure_class": "intrusion",
        "service": "llm",
        "pool": "pool-a",
    }
    assert told[0].detail == f"{program}, process 10, is not among its programs."
    assert (watch.unexpected["llm"], watch.unseen["llm"]) == (1, 0)


def test_a_service_that_declares_nothing_is_not_watched(
    watch: ExecWatch, proc: WrittenProc, told: list[CountedFault], tmp_path: Path
) -> None:
    proc.process(10, "other.service", tmp_path)
    proc.process(11, "llm.service.d", tmp_path)
    for pid in (10, 11):
        watch.take(Executed(pid, 0.0))
    assert not told
    assert watch.watched == (LLM,)


def test_a_program_that_is_gone_counts_for_the_service_of_its_forefathers(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", None)
    for event in (Forked(10, 11), Forked(11, 12), Executed(12, 0.0), Executed(99, 0.0)):
        watch.take(event)
    assert watch.unseen == {"llm": 1}


def test_a_process_that_may_not_be_read_is_unseen_and_not_well(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", None)
    watch.take(Executed(10, 0.0))
    assert watch.unseen == {"llm": 1}


def test_a_program_that_became_another_before_it_was_read_is_unseen(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", Path(os.path.realpath("/bin/sh")))
    watch.take(Executed(10, 0.0))
    watch.take(Executed(10, 0.001))
    assert watch.unseen == {"llm": 1}


def test_a_number_that_is_used_again_is_another_process(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", None)
    for event in (Executed(10, 0.0), Forked(10, 11), Forked(1, 11), Executed(11, 0.0)):
        watch.take(event)
    assert watch.unseen == {"llm": 1}


def test_an_intruders_file_name_is_text_and_short() -> None:
    assert clean("/tmp/a\n{{ x }}`id`") == "/tmp/a??? x ???id?"
    assert len(clean("/" + "a" * 5000)) == 200


@pytest.mark.parametrize("programs", ["/bin/sh", "[sh]", "[/bin/../bin/sh]", '["/bin/sh\\n"]', "[1]", "{a: b}"])
def test_programs_that_are_declared_wrongly(tmp_path: Path, programs: str) -> None:
    path = tmp_path / "services.yml"
    path.write_text(f"- {{name: a, unit: a, programs: {programs}}}\n")
    with pytest.raises(ServicesError, match="program"):
        load_services(path)


def test_declared_programs(tmp_path: Path) -> None:
    path = tmp_path / "services.yml"
    path.write_text(f"- {{name: llm, pool: pool-a, unit: llm, programs: [{PYTHON}]}}\n")
    assert load_services(path).all == (LLM,)
