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
from autoglm_recovery.exporter.exec_programs import (
    AllowList,
    ExecutedProgram,
    FileId,
    Machine,
    UnknownProgramError,
    clean,
)
from autoglm_recovery.exporter.exec_watch import DECLARED, OTHER, ExecWatch
from autoglm_recovery.exporter.faults import CountedFault
from autoglm_recovery.exporter.services import NodeService, Services, ServicesError, load_services

PYTHON, CRUN = "/usr/bin/python3.11", "/usr/bin/crun"
LLM = NodeService("llm", "pool-a", "llm.service", frozenset({PYTHON}))
BOXED = NodeService("boxed", "pool-a", "boxed.service", frozenset({CRUN, "/usr/bin/podman"}))
UNWATCHED = NodeService("other", "pool-a", "other.service")
MACHINE, CONTAINER, SANDBOX = 1, 2, 4
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


class Mounts:
    """The machine's own files, and what of them may not be looked at."""

    def __init__(self) -> None:
        self.files: dict[str, FileId] = {PYTHON: FILE, CRUN: (8, 7)}
        self.copies: set[tuple[str, Path]] = set()
        self.hidden = False

    def file(self, path: str) -> FileId | None:
        if self.hidden:
            raise UnknownProgramError(path)
        return self.files.get(path)

    def has_content(self, path: str, exe: Path) -> bool:
        return (path, exe) in self.copies


@pytest.fixture
def mounts() -> Mounts:
    return Mounts()


@pytest.fixture
def allow(mounts: Mounts) -> AllowList:
    return AllowList(MACHINE, mounts.file, mounts.has_content)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (ExecutedProgram(PYTHON, FILE, CONTAINER), ""),
        (ExecutedProgram(PYTHON, ANOTHER, CONTAINER), "is not the file"),
        (ExecutedProgram(PYTHON, ANOTHER, CONTAINER + 1), ""),
        (ExecutedProgram(PYTHON, ANOTHER, MACHINE), ""),
        (ExecutedProgram(f"{PYTHON} (deleted)", ANOTHER, CONTAINER, regular=False), "has no name"),
        (ExecutedProgram("/tmp/python3.11", FILE, CONTAINER), "not among"),
        (ExecutedProgram(f"{PYTHON} (deleted)", FILE, CONTAINER), "not among"),
        (ExecutedProgram("/memfd:python3.11 (deleted)", FILE, CONTAINER, regular=False), "not among"),
        (ExecutedProgram("/memfd:python3.11 (deleted)", FILE, MACHINE, regular=False), "not among"),
        (ExecutedProgram("/usr/lib/systemd/systemd-executor", ANOTHER, CONTAINER), "not among"),
    ],
)
def test_what_may_run(allow: AllowList, program: ExecutedProgram, why: str) -> None:
    assert allow.why_not(LLM, ExecutedProgram(PYTHON, FILE, CONTAINER)) == ""
    assert why in allow.why_not(LLM, program)
    assert bool(allow.why_not(LLM, program)) == bool(why)


@pytest.mark.parametrize("path", [PYTHON, "/usr/lib/systemd/systemd-executor"])
def test_an_upgrade_of_the_machine_is_no_intruder(allow: AllowList, path: str) -> None:
    """systemd begins units by the executor that it had open before the upgrade until it executes itself anew."""
    assert allow.why_not(LLM, ExecutedProgram(path, FILE, MACHINE)) == ""
    assert allow.why_not(LLM, ExecutedProgram(f"{path} (deleted)", FILE, MACHINE, regular=False)) == ""
    assert allow.why_not(LLM, ExecutedProgram(path, FILE, MACHINE, regular=False)) == ""
    assert allow.why_not(LLM, ExecutedProgram(path, ANOTHER, MACHINE)) == ""


def test_an_upgrade_is_none_in_a_unit_with_mounts_of_its_own_either(allow: AllowList, mounts: Mounts) -> None:
    """PrivateTmp= and ProtectSystem= make such mounts."""
    assert allow.why_not(LLM, ExecutedProgram(PYTHON, FILE, SANDBOX)) == ""
    mounts.files[PYTHON] = ANOTHER
    assert allow.why_not(LLM, ExecutedProgram(PYTHON, ANOTHER, SANDBOX)) == ""
    assert allow.why_not(LLM, ExecutedProgram(f"{PYTHON} (deleted)", FILE, SANDBOX, regular=False)) == ""
    assert allow.why_not(LLM, ExecutedProgram(PYTHON, (8, 102), SANDBOX)) != ""
    mounts.hidden = True
    with pytest.raises(UnknownProgramError):
        allow.why_not(LLM, ExecutedProgram(PYTHON, (8, 102), SANDBOX))


@pytest.mark.parametrize("path", ["/", "/crun", "/memfd:crun_cloned:/proc/self/exe (deleted)"])
def test_a_container_runtimes_copy_of_itself_is_the_runtime(allow: AllowList, mounts: Mounts, path: str) -> None:
    exe = Path("/proc/10/exe")
    copy = ExecutedProgram(path, ANOTHER, MACHINE, regular=False, exe=exe)
    assert "not among" in allow.why_not(BOXED, copy)
    assert allow.why_not(BOXED, ExecutedProgram(path, mounts.files[CRUN], CONTAINER)) == ""
    mounts.copies = {(CRUN, exe), (PYTHON, exe)}
    assert allow.why_not(BOXED, copy) == ""
    assert "not among" in allow.why_not(LLM, copy), "the runtime is not among its programs"


@pytest.mark.parametrize("path", ["/runc", "/memfd:runc_cloned:/proc/self/exe (deleted)", "/memfd:crun (deleted)"])
def test_a_copy_of_another_name_is_none(allow: AllowList, mounts: Mounts, path: str) -> None:
    mounts.copies = {(CRUN, Path("/proc/10/exe"))}
    assert "not among" in allow.why_not(BOXED, ExecutedProgram(path, ANOTHER, MACHINE, exe=Path("/proc/10/exe")))


@pytest.mark.parametrize("process", ["1", "self"])
def test_the_machines_files_are_those_of_process_one_where_it_can_be_looked_at(tmp_path: Path, process: str) -> None:
    machine = Machine(tmp_path / "proc")
    with pytest.raises(FileNotFoundError):
        machine.mounts()
    namespace = tmp_path / "proc" / process / "ns/mnt"
    crun = tmp_path / "proc" / process / "root/usr/bin/crun"
    for path in (namespace, crun):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"crun")
    copy, another = tmp_path / "copy", tmp_path / "another"
    copy.write_bytes(b"crun")
    another.write_bytes(b"mine")
    assert machine.mounts() == namespace.stat().st_ino
    assert machine.file(CRUN) == (crun.stat().st_dev, crun.stat().st_ino)
    assert machine.file("/usr/bin/none") is machine.file(f"{CRUN}/none") is None
    assert (machine.has_content(CRUN, copy), machine.has_content(CRUN, another)) == (True, False)
    with pytest.raises(UnknownProgramError):
        machine.has_content(CRUN, tmp_path / "gone")
    with pytest.raises(UnknownProgramError):
        machine.file("/" + "a" * 5000)


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
    return ExecWatch(ProcessConnector(), Services([LLM, UNWATCHED]), told.append, proc.root)


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
    assert (watch.unexpected["llm"], watch.unseen) == (1, {})


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
    assert watch.unseen == {("llm", OTHER): 1}


def test_a_process_that_may_not_be_read_is_unseen_and_not_well(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", None)
    watch.take(Executed(10, 0.0))
    assert watch.unseen == {("llm", OTHER): 1}


def test_a_program_that_became_another_before_it_was_read_is_unseen(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", Path(os.path.realpath("/bin/sh")))
    watch.take(Executed(10, 0.0))
    watch.take(Executed(10, 0.001))
    assert watch.unseen == {("llm", OTHER): 1}


def test_a_number_that_is_used_again_is_another_process(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", None)
    for event in (Executed(10, 0.0), Forked(10, 11), Forked(1, 11), Executed(11, 0.0)):
        watch.take(event)
    assert watch.unseen == {("llm", OTHER): 1}


@pytest.mark.parametrize("begun_by", [DECLARED, OTHER])
def test_what_was_not_seen_counts_by_what_began_it(
    proc: WrittenProc, told: list[CountedFault], tmp_path: Path, begun_by: str
) -> None:
    program = tmp_path / "server"
    program.touch()
    declared = {str(program)} if begun_by == DECLARED else {PYTHON}
    service = NodeService("llm", "pool-a", "llm.service", frozenset(declared))
    watch = ExecWatch(ProcessConnector(), Services([service]), told.append, proc.root)
    proc.process(10, "llm.service", program)
    for event in (Forked(10, 11), Forked(11, 12), Executed(12, 0.0)):
        watch.take(event)
    assert watch.unseen == {("llm", begun_by): 1}
    watch.take(Executed(12, 0.0))
    assert watch.unseen[("llm", OTHER)] > 0, "what began this one was not seen itself"


def test_what_systemd_began_is_what_the_unit_says(watch: ExecWatch, proc: WrittenProc) -> None:
    proc.process(10, "llm.service", None)
    watch.take(Forked(1, 10))
    watch.take(Executed(10, 0.0))
    assert watch.unseen == {("llm", DECLARED): 1}


def test_what_cannot_be_told_is_unseen_and_no_intrusion(
    watch: ExecWatch, proc: WrittenProc, told: list[CountedFault], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> str:
        raise UnknownProgramError("it cannot be looked at")

    monkeypatch.setattr(watch.allow, "why_not", unknown)
    program = tmp_path / "server"
    program.touch()
    proc.process(10, "llm.service", program)
    watch.take(Executed(10, 0.0))
    assert not told
    assert watch.unseen == {("llm", OTHER): 1}


class ToldConnector(ProcessConnector):
    """A connector of which the test says what it delivers."""

    def open(self) -> None:
        self._last = self.clock()

    def tell(self) -> None:
        self.heard, self._last = True, self.clock()


def test_a_kernel_that_tells_no_more_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("autoglm_recovery.exporter.exec_connector._make_event", lambda: asked.append(1))
    now = [100.0]
    source = ToldConnector(clock=lambda: now[0])
    source.open()
    source.wait(0)
    assert asked, "nothing has been heard yet"
    source.tell()
    asked.clear()
    now[0] += 5
    source.wait(0)
    assert not asked, "it has told a moment ago"
    now[0] += 10
    source.wait(0)
    assert asked
    now[0] += 20
    with pytest.raises(OSError, match="told of no process"):
        source.wait(0)
    assert (source.heard, source.lost) == (False, 1)


def test_a_watch_that_hangs_in_a_look_is_not_up(watch: ExecWatch) -> None:
    now = [100.0]
    watch.clock = lambda: now[0]
    watch.source.heard = True
    assert not watch.up, "it has not begun"
    watch._turned_at = 100.0
    assert watch.up
    now[0] += 61
    assert not watch.up


def test_a_watch_that_may_look_at_nothing_does_not_listen(
    watch: ExecWatch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch.source, "open", lambda: pytest.fail("it has listened"))
    monkeypatch.setattr(watch._stopping, "wait", lambda _: watch._stopping.set())
    watch.run()
    assert "nobody watches what services execute" in "".join(capsys.readouterr())


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
