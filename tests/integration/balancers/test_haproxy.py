# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference with a real HAProxy in front of real engines: nothing is lost, and every mistake has its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.integration.balancers.running import Haproxy, Stream, Task
from tests.support.servers.freezing import freeze
from tests.support.servers.llama import Llama
from tests.support.servers.waiting import until

Run = Callable[..., dict[str, Any]]
Tasks = Callable[..., Task]
LONG = 3500  # tokens; about a minute


def test_twice_is_once_and_check_mode_changes_nothing(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    predicted = run(haproxy, engines["p1"], "drained", "p1", check=True)
    assert predicted["changed"]
    assert predicted["diff"]["after"]["state"] == "drained"
    assert run(haproxy, engines["p1"], "active", "p1")["changed"] is False  # it still was
    assert run(haproxy, engines["p1"], "drained", "p1")["changed"]
    again = run(haproxy, engines["p1"], "drained", "p1")
    assert again["changed"] is False
    assert again["diff"]["before"] == again["diff"]["after"]
    assert run(haproxy, engines["p1"], "active", "p1", check=True)["changed"]
    assert run(haproxy, engines["p1"], "active", "p1")["changed"]
    assert run(haproxy, engines["p1"], "active", "p1")["changed"] is False


def test_a_stream_is_waited_for(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    stream = Stream(haproxy.url, 400)
    server = stream.backend
    result = run(haproxy, engines[server], "drained", server)
    assert result["outcome"] == "drained", result
    stream.wait()
    assert stream.whole


def test_a_pool_is_not_taken_below_its_minimum(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    refused = run(haproxy, engines["p1"], "drained", "p1", min_available="100%")
    assert refused["outcome"] == "refused"
    assert refused["failed"]
    assert not refused["changed"]
    assert run(haproxy, engines["p2"], "drained", "p2")["changed"]
    last = run(haproxy, engines["p1"], "drained", "p1")
    assert last["outcome"] == "refused"
    assert "min_available" in last["msg"]
    assert last["after"]["admin"] == "active"


def test_a_dead_server_may_be_drained_although_it_is_half_of_the_pool(
    run: Run, haproxy: Haproxy, engines: dict[str, Llama]
) -> None:
    engines["p1"].kill()
    until("HAProxy sees it", lambda: run(haproxy, None, "active", "p1", deadline=0)["after"]["health"] == "down")
    result = run(haproxy, engines["p1"], "drained", "p1", min_available="2")
    assert result["outcome"] == "drained", result
    assert "gone" in " ".join(result["reasons"])


def test_mistakes_have_answers(run: Run, haproxy: Haproxy) -> None:
    for changes, server, words in (
        ({"socket": "/nowhere/admin.sock"}, "p1", "there is no socket /nowhere/admin.sock"),
        ({"socket": "127.0.0.1:9"}, "p1", "nobody listens"),
        ({"socket": str(haproxy.folder / "user.sock")}, "p1", "needs level admin"),
        ({"backend": "chat"}, "p1", "Can't find backend"),
        ({}, "p9", "no server 'p9'; it has: p1, p2"),
    ):
        result = run(haproxy, None, "drained", server, balancer=haproxy.pool(**changes))
        assert result["failed"]
        assert not result["changed"]
        assert words in result["msg"]
    assert _admin(haproxy, "p1") == "active"  # what is there was not touched


def test_who_may_not_use_the_socket_is_told(haproxy: Haproxy, tasks: Tasks) -> None:
    haproxy.folder.chmod(0o755)
    pool = haproxy.pool()
    task = tasks(haproxy, None, "drained", "p1", balancer=pool, user=65534)
    result = task.result()
    assert result["failed"]
    assert "no permission for" in result["msg"]


def test_who_brings_it_back_meanwhile_is_not_overruled(
    run: Run, tasks: Tasks, haproxy: Haproxy, engines: dict[str, Llama]
) -> None:
    stream = Stream(engines["p1"].url, LONG)
    task = tasks(haproxy, engines["p1"], "drained", "p1")
    until("it is drained", lambda: _admin(haproxy, "p1") == "drained")
    assert run(haproxy, None, "active", "p1")["changed"]
    result = task.result()
    assert "somebody made p1 active" in result["msg"]
    assert _admin(haproxy, "p1") == "active"
    stream.hang_up()


def test_a_task_that_was_killed_is_gone_on_with(
    run: Run, tasks: Tasks, haproxy: Haproxy, engines: dict[str, Llama]
) -> None:
    stream = Stream(haproxy.url, 600)
    first = tasks(haproxy, engines[stream.backend], "drained", stream.backend)
    until("it is drained", lambda: _admin(haproxy, stream.backend) == "drained")
    first.kill()
    result = run(haproxy, engines[stream.backend], "drained", stream.backend)
    assert result["outcome"] == "drained", result
    stream.wait()
    assert stream.whole


def test_what_remains_after_the_deadline(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    stream = Stream(haproxy.url, 900)
    server = stream.backend
    failed = run(haproxy, engines[server], "drained", server, deadline=0.2)
    assert failed["outcome"] == "failed"
    assert "made active again" in failed["msg"]
    assert _admin(haproxy, server) == "active"
    refused = run(haproxy, engines[server], "drained", server, deadline=0.2, remaining="abort")
    assert "only its client, or a restart, ends a request" in refused["msg"]
    assert _admin(haproxy, server) == "active"
    waited = run(haproxy, engines[server], "drained", server, deadline=0.2, remaining="wait", remaining_deadline=60)
    assert waited["outcome"] == "drained", waited
    stream.wait()
    assert stream.whole


def test_an_engine_that_hangs_is_not_taken_for_idle(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    freeze(engines["p1"].pid)
    result = run(haproxy, engines["p1"], "drained", "p1", deadline=0.3, engine_timeout=0.5, min_available="0")
    assert result["in_flight"]["engine"]["value"] is None
    assert result["outcome"] == "failed", result


def test_slow_start_ends_at_the_configured_weight(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    run(haproxy, engines["p1"], "drained", "p1")
    result = run(haproxy, engines["p1"], "active", "p1", slow_start=0.5, slow_start_steps=4)
    assert result["outcome"] == "active", result
    assert result["after"]["weight"] == 100
    assert "slow start" in " ".join(result["reasons"])
    assert run(haproxy, engines["p1"], "active", "p1", slow_start=0.5)["changed"] is False
    assert run(haproxy, engines["p1"], "active", "p1", weight=30)["after"]["weight"] == 30


def test_an_engine_that_is_not_ready_gets_no_traffic(run: Run, haproxy: Haproxy, engines: dict[str, Llama]) -> None:
    run(haproxy, engines["p1"], "drained", "p1")
    engines["p1"].kill()
    result = run(haproxy, engines["p1"], "active", "p1", deadline=0.3)
    assert result["failed"]
    assert "not ready" in result["msg"]
    assert _admin(haproxy, "p1") == "drained"


def _admin(haproxy: Haproxy, server: str) -> str:
    return haproxy.open().state(server).admin
