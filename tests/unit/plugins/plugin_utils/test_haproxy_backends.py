# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backends of a HAProxy are worked out of the inventory, with the names by which a drain will ask."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.plugin_utils.haproxy_backends import PoolMistake, backends

SOCKET = "/run/autoglm-haproxy/admin.sock"
BALANCER = {"kind": "haproxy", "host": "ops", "socket": SOCKET, "backend": "llm"}
POOL = {"name": "chat", "bind": ["192.0.2.1:8000"]}


def host(number: int, balancer: dict[str, Any] | None = None, **service: Any) -> dict[str, Any]:
    """Return what the inventory says of a host with one service."""
    one = {"name": "llama", "pool": "chat", "engine": "llama_cpp", "url": f"http://192.0.2.{number}:8080"}
    return {"services": [one | service], "pools": {"chat": {"balancer": BALANCER | (balancer or {})}}}


def only(fleet: dict[str, dict[str, Any]], **pool: Any) -> dict[str, Any]:
    """Return the only backend."""
    (made,) = backends([POOL | pool], fleet, "ops", SOCKET)
    return made


def test_servers_have_the_names_and_addresses_of_a_drain() -> None:
    fleet = {
        "node-a": host(11),
        "node-b": host(12, server="b"),
        "node-c": host(13, {"server": "c-here"}, server="c"),
        "node-d": host(14, url="http://127.0.0.1:8080", serving_url="http://[2001:db8::14]:9000/"),
        "node-e": host(15, pool="other"),
        "node-f": host(16, {"host": "ops-2"}),
        "node-g": host(17, {"kind": "nginx"}),
    }
    made = only(fleet)
    assert [(server["name"], server["address"]) for server in made["servers"]] == [
        ("b", "192.0.2.12:8080"),
        ("c-here", "192.0.2.13:8080"),
        ("node-a", "192.0.2.11:8080"),
        ("node-d", "[2001:db8::14]:9000"),
    ]
    assert (made["backend"], made["health_path"], made["balance"], made["tls"]) == (
        "llm",
        "/health",
        "leastconn",
        False,
    )


def test_one_of_several_balancers_is_this_one() -> None:
    said = host(11)
    said["pools"]["chat"] = {"balancers": [BALANCER | {"host": "elsewhere", "backend": "x"}, BALANCER]}
    assert only({"node-a": said})["backend"] == "llm"


@pytest.mark.parametrize(
    ("service", "path"),
    [
        ({"engine": "triton"}, "/v2/health/ready"),
        ({"engine": "generic", "engine_options": {"ready_path": "/ready"}}, "/ready"),
        ({"engine": "generic"}, "/health"),
    ],
)
def test_an_engine_is_asked_for_what_it_has(service: dict[str, Any], path: str) -> None:
    assert only({"node-a": host(11, **service)})["health_path"] == path
    assert only({"node-a": host(11, **service)}, health_path="/mine")["health_path"] == "/mine"


@pytest.mark.parametrize(
    ("fleet", "pool", "words"),
    [
        ({}, {}, "no service of the inventory is of it with a balancer of kind haproxy and host ops"),
        ({"a": host(11, {"socket": "/run/x"})}, {}, "a will ask for a drain at /run/x, and this HAProxy has"),
        ({"a": host(11), "b": host(12, {"backend": "y"})}, {}, "its backend must be one name"),
        ({"a": host(11, server="s"), "b": host(12, server="s")}, {}, "two of its services have the server s"),
        ({"a": host(11), "b": host(12, engine="ollama")}, {}, "/api/version and /health; give health_path"),
        ({"a": host(11, engine="new")}, {}, "what tells of the health of new is not known here"),
        ({"a": host(11), "b": host(12, url="https://192.0.2.12")}, {}, "have https:// addresses, and some have not"),
        ({"a": host(11, url="192.0.2.11:80")}, {}, "the url of a is no address"),
        ({"a": host(11, url="http://x y:80")}, {}, "the url of a is no address"),
        ({"a": host(11, server="x\n  server evil 203.0.113.1:80")}, {}, "is no name of a server"),
        ({"a": host(11)}, {"bind": []}, "it has no bind"),
        ({"a": host(11)}, {"bind": ["8000"]}, "is no place to listen at"),
        ({"a": host(11)}, {"bind": ["192.0.2.1:8000 ssl"]}, "is no place to listen at"),
        ({"a": host(11)}, {"bind": ["[fe80::1%a\nglobal\n]:8000"]}, "is no place to listen at"),
        ({"a": host(11)}, {"bind": ["192.0.2.1:\u0668000"]}, "is no place to listen at"),
        ({"a": host(11, url="http://[fe80::1%a backup b]:80")}, {}, "the url of a is no address"),
        ({"a": host(11)}, {"health_path": "/x\n"}, "give health_path"),
        ({"a": host(11)}, {"lines": ["server evil 203.0.113.1:80"]}, "is no line that a backend may get"),
        ({"a": host(11)}, {"certificate": "chat.pem"}, "its certificate must be an absolute path"),
    ],
)
def test_what_a_drain_would_not_find_is_refused(
    fleet: dict[str, dict[str, Any]], pool: dict[str, Any], words: str
) -> None:
    with pytest.raises(PoolMistake, match=re.escape(words)):
        only(fleet, **pool)


def test_two_pools_have_two_backends_and_two_places() -> None:
    other = {"name": "other", "bind": ["192.0.2.1:8000"]}
    said = host(11)
    said["services"].append({"name": "x", "pool": "other", "engine": "vllm", "url": "http://192.0.2.11:1"})
    said["pools"]["other"] = {"balancer": BALANCER}
    with pytest.raises(PoolMistake, match="two pools have the backend llm"):
        backends([POOL, other], {"a": said}, "ops", SOCKET)
    said["pools"]["other"] = {"balancer": BALANCER | {"backend": "x"}}
    with pytest.raises(PoolMistake, match=r"two pools listen at 192\.0\.2\.1:8000"):
        backends([POOL, other], {"a": said}, "ops", SOCKET)
