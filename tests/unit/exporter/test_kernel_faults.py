# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel records, the faults that they tell of, and what of them is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.exporter import state
from autoglm_recovery.exporter.alertmanager import FastAlert
from autoglm_recovery.exporter.faults import CountedFault, FaultObserver
from autoglm_recovery.exporter.kernel import FastPath, KernelReader
from autoglm_recovery.exporter.kmsg import KernelLogReader, KernelRecord
from autoglm_recovery.exporter.ledger import MOST_SERIES, FaultLedger
from autoglm_recovery.exporter.services import NodeService, Services
from autoglm_recovery.policy import parse_policy

LLM = NodeService("llm", "pool-a", "llm.service")
GPU = "0000:3b:00"


def observer() -> FaultObserver:
    return FaultObserver(
        Services([LLM]),
        service_of_pid=lambda pid: LLM if pid == 42 else None,
        owner_of_gpu=lambda gpu: LLM if gpu == GPU else None,
        is_gpu=lambda gpu: gpu == GPU,
    )


def faults(*lines: str, watching: FaultObserver | None = None) -> list[CountedFault]:
    watching = watching or observer()
    taken = [watching.take(KernelRecord(line, None, 1000.0 + number)) for number, line in enumerate(lines)]
    return [fault for fault in taken if fault is not None]


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        (
            "NVRM: Xid (PCI:0000:3b:00): 48, pid=7, name=x, DBE",
            {"kind": "xid", "xid": "48", "gpu": GPU, "failure_class": "gpu_fault", "service": "llm", "pool": "pool-a"},
        ),
        (
            "NVRM: Xid (PCI:0000:1a:00 GPU-I:03 GPU-CI:01): 31, pid=42, name=x, MMU Fault",
            {"kind": "xid", "xid": "31", "gpu": "0000:1a:00", "mig_gi": "3", "mig_ci": "1", "failure_class": "crash",
             "service": "llm", "pool": "pool-a"},
        ),
        (
            "NVRM: Xid (PCI:0000:1a:00): 45, pid=7, name=x, Ch 00000010",
            {"kind": "xid", "xid": "45", "gpu": "0000:1a:00"},
        ),
        (
            "NVRM: Xid (PCI:0000:1a:00): 4711, something new",
            {"kind": "xid", "xid": "4711", "gpu": "0000:1a:00", "failure_class": "unknown"},
        ),
        (
            "NVRM: Xid (PCI:0000:1a:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
            {"kind": "xid", "xid": "154", "gpu": "0000:1a:00", "failure_class": "gpu_fault"},
        ),
        (
            "NVRM: Xid (PCI:0000:1a:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)",
            {"kind": "xid", "xid": "154", "gpu": "0000:1a:00"},
        ),
        (
            "NVRM: GPU at PCI:0000:1a:00 has fallen off the bus.",
            {"kind": "gpu_off_bus_text", "gpu": "0000:1a:00", "failure_class": "gpu_lost"},
        ),
    ],
)  # fmt: skip
def test_a_line_becomes_a_fault(line: str, labels: dict[str, str]) -> None:
    assert [fault.labels for fault in faults(line)] == [labels]


def test_three_lines_of_a_lost_gpu_are_one_fault() -> None:
    told = faults(
        "NVRM: The NVIDIA GPU 0000:3b:00.0",
        "NVRM: (PCI ID: 10de:2330) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    )
    assert [(fault.labels["gpu"], fault.labels["failure_class"]) for fault in told] == [(GPU, "gpu_lost")]


def test_an_oom_kill_belongs_to_the_service_whose_control_group_it_struck() -> None:
    record = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/{0},"
    record += "task_memcg=/system.slice/{0}/inner,task=llama,pid=9,uid=0"
    kill = "Memory cgroup out of memory: Killed process 9 (llama) total-vm:1kB, anon-rss:1kB, UID:0 pgtables:1kB"
    (ours,) = faults(record.format("llm.service"), kill)
    assert ours.labels == {"kind": "oom_kill", "failure_class": "oom", "service": "llm", "pool": "pool-a"}
    (other,) = faults(record.format("cron.service"), kill)
    assert other.labels == {"kind": "oom_kill", "failure_class": "oom"}
    # Named by its user, in a session of theirs; and so long that the kernel cut the line.
    for theirs in ("x/user@7.service/llm.service", "y,task_memcg=/system.slice/llm.service", "z" * 900):
        (other,) = faults(record.format(theirs), kill)
        assert other.labels == {"kind": "oom_kill", "failure_class": "oom"}
    (other,) = faults(record.format("llm.service").partition(",task=")[0], kill)
    assert other.labels == {"kind": "oom_kill", "failure_class": "oom"}


def test_a_pcie_fault_of_another_card_has_no_class() -> None:
    line = "pcieport {}: AER: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Transaction Layer, (Requester ID)"
    told = faults(line.format("0000:3b:00.0"), line.format("0000:99:00.0"))
    assert [fault.labels.get("failure_class") for fault in told] == ["gpu_lost", None]


@given(st.text(max_size=300))
def test_no_line_is_too_much(line: str) -> None:
    for fault in faults(f"NVRM: Xid (PCI:{line}", line, f"NVRM: Xid (PCI:0000:3b:00): {line}"):
        assert all(isinstance(value, str) and value for value in fault.labels.values())


def read(log: KernelLogReader) -> list[str]:
    return [record.text for record in log.read()]


def test_records_are_read_once_and_gaps_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_text("4,7,1,-;seven\n DEVICE=x\n4,8,2,-;eight\n")
    log = KernelLogReader(path, last=7)
    log.open()
    assert [text for text in read(log) if ";" in text] == ["4,8,2,-;eight"]
    with path.open("a") as file:
        file.write("4,8,2,-;eight again\n4,12,3,-;twelve\n4,13,4,-;half a li")
    assert read(log) == ["4,12,3,-;twelve"]
    assert (log.lost, log.last) == (3, 12)
    with path.open("a") as file:
        file.write("ne\n")
    assert read(log) == ["4,13,4,-;half a line"]
    log.close()


def test_a_record_has_the_time_at_which_the_kernel_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "kmsg"
    path.write_text("4,7,10000000,-;x\n4,8,99000000,-;a time to come\n4,9;no record\n")
    log = KernelLogReader(path, wall=lambda: 5000.0, since_boot=lambda: 60.0)
    log.open()
    assert [record.at for record in log.read()] == [4950.0, 5000.0, 5000.0]
    log.close()


class Told:
    """Keeps what a sender is given."""

    def __init__(self) -> None:
        self.alerts: list[FastAlert] = []

    def put(self, alert: FastAlert) -> None:
        self.alerts.append(alert)


def test_a_fault_that_is_long_over_is_counted_and_told_to_nobody(tmp_path: Path) -> None:
    """A restart reads the kernel's log again from its beginning."""
    path = tmp_path / "kmsg"
    xid = "NVRM: Xid (PCI:0000:3b:00): {}, pid=7, name=x, y"
    path.write_text(f"4,7,10000000,-;{xid.format(79)}\n4,8,3600000000,-;{xid.format(48)}\n")
    told, ledger = Told(), FaultLedger()
    log = KernelLogReader(path, wall=lambda: 9000.0, since_boot=lambda: 3601.0)
    fast = FastPath("node-a", [told], clock=lambda: 9000.0)  # type: ignore[list-item]
    reader = KernelReader(log, observer(), ledger, fast, lambda: None)
    log.open()
    reader.read()
    log.close()
    assert [alert.labels["xid"] for alert in told.alerts] == ["48"]
    assert {labels["xid"] for labels, _seen in ledger.rows()} == {"79", "48"}


def test_a_pipe_outlives_its_writers(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = KernelLogReader(path)
    log.open()
    assert read(log) == []
    for text in ("one", "two"):
        with path.open("w") as writer:
            writer.write(f"{text}\n")
        log.wait(10)
        assert read(log) == [text]
    log.close()


def test_figures_only_grow_and_survive() -> None:
    ledger = FaultLedger()
    labels = {"kind": "xid", "xid": "48"}
    for at in (30.0, 10.0):
        assert ledger.add(labels, at)
    again = FaultLedger()
    again.restore(json.loads(json.dumps(ledger.dump())))
    again.add(labels, 20.0)
    ((_labels, seen),) = again.rows()
    assert (seen.count, seen.last) == (3, 30.0)


def test_there_is_room_for_so_many_faults_and_no_more() -> None:
    ledger = FaultLedger()
    for number in range(MOST_SERIES + 5):
        ledger.add({"kind": "xid", "xid": str(number)}, 1.0)
    assert (len(ledger.rows()), ledger.dropped) == (MOST_SERIES, 5)
    assert ledger.add({"kind": "xid", "xid": "0"}, 2.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["labels", "count", "last", "kind", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_stored_faults_are_taken_or_left(stored: object) -> None:
    ledger = FaultLedger()
    ledger.restore(stored)
    for labels, seen in ledger.rows():
        assert seen.count >= 1
        assert any(labels.values())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"version": 2}', b"[" * 100_000])
def test_rubbish_is_no_state(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    stored, problem = state.load(path)
    assert (stored, bool(problem)) == ({}, True)


def test_an_unchanged_state_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    file = state.StateFile(path)
    file.save({"faults": []})
    path.unlink()
    file.save({"faults": []})
    assert not path.exists()
    file.save({"faults": [1]})
    assert state.load(path) == ({"version": 1, "faults": [1]}, "")
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("number", "failure_class"),
    [(0, None), (1, "gpu_fault"), (2, "gpu_lost"), (3, "gpu_comm"), (4, "gpu_fault"), (5, "unknown"), (6, "gpu_lost"),
     (7, "gpu_lost"), (9, "unknown")],
)  # fmt: skip
def test_the_drivers_own_verdict_has_the_class_whose_ladder_holds_what_it_asks_for(
    number: int, failure_class: str | None
) -> None:
    line = f"NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x{number:x} (Text)"
    (fault,) = faults(line)
    assert fault.labels.get("failure_class") == failure_class


def test_a_reboot_in_the_words_of_a_reset_is_a_reboot() -> None:
    """As hosts of GKE print it."""
    line = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (Node Reboot Required)"
    assert faults(line)[0].labels["failure_class"] == "gpu_lost"


def test_a_memory_manager_that_has_failed_for_all_gpus_is_a_fault_of_the_host() -> None:
    line = "NVRM: nvGpuOpsReportFatalError: uvm encountered global fatal error 0x60, requiring os reboot to recover."
    (fault,) = faults(line)
    assert fault.labels == {"kind": "uvm_fatal", "failure_class": "gpu_lost"}


def test_the_fleets_own_word_on_a_code_is_heard() -> None:
    line = "NVRM: Xid (PCI:0000:3b:00): 63, pid=7, name=x, Row Remapper"
    assert "failure_class" not in faults(line)[0].labels
    policy = parse_policy("faults: {xid: {63: {failure_class: gpu_fault, action: reset_gpu}}}")
    watching = observer()
    watching.overrides = policy.faults.overrides()
    assert faults(line, watching=watching)[0].labels["failure_class"] == "gpu_fault"
