# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real services for the tests: containers of podman, and processes with PID files."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import MARK

from tests.parts import containers, docker
from tests.parts.containers import Runtime


@pytest.fixture(scope="session")
def all_podman() -> Iterator[Runtime]:
    """podman, once for the session: making its namespace takes a moment."""
    with containers.podman() as podman:
        yield podman


@pytest.fixture(scope="session")
def all_docker() -> Iterator[Runtime]:
    """A Docker engine, once for the session."""
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
    prefix = f"{MARK}={path}:".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if any(word.startswith(prefix) for word in (entry / "environ").read_bytes().split(b"\0")):
                    os.kill(int(entry.name), signal.SIGKILL)
