# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference with a real HAProxy that is configured as people have it: what its tables say then, and what is
undone."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.balancers.dns import Dns
from tests.integration.balancers.running import Haproxy, started
from tests.support.servers.http_answers import Reply, answering_http
from tests.support.servers.waiting import until

HEAD = """global
  stats socket @FOLDER@/admin.sock mode 600 level admin
resolvers dns
  nameserver test 127.0.0.1:@DNS@
  accepted_payload_size 8192
  timeout resolve 200ms
  timeout retry 200ms
  hold valid 200ms
  hold obsolete 200ms
  hold nx 200ms
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  default-server check inter 200ms fall 2 rise 1
frontend users
  bind 127.0.0.1:@PORT@
  default_backend llm
"""


class Configured(Haproxy):
    """A HAProxy with the backends that a test gives it."""

    def __init__(self, backends: str, dns: Dns) -> None:
        """Write its configuration."""
        super().__init__({})
        text = (HEAD + backends).replace("@FOLDER@", self.inside).replace("@PORT@", str(self.port))
        (self.folder / "haproxy.cfg").write_text(text.replace("@DNS@", str(dns.port)))

    def admins(self) -> dict[str, str]:
        """Name -> what it was told."""
        return {member.name: member.admin for member in self.open().members()}

    def serving(self) -> int:
        """How many are known to be up and get requests."""
        return sum(member.health == "up" and member.admin == "active" for member in self.open().members())


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Three engines on all of 127.0.0.0/8, each with a port of its own."""
    with contextlib.ExitStack() as stack:
        # Fakes, as far as a balancer can see: everything is well (tests/FAKES.md).
        each = [answering_http(lambda _asked: Reply(), "0.0.0.0") for _ in range(3)]  # noqa: S104
        yield [stack.enter_context(server).server_port for server in each]


@pytest.fixture
def dns() -> Iterator[Dns]:
    with Dns().answering() as server:
        yield server


@pytest.fixture
def configured(dns: Dns) -> Iterator[Callable[[str], Configured]]:
    with contextlib.ExitStack() as stack:
        yield lambda backends: stack.enter_context(started(Configured(backends, dns)))


@pytest.fixture
def told(run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Run a task without an engine."""
    return lambda part, state, server, **more: run(part, None, state, server, deadline=10, **more)


def test_one_that_the_configuration_disables_is_active_when_somebody_has_made_it_so(configured, told, ports) -> None:
    haproxy = configured(
        f"backend llm\n  server a 127.0.0.1:{ports[0]}\n  server b 127.0.0.1:{ports[1]} disabled\n"
        f"  server c host-c.invalid:{ports[2]} init-addr none\n"
    )
    assert haproxy.admins() == {"a": "active", "b": "maintenance", "c": "maintenance"}
    assert told(haproxy, "active", "b")["outcome"] == "active"
    assert haproxy.admins()["b"] == "active"
    until("both are up", lambda: haproxy.serving() == 2)
    assert told(haproxy, "active", "b")["changed"] is False
    assert told(haproxy, "drained", "b")["outcome"] == "drained"
    assert haproxy.admins()["b"] == "drained"


def test_one_whose_host_name_was_changed_at_run_time_is_active(configured, dns, ports) -> None:
    dns.a = {"one.internal": ["127.0.0.1"], "two.internal": ["127.0.0.2"]}
    haproxy = configured(
        f"backend llm\n  server a one.internal:{ports[0]} resolvers dns init-addr none resolve-prefer ipv4\n"
        f"  server b 127.0.0.1:{ports[1]}\n"
    )
    until("a is resolved", lambda: haproxy.admins()["a"] == "active")
    haproxy.open()._send("set server llm/a fqdn two.internal")
    until("a is up at its new name", lambda: haproxy.serving() == 2)


@pytest.mark.parametrize("kind", ["A", "SRV"])
def test_slots_of_a_template_are_members_only_when_they_are_filled(configured, told, dns, ports, kind: str) -> None:
    if kind == "A":
        dns.a["vllm.internal"] = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        name = f"vllm.internal:{ports[0]}"
    else:
        dns.srv["_llm._tcp.vllm.internal"] = [(port, f"n{port}.internal") for port in ports]
        dns.a |= {f"n{port}.internal": ["127.0.0.1"] for port in ports}
        name = "_llm._tcp.vllm.internal"
    haproxy = configured(
        f"backend llm\n  server-template v 10 {name} resolvers dns init-addr none resolve-prefer ipv4\n"
    )
    until("all three are up", lambda: haproxy.serving() == 3)
    first = next(iter(haproxy.admins()))
    result = told(haproxy, "drained", first, min_available="50%")
    assert result["outcome"] == "drained", result
    assert len(haproxy.admins()) == 3
    second = next(server for server in haproxy.admins() if server != first)
    assert told(haproxy, "drained", second, min_available="50%")["outcome"] == "refused"
    # One goes away: its slot is nobody's.
    if kind == "A":
        dns.a["vllm.internal"] = ["127.0.0.1", "127.0.0.2"]
    else:
        dns.srv["_llm._tcp.vllm.internal"].pop()
    until("the pool is smaller", lambda: len(haproxy.admins()) == 2)


def test_backup_servers_and_weight_0_are_no_reserve_that_serves(configured, told, ports) -> None:
    haproxy = configured(
        f"backend llm\n  server a 127.0.0.1:{ports[0]}\n  server b 127.0.0.1:{ports[1]} backup\n"
        f"  server c 127.0.0.1:{ports[2]} weight 0\n"
    )
    until("all are up", lambda: haproxy.serving() == 3)
    refused = told(haproxy, "drained", "a")
    assert refused["outcome"] == "refused", "neither of the others gets requests"
    assert told(haproxy, "drained", "b")["outcome"] == "drained"
    assert told(haproxy, "drained", "c")["outcome"] == "drained"
    nothing = told(haproxy, "active", "c")
    assert nothing["failed"]
    assert "weight 0" in nothing["msg"]
    assert told(haproxy, "active", "c", weight=10)["outcome"] == "active"


def test_one_server_in_several_backends_is_drained_in_all_of_them(configured, told, ports) -> None:
    haproxy = configured(
        f"backend llm\n  server a 127.0.0.1:{ports[0]}\n  server b 127.0.0.1:{ports[1]}\n"
        f"backend other\n  server x 127.0.0.1:{ports[0]}\n  server y 127.0.0.1:{ports[2]}\n"
    )
    until("all are up", lambda: haproxy.serving() == 2)
    assert told(haproxy, "drained", "a")["outcome"] == "drained"
    other = haproxy.pool(backend="other")
    assert told(haproxy, "drained", "x", balancer=other)["changed"] is False, "it is drained there too"
    assert told(haproxy, "active", "a")["outcome"] == "active"
    assert told(haproxy, "active", "x", balancer=other)["changed"] is False


def test_a_server_that_is_the_only_one_of_another_backend_is_refused_before_anything(configured, told, ports) -> None:
    haproxy = configured(
        f"backend llm\n  server a 127.0.0.1:{ports[0]}\n  server b 127.0.0.1:{ports[1]}\n"
        f"backend other\n  server x 127.0.0.1:{ports[0]}\n"
    )
    until("all are up", lambda: haproxy.serving() == 2)
    result = told(haproxy, "drained", "a")
    assert result["outcome"] == "refused", result
    assert "other/x" in result["msg"]
    assert haproxy.admins()["a"] == "active"


class FakeAgent(socketserver.BaseRequestHandler):
    """An agent that says ``ready`` to everybody, by which HAProxy undoes every drain."""

    asked = 0

    def handle(self) -> None:
        """Say so."""
        type(self).asked += 1
        self.request.sendall(b"ready up 100%\n")


def test_an_agent_that_says_ready_does_not_undo_a_drain(configured, told, ports) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), FakeAgent) as agent:
        threading.Thread(target=agent.serve_forever, daemon=True).start()
        check = f"agent-check agent-inter 100ms agent-port {agent.server_address[1]}"
        haproxy = configured(f"backend llm\n  server a 127.0.0.1:{ports[0]} {check}\n  server b 127.0.0.1:{ports[1]}\n")
        until("all are up, and the agent was heard", lambda: haproxy.serving() == 2 and FakeAgent.asked > 2)
        assert told(haproxy, "drained", "a")["outcome"] == "drained"
        before = FakeAgent.asked
        until("time has passed", lambda: told(haproxy, "drained", "a")["changed"] is False and haproxy.admins()["a"])
        assert haproxy.admins()["a"] == "drained"
        assert FakeAgent.asked <= before + 1, "nobody asks it"
        assert told(haproxy, "active", "a")["outcome"] == "active"
        until("it is asked again", lambda: FakeAgent.asked > before + 3)
        agent.shutdown()
