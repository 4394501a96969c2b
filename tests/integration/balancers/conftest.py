# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two real engines, a balancer in front of them, and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.balancers.running import Envoy, Haproxy, Nginx, Part, Task, started
from tests.lab.model import Shape
from tests.support.servers import llama
from tests.support.servers.llama import Llama

# About 3 ms a token: what is in flight is seen to be.
SLOW = Shape(layers=48)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[dict[str, Llama]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(llama.running(tmp_path, shape=SLOW)) for name in ("p1", "p2")}


@pytest.fixture
def haproxy(engines: dict[str, Llama]) -> Iterator[Haproxy]:
    with started(Haproxy(engines)) as part:
        yield part


@pytest.fixture
def nginx(engines: dict[str, Llama]) -> Iterator[Nginx]:
    with started(Nginx(engines)) as part:
        yield part


@pytest.fixture
def envoy(engines: dict[str, Llama]) -> Iterator[Envoy]:
    with started(Envoy(engines)) as part:
        yield part


@pytest.fixture
def tasks() -> Iterator[Callable[..., Task]]:
    """Start tasks that end with the test."""
    running: list[Task] = []

    def start(part: Part, engine: Llama | None, state: str, server: str, **more: Any) -> Task:
        check, user = more.pop("check", False), more.pop("user", 0)
        arguments = {
            "state": state,
            "server": part.name_of(server),
            "balancer": part.pool(),
            "poll": 0.1,
            "deadline": 20,
        }
        if part.peers():
            arguments |= {"engine": "llama_cpp", "peers": part.peers()}
        if engine is not None:
            arguments |= {"engine": "llama_cpp", "engine_url": engine.url}
        running.append(Task({**arguments, **more}, check=check, user=user))
        return running[-1]

    yield start
    for task in running:
        if task.process.poll() is None:
            task.kill()


@pytest.fixture
def run(tasks: Callable[..., Task]) -> Callable[..., dict[str, Any]]:
    """Run one task to its end."""
    return lambda *arguments, **more: tasks(*arguments, **more).result()
