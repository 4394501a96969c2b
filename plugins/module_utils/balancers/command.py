# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any other balancer, by commands that the operator configures: word lists that are run without a shell.

In each word C({server}), C({backend}) and C({weight}) are replaced by their values. Exit status 0 is success; anything
else is failure, with the command's standard error as the reason. C(state) prints JSON about the pool:

    [{"name": "a:80", "admin": "active|drained|maintenance", "health": "up|down|unknown", "weight": 10, "in_flight": 3}]

health, weight and in_flight may be left out, and are then unknown. C(in_flight) prints a number, for balancers whose
list does not contain it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from ..host.command import Runner, is_there, run
from ..host.numbers import whole_number
from . import lock
from .options import TEXT, WORDS
from .protocol import (
    ACTIVE,
    DOWN,
    DRAINED,
    MAINTENANCE,
    UNKNOWN,
    UP,
    BalancerError,
    BalancerNotSupported,
    Count,
    Obstacle,
    PoolMember,
    Weight,
)
from .protocol import find as find_member

_BLANK = re.compile(r"\{(server|backend|weight)\}")


class CommandBalancer:
    """One pool. C(commands) has state, drain and ready; in_flight and weight are optional."""

    name = "command"
    needs: ClassVar[tuple[str, ...]] = ("commands",)
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "backend": TEXT,
        "commands": {
            "type": "dict",
            "options": {name: dict(WORDS) for name in ("state", "drain", "ready", "in_flight", "weight")},
        },
    }

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        backend: str = "",
        timeout: float = 5.0,
        lock_dir: str = lock.DIRECTORY,
        runner: Runner = run,
    ) -> None:
        for needed in ("state", "drain", "ready"):
            if not commands.get(needed):
                raise ValueError(f"a balancer of kind command needs commands.{needed}, a list of words")
        self._commands, self._backend, self._timeout = commands, backend, timeout
        self._lock_dir, self._run = lock_dir, runner

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> CommandBalancer:
        return cls(options["commands"], options.get("backend") or "", options["timeout"], options["lock_dir"])

    def members(self) -> tuple[PoolMember, ...]:
        return tuple(map(_member, self._read_state()))

    def state(self, server: str) -> PoolMember:
        return find_member(server, self.members(), "commands.state")

    def drain(self, server: str) -> None:
        self._run_and_confirm("drain", server, DRAINED)

    def ready(self, server: str) -> None:
        self._run_and_confirm("ready", server, ACTIVE)

    def in_flight(self, server: str) -> Count:
        try:
            if self._commands.get("in_flight"):
                return _parse_count(self._run_command("in_flight", server).strip(), "commands.in_flight")
            entries = [entry for entry in self._read_state() if entry["name"] == server]
        except BalancerError as error:
            return Count(None, error.reason, "unread")
        if not entries or "in_flight" not in entries[0]:
            return Count(None, "commands.state tells no in_flight, and there is no commands.in_flight", "unsupported")
        return _parse_count(entries[0]["in_flight"], "commands.state")

    def weight(self, server: str) -> Weight:
        weight = self.state(server).weight
        if weight is None:
            raise BalancerNotSupported("commands.state tells no weight")
        return Weight(weight)

    def set_weight(self, server: str, value: int) -> None:
        if not self._commands.get("weight"):
            raise BalancerNotSupported("there is no commands.weight")
        self._run_command("weight", server, value)
        now = self.weight(server).current
        if now != value:
            raise BalancerError("unproven", f"commands.weight succeeded, and commands.state says {now} and not {value}")

    def weights_count(self) -> None:
        if not self._commands.get("weight"):
            raise BalancerNotSupported("there is no commands.weight")

    def limit(self, server: str) -> int | None:  # noqa: ARG002
        raise BalancerNotSupported("commands of this balancer set no limit")

    def set_limit(self, server: str, value: int | None) -> None:  # noqa: ARG002
        raise BalancerNotSupported("commands of this balancer set no limit")

    def incarnation(self) -> str:
        return "command"

    def obstacles(self) -> list[Obstacle]:
        """Name the programs that are missing. Whether the others would succeed is only known by running them."""
        programs = {name: words[0] for name, words in self._commands.items() if words}
        return [
            Obstacle(f"there is no program {program}, or it may not be run", f"correct commands.{name}")
            for name, program in programs.items()
            if not _BLANK.search(program) and not is_there(program)
        ]

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"command {' '.join(self._commands['state'])} {self._backend}", self._lock_dir)

    def _run_and_confirm(self, name: str, server: str, wanted: str) -> None:
        self._run_command(name, server)
        now = self.state(server)
        if now.admin != wanted:
            raise BalancerError(
                "unproven", f"commands.{name} succeeded, and commands.state says {now.admin} of {server}"
            )

    def _read_state(self) -> list[dict[str, Any]]:
        answer = self._run_command("state", "")
        try:
            document = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise BalancerError("unreadable", f"commands.state answered no JSON: {answer[:100]!r}") from error
        if not isinstance(document, list) or not all(map(_is_entry, document)):
            raise BalancerError(
                "unreadable", "commands.state answered no list of {name, admin, health, weight, in_flight}"
            )
        return document

    def _run_command(self, name: str, server: str, weight: int | None = None) -> str:
        values = {"server": server, "backend": self._backend, "weight": "" if weight is None else str(weight)}
        # One pass, so that a value which contains a placeholder is not expanded again.
        words = [_BLANK.sub(lambda match: values[match[1]], word) for word in self._commands[name]]
        outcome = self._run(words, self._timeout)
        complaint = outcome.complaint()
        if complaint:
            kind = "unreachable" if outcome.rc is None else "refused"
            raise BalancerError(kind, f"commands.{name}: {complaint}")
        return outcome.stdout.decode("utf-8", "replace")


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return False
    weight = entry.get("weight")
    return (
        entry.get("admin") in (ACTIVE, DRAINED, MAINTENANCE)
        and entry.get("health", UNKNOWN) in (UP, DOWN, UNKNOWN)
        and (weight is None or _is_whole_number(weight))
        and isinstance(entry.get("backup", False), bool)
    )


def _member(entry: Mapping[str, Any]) -> PoolMember:
    says = str(entry.get("says", ""))[:200]
    health = entry.get("health", UNKNOWN)
    return PoolMember(entry["name"], entry["admin"], health, entry.get("weight"), entry.get("backup", False), says)


def _parse_count(value: Any, source: str) -> Count:
    if isinstance(value, str):
        value = whole_number(value) if whole_number(value) is not None else value
    if not _is_whole_number(value):
        return Count(None, f"{source} answered {str(value)[:50]!r}, which is no number of requests", "unread")
    return Count(value, f"{source}: {value} in flight")


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
