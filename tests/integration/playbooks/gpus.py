# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GPUs for a fleet: the fake library and the fake nvidia-smi, found as real ones are, and a server that holds a GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.fake_nvml import FakeNvml
from tests.support.fake_nvml.smi import FakeSmi
from tests.support.servers.ports import free_port

from .fleet import Fleet

# A /dev of its own, in which it opens the GPU; seen from outside, its open file is called as a real one.
HOLDS = 'mount -t tmpfs none /dev && touch /dev/nvidia{0} && exec 9</dev/nvidia{0} && exec "$@"'


class GpuFleet(Fleet):
    """Hosts on this machine that all have the same two GPUs. What runs note of them lies in the test's directory."""

    nvml: FakeNvml
    smi: FakeSmi
    minor: int

    def with_gpus(self) -> GpuFleet:
        """Make the GPUs, of which the first waits for a reset."""
        self.nvml = FakeNvml(self.directory / "nvml", "l40s", gpus=2)
        self.minor = free_port()  # no other test's server has a GPU of this number open
        self.nvml.set_many({"gpu0.remap.pending": 1, "gpu0.minor": self.minor, "gpu1.minor": 65536 + self.minor})
        self.smi = FakeSmi(self.directory / "smi", self.nvml)
        self.notes.mkdir(mode=0o755)
        return self

    @property
    def notes(self) -> Path:
        """What stands for /var/lib/autoglm."""
        return self.directory / "var-lib-autoglm"

    def add(self, name: str, called: str = "llama", **more: Any) -> dict[str, Any]:
        """The server of the first host holds the first GPU."""
        service = super().add(name, called, **more)
        if len(self.hosts) == 1:
            holding = [
                "/usr/bin/unshare",
                "--mount",
                "/bin/sh",
                "-c",
                HOLDS.format(self.minor),
                "sh",
                *service["start_command"],
            ]
            service["start_command"] = holding
        return service

    def command(self, playbook: str | Path, extra: Mapping[str, Any], *words: str) -> list[str]:
        """With notes of its own."""
        Path("/var/lib/autoglm").mkdir(mode=0o755, exist_ok=True)
        script = f'mount --bind {self.notes} /var/lib/autoglm && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", *super().command(playbook, extra, *words)]

    def environment(self, **variables: str) -> dict[str, str]:
        """As a host's own paths would lead to them."""
        path = f"{self.smi.program.parent}{os.pathsep}{super().environment()['PATH']}"
        libraries = {"LD_LIBRARY_PATH": self.nvml.environment()["LD_LIBRARY_PATH"]}
        return {**super().environment(), "PATH": path, **libraries, **variables}
