# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note on a host of what a reset has stopped and switched off. It outlives the run, so that the next one finds it.

It is one file that is root's, like the notes on what was taken out of traffic.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...host import note_file
from .owners import AGENT_UNITS

PATH = "/var/lib/autoglm/gpu-reset/note.json"
PREPARED, RESETTING, HUNG = "prepared", "resetting", "hung"


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
    text = note_file.read(path)
    return None if text is None else _parse(text)


def write(path: str, note: Note) -> None:
    """Write or replace it as a whole. Raises OSError."""
    note_file.write(path, json.dumps(asdict(note)) + "\n")


def remove(path: str) -> None:
    """Raises OSError."""
    note_file.remove(path)


def _parse(content: str) -> Note:
    told: Any = json.loads(content)
    if not isinstance(told, dict):
        raise TypeError("it is no object")
    lists = ("gpus", "persistence", "agents", "services")
    values: dict[str, Any] = {name: tuple(str(one) for one in told.get(name) or ()) for name in lists}
    values["agents"] = tuple(unit for unit in values["agents"] if unit in AGENT_UNITS)
    power = {str(uuid): int(limit) for uuid, limit in dict(told.get("power") or {}).items()}
    return Note(step=str(told.get("step")), boot=str(told.get("boot")), power=power, **values)
