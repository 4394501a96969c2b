# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""shed_load with each balancer that runs here: what is in force, what users see of it, and what none of them can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.balancers.running import Envoy, Haproxy, Nginx, Part, Task, started
from tests.support.servers.llama import Llama

Shed = Callable[..., dict[str, Any]]


@pytest.fixture
def shed(tmp_path: Path) -> Shed:
    """Run one task to its end."""

    def run(part: Part, state: str, **more: Any) -> dict[str, Any]:
        told = {"state": state, "server": part.name_of("p1"), "balancer": part.pool(), "steps": 1}
        if part.peers():
            told |= {"engine": "llama_cpp", "peers": part.peers()}
        return Task({**told, "note_dir": str(tmp_path / "notes"), **more}, module="shed_load").result()

    return run


def served(part: Part, requests: int) -> Counter[str]:
    """By whom so many requests were answered."""
    with httpx.Client(trust_env=False, timeout=30) as users:
        return Counter(users.get(f"{part.url}/health").headers["x-backend"] for _each in range(requests))


def seen(part: Part) -> tuple[int, int | None]:
    """Our own look at the weight of p1 and its limit, where this balancer has one."""
    balancer, name = part.open(), part.name_of("p1")
    return balancer.weight(name).current, None if isinstance(part, Envoy) else balancer.limit(name)


@pytest.mark.parametrize("kind", [Haproxy, Nginx, Envoy])
def test_half_of_its_load_and_all_of_it_again(
    shed: Shed, kind: Callable[..., Part], engines: dict[str, Llama], tmp_path: Path
) -> None:
    with started(kind(engines)) as part:
        for name in engines:
            part.open().set_weight(part.name_of(name), 20)
        if not isinstance(part, Envoy):
            part.open().set_limit(part.name_of("p1"), 8)
        before = seen(part)
        down = shed(part, "shed")
        assert down["outcome"] == "shed", down
        assert seen(part) == (10, 4 if before[1] else None)
        assert down["diff"]["after"] == {"weight": 10, "limit": before[1] and 4, "share": 50}
        assert any("limit a whole cluster" in reason for reason in down["reasons"]) is isinstance(part, Envoy)
        assert not shed(part, "shed")["changed"]
        up = shed(part, "raised")
        assert (up["outcome"], seen(part)) == ("whole", before), up
        assert not list((tmp_path / "notes").iterdir())


def test_users_see_a_third_of_the_answers_from_one_of_two_with_half_of_its_load(
    shed: Shed, engines: dict[str, Llama]
) -> None:
    with started(Haproxy(engines, balance="roundrobin")) as haproxy:
        assert served(haproxy, 12) == {"p1": 6, "p2": 6}
        shed(haproxy, "shed")
        assert served(haproxy, 12) == {"p1": 4, "p2": 8}
        shed(haproxy, "restored")
        assert served(haproxy, 12) == {"p1": 6, "p2": 6}


@pytest.mark.parametrize(
    ("balance", "words"),
    [
        ("first", "backend llm has balance first"),
        ("static-rr", "backend llm has balance static-rr"),
        ("source", "only accepts weights"),
    ],
)
def test_where_haproxy_goes_by_no_weight_only_a_limit_is_shed(
    shed: Shed, engines: dict[str, Llama], balance: str, words: str
) -> None:
    with started(Haproxy(engines, balance=balance)) as haproxy:
        told = shed(haproxy, "shed")
        assert (told["outcome"], told["changed"], told["note"]) == ("refused", False, None), told
        haproxy.open().set_limit("p1", 9)
        told = shed(haproxy, "shed")
        assert told["outcome"] == "shed", told
        assert words in " ".join(told["reasons"])
        assert haproxy.open().weight("p1").current == 100
        assert haproxy.open().limit("p1") == 4
        assert shed(haproxy, "restored")["outcome"] == "whole"
        assert haproxy.open().limit("p1") == 9


def test_a_haproxy_that_has_forgotten_is_told_again_or_left_as_it_is(shed: Shed, haproxy: Haproxy) -> None:
    for again, expected in (("shed", 50), ("raised", 100)):
        shed(haproxy, "shed")
        haproxy.stop()
        haproxy.start()
        assert seen(haproxy) == (100, None)
        told = shed(haproxy, again)
        assert not told.get("failed"), told
        assert seen(haproxy)[0] == expected
