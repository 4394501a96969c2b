# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real services for the tests: containers of podman, and processes with PID files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import cgroups
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import MARK

from tests.support.servers import containers, docker
from tests.support.servers.containers import LABEL, Runtime
from tests.support.servers.leftovers import carrying
from tests.support.servers.waiting import until


@pytest.fixture(scope="package")
def all_podman() -> Iterator[Runtime]:
    """podman, once: making its namespace takes a moment.  Not for longer: others wait for it."""
    with containers.podman() as podman:
        yield podman


@pytest.fixture(scope="package")
def all_docker() -> Iterator[Runtime]:
    """A Docker engine, once."""
    with docker.docker() as engine:
        yield engine


@pytest.fixture
def podman(all_podman: Runtime) -> Iterator[Runtime]:
    """podman without a container of ours."""
    yield all_podman
    all_podman.remove_all()


@pytest.fixture(params=["podman", "docker"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """Each of the two, without a container of ours."""
    one: Runtime = request.getfixturevalue(f"all_{request.param}")
    yield one
    one.remove_all()


@pytest.fixture
def pid_path(tmp_path: Path) -> Iterator[str]:
    """Where a PID file may be written. What was started with it is ended with the test, by the mark that it bears."""
    path = str(tmp_path / "service.pid")
    yield path
    for process, mark in carrying(MARK):
        if mark.startswith(f"{path}:"):
            process.kill()


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of either version that holds 30 MiB, for a process that enters it by itself."""
    mounts = cgroups.parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    points = [mount.point for mount in mounts if mount.version == 1 and mount.tells_memory]
    group = (points or [mount.point for mount in mounts if mount.version == 2])[0] / f"{LABEL}-{os.getpid()}"
    group.mkdir()
    try:
        for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max"):
            if (group / name).exists():
                (group / name).write_text(str(30 * 2**20))
        if (group / "memory.swap.max").exists():
            (group / "memory.swap.max").write_text("0")
        yield group
    finally:
        until("the group to be left", lambda: not cgroups.processes_in(group))
        group.rmdir()
