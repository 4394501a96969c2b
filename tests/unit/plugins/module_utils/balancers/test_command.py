# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands: word lists that are run as they are, and believed only when the state shows it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.command import CommandBalancer
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import (
    BalancerError,
    BalancerNotSupported,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult

# A balancer in a file: state prints it, the others change it.
PROGRAM = """
import json, sys
path, action, *words = sys.argv[1:]
pool = json.load(open(path))
for member in pool:
    if words and member["name"] == words[0]:
        if action in ("drain", "ready"): member["admin"] = {"drain": "drained", "ready": "active"}[action]
        if action == "weight": member["weight"] = int(words[1])
        if action == "in_flight": print(member["in_flight"]); sys.exit()
if action == "state": print(json.dumps(pool))
elif action == "fail": sys.exit("it is broken")
else: json.dump(pool, open(path, "w"))
"""
HOSTILE = "a; touch /tmp/pwned $(x) {weight}"


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    path = tmp_path / "pool.json"
    path.write_text(
        json.dumps([{"name": name, "admin": "active", "weight": 5, "in_flight": 3} for name in ("a", HOSTILE)])
    )
    return path


def balancer(pool: Path, **changes: list[str] | None) -> CommandBalancer:
    words = [sys.executable, str(pool.parent / "program.py"), str(pool)]
    commands = {name: [*words, name, "{server}", "{weight}"] for name in ("drain", "ready", "weight", "in_flight")}
    return CommandBalancer({"state": [*words, "state"], **commands, **changes}, timeout=20, lock_dir=str(pool.parent))


@pytest.mark.parametrize("server", ["a", HOSTILE])
def test_there_and_back_and_no_shell(pool: Path, server: str) -> None:
    command = balancer(pool)
    command.drain(server)
    assert command.state(server).admin == "drained"
    assert command.in_flight(server).value == 3
    command.set_weight(server, 7)
    assert command.weight(server).current == 7
    command.ready(server)
    assert [(member.admin, member.health) for member in command.members()] == [("active", "unknown")] * 2


def test_success_that_changes_nothing_is_failure(pool: Path) -> None:
    with pytest.raises(BalancerError) as caught:
        balancer(pool, drain=["true"]).drain("a")
    assert caught.value.kind == "unproven"


def test_what_a_command_complains_of_is_told(pool: Path) -> None:
    words = [sys.executable, str(pool.parent / "program.py"), str(pool), "fail"]
    with pytest.raises(BalancerError, match=r"commands\.drain: exit status 1: it is broken"):
        balancer(pool, drain=words).drain("a")
    with pytest.raises(BalancerError, match="cannot be run"):
        balancer(pool, drain=["/nowhere/at/all"]).drain("a")


@pytest.mark.parametrize(
    "answer",
    ["", "x", "{}", "[1]", '[{"name": "a"}]', '[{"name": "a", "admin": "gone"}]',
     '[{"name": "a", "admin": "active", "weight": -1}]', '[{"name": "a", "admin": "active", "health": "fine"}]'],
)  # fmt: skip
def test_a_state_of_another_form_is_refused(answer: str) -> None:
    commands = {name: [name] for name in ("state", "drain", "ready")}
    command = CommandBalancer(commands, runner=lambda _argv, _timeout: CommandResult(0, answer.encode(), b""))
    with pytest.raises(BalancerError, match=r"commands\.state"):
        command.members()


@pytest.mark.parametrize("answer", ["", "-1", "1.5", "many", "null"])
def test_a_count_that_is_none_is_not_zero(pool: Path, answer: str) -> None:
    count = balancer(pool, in_flight=["echo", answer]).in_flight("a")
    assert count.value is None
    assert count.kind == "unread"


def test_what_is_not_there_is_not_supported(pool: Path) -> None:
    with pytest.raises(BalancerNotSupported):
        balancer(pool, weight=None).set_weight("a", 1)
    assert balancer(pool, in_flight=None).in_flight("a").value == 3  # commands.state tells it too
    with pytest.raises(ValueError, match=r"commands\.drain"):
        balancer(pool, drain=[])


def test_programs_that_are_not_there_are_told_before_they_are_needed(pool: Path) -> None:
    assert balancer(pool).obstacles() == []
    (pool.parent / "plain").write_text("#!/bin/sh\n")
    gone = balancer(
        pool, drain=["/nowhere/lb", "{server}"], weight=[str(pool.parent / "plain")], in_flight=["{server}"]
    )
    assert [obstacle.do for obstacle in gone.obstacles()] == ["correct commands.drain", "correct commands.weight"]
    assert gone.obstacles()[0].what == "there is no program /nowhere/lb, or it may not be run"
