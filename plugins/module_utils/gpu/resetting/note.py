# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note on a host of what a reset has stopped and switched off. It outlives the run, so that the next one finds it.

It is one file that is root's, like the notes on what was taken out of traffic.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...host import paths, whole_file
from .owners import AGENT_UNITS

PATH = "/var/lib/autoglm/gpu-reset/note.json"
PREPARED, RESETTING, HUNG = "prepared", "resetting", "hung"
_LONGEST = 64 * 1024


@dataclass(frozen=True)
class Note:
    """step: how far it came.  boot: of which boot.  persistence: UUIDs of GPUs whose mode was on.

    power: UUID -> limit in mW.  agents: units to start again.  services: declared services that were stopped.
    """

    step: str = PREPARED
    boot: str = ""
    gpus: tuple[str, ...] = ()
    persistence: tuple[str, ...] = ()
    power: Mapping[str, int] = field(default_factory=dict)
    agents: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    def joined(self, later: Note) -> Note:
        """What a later run adds. What the first has noted of before the first change stays as it was then."""
        news = [uuid for uuid in later.gpus if uuid not in self.gpus]
        return replace(
            later,
            gpus=_unique(self.gpus, later.gpus),
            persistence=_unique(self.persistence, [uuid for uuid in later.persistence if uuid in news]),
            power={**later.power, **self.power},
            agents=tuple(unit for unit in AGENT_UNITS if unit in (*self.agents, *later.agents)),
            services=_unique(self.services, later.services),
        )


def _unique(first: Sequence[str], later: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *later]))


def boot_id(proc: Path = Path("/proc")) -> str:
    """Which boot of the host this is. Raises OSError."""
    return (proc / "sys/kernel/random/boot_id").read_text("ascii").strip()


def read(path: str) -> Note | None:
    """The note, None where there is none. Raises OSError, and ValueError or TypeError for what is no note."""
    try:
        with _opened(path) as directory, os.fdopen(paths.open_at(directory, _name(path), path), "rb") as file:
            return _parse(file.read(_LONGEST))
    except FileNotFoundError:
        return None


def write(path: str, note: Note) -> None:
    """Write or replace it as a whole. Raises OSError."""
    with _opened(path, 0o700) as directory:
        whole_file.put(directory, _name(path), path, json.dumps(asdict(note)) + "\n")
        os.fsync(directory)


def remove(path: str) -> None:
    """Raises OSError."""
    with contextlib.suppress(FileNotFoundError), _opened(path) as directory:
        os.unlink(_name(path), dir_fd=directory)
        os.fsync(directory)


def _parse(content: bytes) -> Note:
    told: Any = json.loads(content)
    if not isinstance(told, dict):
        raise TypeError("it is no object")
    lists = ("gpus", "persistence", "agents", "services")
    values: dict[str, Any] = {name: tuple(str(one) for one in told.get(name) or ()) for name in lists}
    values["agents"] = tuple(unit for unit in values["agents"] if unit in AGENT_UNITS)
    power = {str(uuid): int(limit) for uuid, limit in dict(told.get("power") or {}).items()}
    return Note(step=str(told.get("step")), boot=str(told.get("boot")), power=power, **values)


@contextlib.contextmanager
def _opened(path: str, make: int | None = None) -> Iterator[int]:
    descriptor = paths.open_directory(os.path.dirname(path), make=make, own=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _name(path: str) -> str:
    name = os.path.basename(path)
    if name in ("", ".", ".."):
        raise paths.UnsafePath(path, "names no file")
    return name
