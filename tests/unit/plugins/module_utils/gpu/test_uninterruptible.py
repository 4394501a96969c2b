# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child that the kernel really does not let die: it writes to a frozen file system, as it would wait in a driver."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading import groups, stuck
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.session import NvmlSession

from tests.support.fake_nvml import FakeNvml
from tests.support.servers.waiting import until

# How long one GPU may be silent: on a busy machine no other one is for so long.
TIMEOUT = 2.0
SIZE = 16 * 1024 * 1024


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A directory in which every write sleeps, deaf to SIGKILL, until the test is over. Needs root and loop devices."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("mkfs.ext4", "mount", "umount", "fsfreeze"))):
        pytest.skip("only root can freeze a file system (with mkfs.ext4, mount and fsfreeze)")
    image, point = tmp_path / "image", tmp_path / "frozen"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    subprocess.run(["fsfreeze", "--freeze", point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", point], check=False)
        for _attempt in range(50):
            if subprocess.run(["umount", point], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)


@pytest.fixture
def gpu_3_sleeps_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make the reading of GPU 3's memory wait for a write in a directory."""

    def arrange(directory: Path) -> None:
        def read(nvml: Any, device: Any, _fields: Any) -> None:
            if nvml.call("nvmlDeviceGetMinorNumber", device) == 3:
                (directory / "file").write_text("never")

        monkeypatch.setattr(groups, "memory", read)

    return arrange


def test_a_child_that_cannot_die(fake_nvml: FakeNvml, frozen: Path, gpu_3_sleeps_in) -> None:
    gpu_3_sleeps_in(frozen)
    states = ["read"] * 3 + ["hung"] + ["read"] * 4
    looks = []
    for _time in range(2):
        with NvmlSession(str(fake_nvml.library), device_timeout=TIMEOUT) as session:
            looks.append(session.read())
    first, second = looks
    assert [gpu["state"] for gpu in first.gpus] == states
    assert first.seconds < 10 * TIMEOUT
    asleep = [thread for thread in first.stuck if thread["state"] == "D"]
    assert [thread["comm"] for thread in asleep] == ["autoglm-nvml:3"]
    assert asleep[0]["wchan"]
    # It is killed, and it is there: GPU 3 is not asked again, and the others are, at once.
    assert [one.gpu for one in stuck.abandoned()] == [3]
    assert [gpu["state"] for gpu in second.gpus] == states
    assert "an earlier probe" in second.gpus[3]["error"]["text"]
    assert second.seconds < TIMEOUT
    subprocess.run(["fsfreeze", "--unfreeze", frozen], check=True)
    until("the child to die", lambda: not stuck.abandoned())
    with NvmlSession(str(fake_nvml.library), device_timeout=2) as session:
        assert [gpu["state"] for gpu in session.read().gpus] == ["read"] * 8
