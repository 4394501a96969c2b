# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host tells without NVML: the bus, device files, the driver's files, and who holds a GPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging import holders
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.device_files import (
    read_holders,
    sees_all_processes,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.presence import Roots, minors, read_host

from tests.support.servers.headless import headless


def test_a_host_with_eight_gpus(host_roots: Roots) -> None:
    (host_roots.proc / "uptime").write_text("3600.25 1.0\n")
    host = read_host(host_roots)
    assert len(host["pci"]["value"]) == 8
    assert host["nodes"]["value"] == list(range(8))
    assert host["kernel_driver"]["value"] == "570.158.01"
    assert host["uptime_seconds"]["value"] == 3600.25
    assert minors(host)["0000:38:00.0"] == 3


def test_switches_sound_and_other_vendors_are_no_gpus(fake_gpu_host) -> None:
    tree = fake_gpu_host(gpus=2, switches=4)
    host = read_host(Roots(tree.proc, tree.sys, tree.dev))
    assert [one["pci"] for one in host["pci"]["value"]] == ["0000:0b:00.0", "0000:1a:00.0"]


@pytest.mark.parametrize(("head", "answers"), [(b"\xde\x10\x30\x23", True), (b"\xff" * 4, False), (b"", None)])
def test_a_dead_device_reads_as_all_ones(host_roots: Roots, head: bytes, answers: bool | None) -> None:
    (host_roots.sys / "bus/pci/devices/0000:0b:00.0/config").write_bytes(head + b"\xff" * len(head))
    assert read_host(host_roots)["pci"]["value"][0]["answers"] is answers


def test_who_has_the_device(host_roots: Roots) -> None:
    entry = host_roots.sys / "bus/pci/devices/0000:0b:00.0/driver"
    (host_roots.sys / "bus/pci/drivers/vfio-pci").mkdir(parents=True)
    entry.symlink_to("../../drivers/vfio-pci")
    assert read_host(host_roots)["pci"]["value"][0]["driver"] == "vfio-pci"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Fri Feb 23 2024\n", "535.161.08"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build\n", "570.133.20"),
    ],
)
def test_the_version_of_the_module(host_roots: Roots, text: str, version: str) -> None:
    (host_roots.proc / "driver/nvidia/version").write_text(text)
    assert read_host(host_roots)["kernel_driver"] == {"value": version, "error": None}


def test_what_cannot_be_read_says_so_and_no_driver_is_no_error(tmp_path: Path) -> None:
    host = read_host(Roots(tmp_path, tmp_path, tmp_path / "dev"))
    assert host["pci"]["value"] is None
    assert "No such file" in host["pci"]["error"]
    assert host["nodes"]["error"]
    assert host["kernel_driver"] == {"value": None, "error": None}


def process(proc: Path, pid: int, comm: str, cgroup: str, *open_files: str) -> None:
    folder = proc / str(pid) / "fd"
    folder.mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{comm}\n")
    (proc / str(pid) / "cgroup").write_text(f"0::{cgroup}\n")
    (proc / str(pid) / "stat").write_text(f"{pid} ({comm}) S 1\n")
    for number, target in enumerate(open_files):
        (folder / str(number)).symlink_to(target)


def test_who_holds_a_device_file(tmp_path: Path) -> None:
    process(
        tmp_path, 11, "VLLM::Worker", "/system.slice/vllm.service", "/dev/nvidia0", "/dev/nvidia3", "/dev/nvidiactl"
    )
    process(tmp_path, 12, "bash", "/user.slice/session-1.scope", "/dev/null")
    worker = {"pid": 11, "comm": "VLLM::Worker", "unit": "vllm.service"}
    assert read_holders(Roots(proc=tmp_path)).by_minor == {0: [worker], 3: [worker]}


def test_who_has_the_driver_open_and_no_gpu(tmp_path: Path) -> None:
    process(tmp_path, 11, "nv-hostengine", "/system.slice/nvidia-dcgm.service", "/dev/nvidiactl", "/dev/nvidia-uvm")
    process(tmp_path, 12, "worker", "/system.slice/vllm.service", "/dev/nvidia0", "/dev/nvidiactl")
    told = read_holders(Roots(proc=tmp_path))
    assert told.without_gpu == ({"pid": 11, "comm": "nv-hostengine", "unit": "nvidia-dcgm.service"},)


def test_who_draws_on_a_gpu(tmp_path: Path) -> None:
    """A console on another card is no holder."""
    for name, pci in (("card1", "0000:1a:00.0"), ("renderD128", "0000:1a:00.0"), ("card0", "0000:03:00.0")):
        device = tmp_path / "sys/devices" / pci
        device.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/class/drm" / name).mkdir(parents=True)
        (tmp_path / "sys/class/drm" / name / "device").symlink_to(device)
    process(tmp_path / "proc", 11, "Xorg", "/system.slice/gdm.service", "/dev/dri/card1", "/dev/dri/renderD128")
    process(tmp_path / "proc", 12, "console", "/", "/dev/dri/card0", "/dev/dri/card9")
    told = read_holders(Roots(proc=tmp_path / "proc", sys=tmp_path / "sys")).by_pci
    xorg = {"pid": 11, "comm": "Xorg", "unit": "gdm.service"}
    assert (told["0000:1a:00.0"], set(told)) == ([xorg], {"0000:1a:00.0", "0000:03:00.0"})


def test_what_is_not_seen_is_told(tmp_path: Path) -> None:
    """In a container nobody knows who else there is; and modules that no file shows hold the driver too."""
    process(tmp_path, 11, "worker", "/", "/dev/nvidia0")
    told = read_holders(Roots(proc=tmp_path))
    assert (told.unseen, told.modules) == (None, None)
    process(tmp_path, 2, "kthreadd", "/")
    (tmp_path / "modules").write_text("nvidia_drm 9 4 - Live 0x0\nnvidia 5 1 nvidia_drm, Live 0x0\next4 1 1 - Live\n")
    told = read_holders(Roots(proc=tmp_path))
    assert (told.unseen, told.modules) == (0, ("nvidia_drm",))


def test_a_process_that_may_not_be_looked_into_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for anybody but root: that of root's processes nothing is seen is not the same as no holder."""
    process(tmp_path, 2, "kthreadd", "/")
    process(tmp_path, 11, "worker", "/", "/dev/nvidia0")

    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if Path(path).name == "fd":
            raise PermissionError(f"{path}: permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert read_holders(Roots(proc=tmp_path)).unseen == 2


def test_the_owner_of_memory(tmp_path: Path) -> None:
    process(tmp_path, 11, "VLLM (x) y", "/system.slice/vllm.service")
    process(tmp_path, 12, "dead", "/")
    for thread in ("12", "12/task/12"):
        (tmp_path / thread).mkdir(parents=True, exist_ok=True)
        (tmp_path / thread / "stat").write_text("12 (dead) Z 1\n")
    assert holders.owner(tmp_path, 11) == holders.ProcessOwner(11, True, "VLLM (x) y", ("/system.slice/vllm.service",))
    assert not holders.owner(tmp_path, 12).alive
    assert not holders.owner(tmp_path, 13).alive


def test_a_process_whose_first_thread_has_ended_still_holds_what_it_holds() -> None:
    """As a worker does of which one thread is stuck in the driver."""
    with headless(os.devnull) as process:
        owner = holders.owner(Path("/proc"), process.pid)
        assert owner.alive
        assert (owner.pid, owner.comm) == (process.pid, "python")
        process.kill()
        process.wait()
        assert not holders.owner(Path("/proc"), process.pid).alive


@pytest.mark.parametrize(("comm", "sees"), [("kthreadd\n", True), ("sleep\n", False)])
def test_process_numbers_mean_nothing_inside_of_a_container(tmp_path: Path, comm: str, sees: bool) -> None:
    (tmp_path / "2").mkdir()
    (tmp_path / "2/comm").write_text(comm)
    assert sees_all_processes(tmp_path) is sees


def test_memory_of_one_process_in_two_lists() -> None:
    one, other = {"pid": 1, "used_bytes": 5}, {"pid": 1, "used_bytes": None}
    gpu = {"values": {"processes_compute": [one], "processes_mps": [other], "processes_graphics": None}}
    assert holders.listed(gpu) == {1: 5}
