# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what is in the dead unit's control group may be ended; a GPU in somebody's hands proves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.leftovers import processes
from ansible_collections.autoglm.recovery.plugins.module_utils.leftovers.selection import ObservedProcess, select
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import (
    Ownership,
    group_of_unit,
    in_unit,
    systemd_groups,
)
from hypothesis import given
from hypothesis import strategies as st

GROUP = "/system.slice/vllm.service"
OF_UNIT = Ownership(unit_group=GROUP)
WORKER = ObservedProcess(1, "VLLM::Worker", (GROUP,), ("/dev/nvidia0", "/dev/nvidiactl"))
CHILD = ObservedProcess(2, "python3", (f"{GROUP}/sub",))
TRAINING = ObservedProcess(3, "python3", ("/user.slice/user-0.slice/session-1.scope",), ("/dev/nvidia0",))
IN_CONTAINER = ObservedProcess(4, "VLLM::Worker", (f"/machine.slice/libpod-1.scope{GROUP}",), ("/dev/nvidia1",))
SHELL = ObservedProcess(5, "bash", ("/user.slice",))


def test_own_and_foreign() -> None:
    found = select([WORKER, CHILD, TRAINING, IN_CONTAINER, SHELL], OF_UNIT)
    assert found.own == (WORKER, CHILD)
    assert found.foreign == (TRAINING, IN_CONTAINER)


@pytest.mark.parametrize("group", [f"{GROUP}x", "/system.slice", "/", "", f"/a{GROUP}", "/system.slice/vllm.service.d"])
def test_what_is_not_in_the_group(group: str) -> None:
    assert not in_unit((group,), GROUP)


@given(
    st.lists(st.text(alphabet="/abc.", max_size=12), max_size=3), st.sampled_from(["", "/", "/a", "a/b", "/a/", "//"])
)
def test_no_general_group_ever_owns_a_process(groups: list[str], general: str) -> None:
    assert not in_unit(groups, general)


@pytest.mark.parametrize(
    ("slice_name", "group"),
    [
        ("system.slice", "/system.slice/vllm.service"),
        ("a-b.slice", "/a.slice/a-b.slice/vllm.service"),
        ("-.slice", "/vllm.service"),
        ("", "/vllm.service"),
    ],
)
def test_where_systemd_puts_a_unit(slice_name: str, group: str) -> None:
    assert group_of_unit("vllm.service", slice_name) == group


def test_only_the_hierarchies_of_systemd_count() -> None:
    text = "5:memory:/lab/vllm.service\n1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\nrubbish\n"
    assert systemd_groups(text) == ("/system.slice/a.service", "/system.slice/b.service")


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def fake_proc(root: Path, pid: int, group: str) -> Path:
    (root / str(pid) / "fd").mkdir(parents=True)
    (root / str(pid) / "cgroup").write_text(f"0::{group}\n")
    (root / str(pid) / "comm").write_text("sleep\n")
    (root / str(pid) / "stat").write_text(f"{pid} (sleep) S 1\n")
    (root / str(pid) / "fd" / "3").symlink_to("/dev/nvidia0")
    return root


def test_a_process_of_the_group_is_ended(tmp_path: Path, sleeper) -> None:
    proc = fake_proc(tmp_path, sleeper.pid, GROUP)
    (process,) = processes.read(proc)
    assert process.holds_gpu
    assert processes.end(process, OF_UNIT, 10.0, proc)
    assert sleeper.wait() == -signal.SIGKILL


def test_a_number_that_has_gone_to_somebody_else_is_not_hit(tmp_path: Path, sleeper) -> None:
    proc = fake_proc(tmp_path, sleeper.pid, "/user.slice")
    assert processes.end(ObservedProcess(sleeper.pid, "sleep", (GROUP,)), OF_UNIT, 10.0, proc)
    assert sleeper.poll() is None


def test_a_process_that_is_gone_already() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert processes.end(ObservedProcess(process.pid, "true", (GROUP,)), OF_UNIT, 1.0)


def test_the_real_tree_is_read() -> None:
    assert os.getpid() in [process.pid for process in processes.read()]
