# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of both versions, on trees made for the test."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import cgroups
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread

UNIT = "llama-server.service"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    group = tmp_path / "v2" / "system.slice" / UNIT
    (group / "worker").mkdir(parents=True)
    (group / "memory.events").write_text("oom 1\noom_kill 1\n")
    (group / "memory.max").write_text("167772160\n")
    (group / "cgroup.procs").write_text("7\n9\n")
    (group / "worker" / "cgroup.procs").write_text("8\n")
    old = tmp_path / "v1 memory" / "lab" / UNIT
    old.mkdir(parents=True)
    (old / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 3\n")
    return tmp_path


def mounts(tree: Path) -> list[cgroups.Mount]:
    v1 = str(tree / "v1 memory").replace(" ", "\\040")
    return cgroups.parse_mounts(
        f"25 1 0:1 / {tree}/v2 rw - cgroup2 cgroup2 rw\n"
        f"26 1 0:2 / {v1} rw,nosuid - cgroup cgroup rw,memory\n"
        f"27 1 0:3 / {tree}/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "28 1 0:4 / /proc rw - proc proc rw\nrubbish\n"
    )


def test_mounts(tree: Path) -> None:
    assert [(mount.version, mount.tells_memory) for mount in mounts(tree)] == [(2, True), (1, True), (1, False)]
    assert mounts(tree)[1].point == tree / "v1 memory"


def test_a_mount_that_shows_a_part_of_the_hierarchy() -> None:
    mount = cgroups.Mount(2, "/docker/abc", Path("/sys/fs/cgroup"))
    assert mount.locate("/docker/abc/system.slice/a.service") == Path("/sys/fs/cgroup/system.slice/a.service")
    assert mount.locate("/system.slice/a.service") == Path("/sys/fs/cgroup/system.slice/a.service")


def test_groups_of_a_process(tree: Path) -> None:
    (tree / "7").mkdir()
    (tree / "7" / "cgroup").write_text(f"4:memory:/lab/{UNIT}\n1:name=systemd:/x\n0::/system.slice/{UNIT}\n")
    found = cgroups.groups_of_process(tree, 7, mounts(tree))
    assert found == [tree / "v1 memory" / "lab" / UNIT, tree / "v2" / "system.slice" / UNIT]


def test_groups_of_a_unit_are_found_by_name_in_every_hierarchy(tree: Path) -> None:
    found = cgroups.groups_of_unit(UNIT, "", mounts(tree))
    assert set(found) == {tree / "v1 memory" / "lab" / UNIT, tree / "v2" / "system.slice" / UNIT}


def test_processes_below_count(tree: Path) -> None:
    assert cgroups.processes_in(tree / "v2" / "system.slice" / UNIT) == [7, 8, 9]
    assert cgroups.processes_in(tree / "absent") == []


def test_memory_tells_counters_and_parents(tree: Path) -> None:
    groups = cgroups.groups_of_unit(UNIT, "", mounts(tree))
    text = cgroups.memory(groups, mounts(tree)).text
    assert "oom_kill 3" in text
    assert "167772160" in text
    assert f"# group {tree}/v2/system.slice\n(no memory accounting here)" in text
    assert f"# group {tree}\n" not in text


def test_no_group_at_all_is_said(tree: Path) -> None:
    with pytest.raises(Unread):
        cgroups.memory([], mounts(tree))
