# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The notes on the balancer's host of whose load was shed there, and what to put back.

A note is written before the balancer is told, and removed once the server has the whole again: so whoever comes after a
run that was killed finds what to do. It decides what a server's weight becomes, and is kept as the notes of taken_out
are: only where nobody but root and the user who runs the tasks can write.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..host import note_file
from .protocol import BalancerError
from .shares import ServerLoad, ShedNote

DIRECTORY = "/var/lib/autoglm/shed/balancers"
# What tells one pool from another. How long to wait, and by which commands it is asked, does not.
_IDENTITY = ("kind", "backend", "socket", "file", "admin_url", "namespace", "commands")
_TEXTS = ("service", "incident", "cause", "who", "why", "since")
_MOST_NOTES = 1000


@dataclass(frozen=True)
class ShedNotes:
    """The notes of one pool in one directory. Methods raise BalancerError for what cannot be read or written."""

    directory: str
    pool: str

    def of(self, server: str) -> ShedNote | None:
        """The note of a server, None where there is none."""
        found = self._read(self._path(server))
        return None if found is None else _note(self._path(server), found)

    def servers(self) -> list[str]:
        """The servers of the pool that have a note."""
        found = []
        for name in self._names():
            content = self._read(os.path.join(self.directory, name))
            if content is not None and content.get("pool") == self.pool:
                found.append(str(content.get("server")))
        return sorted(found)

    def write(self, server: str, note: ShedNote) -> None:
        text = json.dumps({"version": 1, "pool": self.pool, "server": server, **asdict(note)}, indent=1)
        path = self._path(server)
        try:
            note_file.write(path, text + "\n")
        except OSError as error:
            raise BalancerError("denied", f"the note {path} cannot be written: {error.strerror}") from error

    def remove(self, server: str) -> None:
        path = self._path(server)
        try:
            note_file.remove(path)
        except OSError as error:
            raise BalancerError("denied", f"the note {path} cannot be removed: {error.strerror}") from error

    def _path(self, server: str) -> str:
        digest = hashlib.sha256(f"{self.pool}\n{server}".encode()).hexdigest()
        return os.path.join(self.directory, f"{digest}.json")

    def _names(self) -> list[str]:
        try:
            names = [name for name in os.listdir(self.directory) if name.endswith(".json") and name[0] != "."]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BalancerError("denied", f"{self.directory} cannot be read: {error.strerror}") from error
        if len(names) > _MOST_NOTES:
            raise BalancerError("unreadable", f"{self.directory} has more than {_MOST_NOTES} notes")
        return names

    def _read(self, path: str) -> Mapping[str, Any] | None:
        try:
            text = note_file.read(path)
        except OSError as error:
            raise BalancerError("denied", f"the note {path} cannot be read: {error.strerror}") from error
        if text is None:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise BalancerError("unreadable", f"{path} is no note of what was shed")
        return found


def pool_of(options: Mapping[str, Any]) -> str:
    """What a pool is known by, of the option C(balancer)."""
    return json.dumps({key: options[key] for key in _IDENTITY if options.get(key)}, sort_keys=True)


def _note(path: str, found: Mapping[str, Any]) -> ShedNote:
    try:
        before, *ours = (_setting(each) for each in (found["before"], *found["ours"]))
        share, first = _number(found["share"], 1, 100), _number(found["first"], 1, 99)
        ceiling = None if found["ceiling"] is None else _number(found["ceiling"], 1, 1 << 31)
        texts = {name: str(found[name]) for name in _TEXTS}
    except (KeyError, TypeError, ValueError) as error:
        words = f"{path} is no note of what was shed: bring the server back by hand, and remove it"
        raise BalancerError("unreadable", words) from error
    return ShedNote(before, tuple(ours), share, first, ceiling, **texts)


def _setting(found: Any) -> ServerLoad:
    weight, limit = found["weight"], found["limit"]
    return ServerLoad(
        None if weight is None else _number(weight, 1, 1 << 31), None if limit is None else _number(limit, 1, 1 << 31)
    )


def _number(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"no number from {least} to {most}: {value!r}")
    return value
