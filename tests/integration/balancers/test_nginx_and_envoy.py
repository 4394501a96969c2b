# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference with what is peculiar to a real nginx and a real Envoy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.integration.balancers.running import Envoy, Nginx, Stream, Task
from tests.support.servers.llama import Llama
from tests.support.servers.waiting import until

Run = Callable[..., dict[str, Any]]
Tasks = Callable[..., Task]


def test_a_change_that_was_never_reloaded_is_finished(run: Run, nginx: Nginx, engines: dict[str, Llama]) -> None:
    file = nginx.folder / "upstream.conf"
    before = file.read_text()
    # As a killed task leaves it. Written until it is younger than the workers by more than the clock can tell.
    left = before.replace("weight=10;  # p1", "weight=10 down;  # p1")
    until("it is pending", lambda: file.write_text(left) and nginx.open().state(nginx.name_of("p1")).pending)
    result = run(nginx, engines["p1"], "drained", "p1")
    assert result["outcome"] == "drained", result
    assert result["changed"]
    assert not nginx.open().state(nginx.name_of("p1")).pending
    until("it is pending", lambda: file.write_text(before) and nginx.open().state(nginx.name_of("p1")).pending)
    assert run(nginx, engines["p1"], "active", "p1")["changed"]
    assert file.read_text() == before
    assert not nginx.open().state(nginx.name_of("p1")).pending


def test_a_configuration_that_is_broken_elsewhere_is_not_made_worse(
    run: Run, nginx: Nginx, engines: dict[str, Llama]
) -> None:
    file, other = nginx.folder / "upstream.conf", nginx.folder / "nginx.conf"
    before = file.read_text()
    other.write_text(other.read_text() + "nonsense;\n")
    result = run(nginx, engines["p1"], "drained", "p1")
    assert result["outcome"] == "refused", result
    assert not result["changed"]
    assert "nonsense" in result["msg"]
    assert file.read_text() == before


def test_an_old_worker_is_a_witness(run: Run, nginx: Nginx, engines: dict[str, Llama]) -> None:
    stream = Stream(nginx.url, 3500)
    idle = next(name for name in engines if nginx.name_of(name) != stream.backend)
    blocked = run(nginx, engines[idle], "drained", idle, deadline=0.5)
    assert "old workers are finishing" in blocked["msg"]
    assert blocked["after"]["admin"] == "active"
    allowed = run(nginx, engines[idle], "drained", idle, witnesses="engine")
    assert allowed["outcome"] == "drained", allowed
    assert not stream.error
    stream.hang_up()


def test_an_envoy_that_does_not_follow_is_found_out(run: Run, envoy: Envoy, engines: dict[str, Llama]) -> None:
    unread = envoy.folder / "elsewhere"
    unread.mkdir()
    (unread / "eds.json").write_text((envoy.folder / "eds.json").read_text())
    pool = envoy.pool(file=str(unread / "eds.json"), timeout=1.0)
    result = run(envoy, engines["p1"], "drained", "p1", balancer=pool)
    assert result["failed"]
    assert "Envoy does not" in result["msg"]
    wrong = run(envoy, engines["p1"], "drained", "p1", balancer=envoy.pool(admin_url="http://127.0.0.1:9"))
    assert wrong["outcome"] == "refused"
    assert "Envoy's admin API at http://127.0.0.1:9: nothing listens" in wrong["msg"]


def test_a_task_that_is_killed_at_any_moment_leaves_a_pool_that_can_be_gone_on_with(
    run: Run, tasks: Tasks, nginx: Nginx, engines: dict[str, Llama]
) -> None:
    file = nginx.folder / "upstream.conf"
    before = file.read_text()
    for _moment in range(2):
        task = tasks(nginx, engines["p1"], "drained", "p1")
        until("the file has changed", lambda: file.read_text() != before)
        task.kill()
        assert run(nginx, engines["p1"], "drained", "p1")["outcome"] == "drained"
        assert run(nginx, engines["p1"], "active", "p1")["outcome"] == "active"
        assert file.read_text() == before
