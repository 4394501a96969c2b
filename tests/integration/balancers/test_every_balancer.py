# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference with each balancer that runs here, in front of real engines and under load."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.balancers.running import Envoy, Haproxy, Nginx, Part, Stream, Task, started
from tests.support.servers import llama
from tests.support.servers.llama import Llama
from tests.support.servers.traffic import Traffic
from tests.support.servers.waiting import until

Run = Callable[..., dict[str, Any]]
Tasks = Callable[..., Task]
LONG = 3500  # tokens; about a minute


@pytest.fixture(params=[Haproxy, Nginx, Envoy])
def part(request: pytest.FixtureRequest, engines: dict[str, Llama]) -> Iterator[Part]:
    with started(request.param(engines)) as running:
        yield running


def is_out(part: Part, name: str) -> bool:
    """Whether it is out of traffic, and the balancer does so."""
    member = part.open().state(part.name_of(name))
    return member.admin == "drained" and not member.pending


def restart(engine: Llama, tmp_path: Path):
    """Stop an engine as systemd would, and start another at its port."""
    engine.process.send_signal(signal.SIGTERM)
    engine.process.wait(20)
    return llama.running(tmp_path, port=engine.port)


def test_a_server_is_restarted_under_load_and_no_user_notices(
    run: Run, part: Part, engines: dict[str, Llama], tmp_path: Path
) -> None:
    traffic = Traffic(part.url, tokens=100, per_second=8)
    traffic.start()
    until("both serve", lambda: len(traffic.counts.by_node) == 2)
    drained = run(part, engines["p1"], "drained", "p1")
    assert drained["outcome"] == "drained", drained
    assert drained["changed"]
    assert drained["before"]["admin"] == "active"
    assert drained["after"]["admin"] == "drained"
    assert [count["value"] for count in drained["in_flight"].values()] == [0, 0]
    assert drained["diff"]["before"]["state"] == "active"
    assert drained["diff"]["after"]["state"] == "drained"
    served = traffic.counts.by_node[part.name_of("p1")]
    others = traffic.counts.by_node[part.name_of("p2")]
    with restart(engines["p1"], tmp_path):
        until("traffic has moved", lambda: traffic.counts.by_node[part.name_of("p2")] > others + 5)
        assert traffic.counts.by_node[part.name_of("p1")] == served
        active = run(part, engines["p1"], "active", "p1")
        assert active["outcome"] == "active", active
        until("it serves again", lambda: traffic.counts.by_node[part.name_of("p1")] > served + 5)
        traffic.stop()
    assert traffic.counts.lost == 0, traffic.counts.errors
    assert traffic.counts.sent == traffic.counts.ok


def test_the_last_one_is_not_taken(run: Run, part: Part, engines: dict[str, Llama]) -> None:
    assert run(part, engines["p2"], "drained", "p2")["changed"]
    again = run(part, engines["p2"], "drained", "p2")
    assert again["outcome"] == "drained", again
    assert not again["changed"]
    last = run(part, engines["p1"], "drained", "p1")
    assert last["outcome"] == "refused"
    assert last["after"]["admin"] == "active"
    active = run(part, engines["p2"], "active", "p2", weight=20, slow_start=0.2, slow_start_steps=2)
    assert active["outcome"] == "active", active
    assert active["after"]["weight"] == 20
    assert not run(part, engines["p2"], "active", "p2", weight=20)["changed"]


def test_a_wrong_name_is_answered_with_the_right_ones(run: Run, part: Part) -> None:
    server = run(part, None, "drained", "p9")
    assert part.name_of("p2") in server["msg"]
    backend = run(part, None, "drained", "p1", balancer=part.pool(backend="chat"))
    assert "chat" in backend["msg"]
    assert server["failed"]
    assert backend["failed"]
    assert part.open().state(part.name_of("p1")).admin == "active"


def test_an_engine_that_dies_while_it_is_drained(tasks: Tasks, part: Part, engines: dict[str, Llama]) -> None:
    stream = Stream(part.url, LONG)
    name = next(name for name in engines if part.name_of(name) == stream.backend)
    task = tasks(part, engines[name], "drained", name)
    until("it is drained", lambda: is_out(part, name))
    engines[name].kill()
    result = task.result()
    assert result["outcome"] == "drained", result
    assert "the engine is gone" in " ".join(result["reasons"])
    stream.wait()
    assert not stream.whole


# Killed exactly while the task reads back its change, it is put back instead: right, and not what is asked here.
@pytest.mark.flaky(reruns=2)
def test_a_balancer_that_restarts_meanwhile(tasks: Tasks, part: Part, engines: dict[str, Llama]) -> None:
    stream = Stream(engines["p1"].url, LONG)  # straight to the engine: it outlives the balancer
    task = tasks(part, engines["p1"], "drained", "p1")
    until("it is drained", lambda: is_out(part, "p1"))
    part.stop(signal.SIGKILL)
    part.start()
    until("it is drained, still or again", lambda: is_out(part, "p1"))
    stream.hang_up()
    result = task.result()
    assert result["outcome"] == "drained", result
    assert ("restarted and forgot" in " ".join(result["reasons"])) is isinstance(part, Haproxy)


@pytest.mark.parametrize("same_host", [True, False], ids=["one host", "two hosts"])
def test_two_drains_at_once_leave_one_server(
    tasks: Tasks, part: Part, engines: dict[str, Llama], tmp_path: Path, same_host: bool
) -> None:
    running = []
    for server in ("p1", "p2"):
        locks = part.folder if same_host else tmp_path / server
        locks.mkdir(exist_ok=True)
        running.append(tasks(part, engines[server], "drained", server, balancer=part.pool(lock_dir=str(locks))))
    results = [task.result() for task in running]
    assert sorted(result["outcome"] == "drained" for result in results) == [False, True], results
    admins = [part.open().state(part.name_of(server)).admin for server in ("p1", "p2")]
    assert sorted(admins) == ["active", "drained"]
