# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gpu_health over SSH, on a systemd host, with lines in the real kernel log and a fake NVML at the outermost edge."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_nvml.driver import FakeNvml

from .hosts import Host
from .laboratory import Lab, environment
from .places import PROGRAMS
from .podman import unpack

LIBRARY = "/opt/fake-nvml"
ADDRESS = "0000:38:00"  # of the fake's fourth GPU
SECONDS = 60


@pytest.fixture(scope="module")
def gpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FakeNvml]:
    """Return a tree of files for a host, and in it the library with eight GPUs."""
    tree = tmp_path_factory.mktemp("gpus")
    tree.chmod(0o755)  # it becomes the host's root directory, which is not root's alone
    fake = FakeNvml(tree / LIBRARY.strip("/"))
    pynvml = importlib.util.find_spec("pynvml")
    assert pynvml is not None
    assert pynvml.origin is not None
    packages = tree / "usr/lib/python3/dist-packages"
    packages.mkdir(parents=True)
    shutil.copy(pynvml.origin, packages / "pynvml.py")
    return tree, fake


def gpu_health(lab: Lab, node: Host, window: int = 900) -> dict[str, Any]:
    """Ask a node as an operator does."""
    arguments = f"nvml_library={LIBRARY}/libnvidia-ml.so.1 kernel_lines=required kernel_window={window}"
    done = subprocess.run(
        [
            str(PROGRAMS / "ansible"),
            node.name,
            "-i",
            str(lab.by_person),
            "-m",
            "autoglm.recovery.gpu_health",
            "-a",
            arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=SECONDS,
    )
    assert "=>" in done.stdout, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return answer


def test_a_line_in_the_kernels_log_reaches_the_verdict(lab: Lab, gpus: tuple[Path, FakeNvml]) -> None:
    tree, _ = gpus
    unpack(lab.node_a.container, tree)
    # The log is the machine's and outlives the lab: lines of an earlier run are left out by the window.
    before = gpu_health(lab, lab.node_a, window=1)
    assert before["verdict"] == "healthy", before["reasons"]

    said = f"NVRM: Xid (PCI:{ADDRESS}): 79, pid=4242, name=llama-server, GPU has fallen off the bus."
    lab.node_a.run("sh", "-c", 'printf "%s\\n" "$1" > /dev/kmsg', "sh", f"<3>{said}")

    after = gpu_health(lab, lab.node_a)
    assert (after["verdict"], after["failure_class"]) == ("unhealthy", "gpu_lost")
    assert any("79" in reason for reason in after["reasons"]), after["reasons"]


def test_a_lost_gpu_is_never_healthy(lab: Lab, gpus: tuple[Path, FakeNvml]) -> None:
    tree, fake = gpus
    fake.set("gpu5.lost", 1)
    unpack(lab.node_b.container, tree)
    seen = gpu_health(lab, lab.node_b)
    assert (seen["verdict"], seen["failure_class"]) == ("unhealthy", "gpu_lost")
    assert any("GPU 5" in reason for reason in seen["reasons"])
