# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files in which a host with NVIDIA GPUs tells of them: /dev, /proc and /sys, under a root of the test's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

VENDOR = "0x10de"
GPU_CLASS = "0x030200"  # 3D controller, as a data-centre GPU has no display
SWITCH_CLASS = "0x068000"


def default_addresses(gpus: int) -> list[str]:
    """Where the fake library's GPUs are, as Linux writes it."""
    return [f"0000:{0x0B + gpu * 0x0F:02x}:00.0" for gpu in range(gpus)]


@dataclass
class HostTree:
    """root/dev, root/proc and root/sys. Take one thing away to make the three counts disagree."""

    root: Path
    gpus: int = 8
    driver: str = "570.158.01"
    device_id: str = "0x2330"
    switches: int = 0

    def __post_init__(self) -> None:
        self.dev, self.proc, self.sys = self.root / "dev", self.root / "proc", self.root / "sys"
        self._devices()
        self._driver()
        for minor, address in enumerate(default_addresses(self.gpus)):
            self.add_pci(address, GPU_CLASS, self.device_id)
            self._gpu_information(minor, address)
        for switch in range(self.switches):
            self.add_pci(f"0000:{0xC0 + switch:02x}:00.0", SWITCH_CLASS, "0x22a3")
        # What must not be counted: another vendor's card, and the GPU's own audio function.
        self.add_pci("0000:03:00.0", "0x030000", "0x1150", vendor="0x1a03")
        self.add_pci("0000:0b:00.1", "0x040300", "0x10f0")

    def remove_pci(self, gpu: int) -> None:
        """Off the bus."""
        folder = self.sys / "bus/pci/devices" / default_addresses(self.gpus)[gpu]
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    def remove_device(self, gpu: int) -> None:
        """No device file."""
        (self.dev / f"nvidia{gpu}").unlink()

    def add_pci(self, address: str, pci_class: str, device: str, vendor: str = VENDOR) -> None:
        files = {
            "vendor": vendor,
            "class": pci_class,
            "device": device,
            "current_link_speed": "32.0 GT/s PCIe",
            "max_link_speed": "32.0 GT/s PCIe",
            "current_link_width": "16",
            "max_link_width": "16",
            "numa_node": "0",
        }
        for name, text in files.items():
            _write(self.sys / "bus/pci/devices" / address / name, text)

    def _devices(self) -> None:
        for name in [f"nvidia{gpu}" for gpu in range(self.gpus)] + ["nvidiactl", "nvidia-uvm", "nvidia-modeset"]:
            _write(self.dev / name, "")
        _write(self.dev / "nvidia-caps/nvidia-cap1", "")

    def _driver(self) -> None:
        text = (
            f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {self.driver}  Release Build  (builder@host)\n"
            "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)"
        )
        _write(self.proc / "driver/nvidia/version", text)

    def _gpu_information(self, minor: int, address: str) -> None:
        text = (
            "Model: \t\t NVIDIA H100 80GB HBM3\n"
            f"GPU UUID: \t GPU-00000000-0000-4000-8000-{minor:012d}\n"
            f"Bus Location: \t {address}\n"
            f"Device Minor: \t {minor}\n"
            "GPU Excluded:\t No"
        )
        _write(self.proc / "driver/nvidia/gpus" / address / "information", text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n" if text else "", encoding="utf-8")
