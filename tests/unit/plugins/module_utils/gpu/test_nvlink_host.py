# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports, services, kernel lines and the driver's age, from files of a host that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink import host
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.ports import read_ports
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.host.kernel_log import KernelLine, KernelLog

from tests.support.fake_nvml import HostTree


def ib(root: Path, device: str = "mlx5_0", state: str = "4: ACTIVE", **counters: object) -> Path:
    folder = root / device / "ports/1"
    (folder / "counters").mkdir(parents=True)
    for name, text in {
        "state": state,
        "phys_state": "5: LinkUp",
        "link_layer": "InfiniBand",
        "rate": "400 Gb/sec",
    }.items():
        (folder / name).write_text(f"{text}\n")
    for name, value in counters.items():
        (folder / "counters" / name).write_text(f"{value}\n")
    return root


def test_a_port(tmp_path: Path) -> None:
    found = read_ports(ib(tmp_path, symbol_error=12, link_downed="rubbish"))
    assert found["error"] is None
    (port,) = found["ports"]
    assert (port["port"], port["state"], port["physical_state"]) == ("mlx5_0/1", "active", "linkup")
    assert port["counters"] == {"symbol_error": 12}
    assert "no number" in port["unread"]["link_downed"]


def test_no_ports_and_unreadable_ones(tmp_path: Path) -> None:
    assert read_ports(tmp_path / "none") == {"ports": [], "error": None}
    (tmp_path / "mlx5_0").mkdir()
    assert read_ports(tmp_path)["error"]


def test_a_port_without_state_is_unread(tmp_path: Path) -> None:
    (ib(tmp_path) / "mlx5_0/ports/1/state").unlink()
    (port,) = read_ports(tmp_path)["ports"]
    assert port["state"] is None
    assert "state" in port["unread"]


def test_switches_on_the_bus(tmp_path: Path) -> None:
    assert host.count_switches(HostTree(tmp_path, switches=4).sys) == 4
    assert host.count_switches(tmp_path / "none") is None


def test_identity(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("some-boot\n")
    for pid, name, start in ((7, "nv_queue", 900), (8, "nv_queue", 400), (9, "bash", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) S {'0 ' * 18}{start} 0 0\n")
    assert host.identity(tmp_path, "570") == {"boot_id": "some-boot", "driver": "570", "driver_started": 400}
    assert host.identity(tmp_path / "none", None) == {"boot_id": None, "driver": None, "driver_started": None}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n", (True, "active", True)),
        (b"LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\n", (True, "failed", False)),
        (b"LoadState=not-found\nActiveState=inactive\n", (False, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_fabric_manager(answer: bytes, told: tuple) -> None:
    manager = host.fabric_manager(lambda _argv, _timeout: CommandResult(0, answer, b""), 1)
    assert (manager["there"], manager["state"], manager["enabled"]) == told
    assert (manager["error"] is None) == (told[0] is not None)


LINES = (
    "nvidia-nvswitch3: SXid (PCI:0000:c3:00.0): 12028, Non-fatal, Link 32 egress non-posted PRIV error (First)",
    "NVRM: Xid (PCI:0000:3b:00): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error detected on link 6(0x0, 0x0)",
    "NVRM: Xid (PCI:0000:3b:00): 13, pid=1234, Graphics SM Warp Exception",
    "usb 1-1: new high-speed USB device",
)


def test_kernel_lines_that_are_about_nvlink_and_recent() -> None:
    log = KernelLog("dmesg", tuple(KernelLine(at, text) for text in LINES for at in (10.0, 950.0)))
    found = host.recent_events(log, now=1000, window=100)
    assert [(one["kind"], one["at"]) for one in found] == [("sxid", 950.0), ("xid", 950.0)]
    assert (found[0]["severity"], found[0]["link"], found[1]["xid"]) == ("non-fatal", 32, 74)


def test_a_log_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_arguments: object) -> None:
        raise host.Unread("nobody may")

    monkeypatch.setattr(host, "read_kernel_log", unread)
    assert host.kernel_events(lambda _argv, _timeout: CommandResult(0, b"", b""), 1, 0, 1)["error"] == "nobody may"
