# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limit the inference server's memory so that the kernel, and nobody else, kills it when it grows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .places import NAME

# An idle server of model.Shape needs about 60 MiB, ordinary traffic adds next to nothing, one long
# prompt adds more than 130 MiB.
LIMIT_MIB = 160
UNIT = "llama-server.service"
WRAPPER = "/usr/local/sbin/in-memory-group"
HIERARCHY = "/run/memory-groups"  # where the wrapper mounts that of cgroup v1
GROUP_UNIT = "memory-group.service"


@dataclass(frozen=True)
class MemoryLimit:
    """How a service is told on this kind of machine, and how to tell people."""

    said: str
    service: dict[str, object]  # keys of the role inference_service
    group_unit: str = ""  # a unit that has to be there before the service's


def for_host(host: str) -> MemoryLimit:
    """Choose the way that works on this machine."""
    if unified_has_memory():
        told: dict[str, object] = {"prefix": [], "read_write_paths": [], "memory_max": f"{LIMIT_MIB}M"}
        return MemoryLimit(f"MemoryMax={LIMIT_MIB}M in the unit (cgroup v2)", told)
    return MemoryLimit(
        f"memory.limit_in_bytes={LIMIT_MIB}M of a group that each start of the unit joins (cgroup v1)",
        {"prefix": [WRAPPER, "run", group(host)], "read_write_paths": [HIERARCHY], "memory_max": ""},
        f"[Unit]\nBefore={UNIT}\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart={WRAPPER} make {group(host)} {LIMIT_MIB * 1024 * 1024}\n",
    )


def unified_has_memory() -> bool:
    """Say whether the memory controller is in the unified hierarchy."""
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    return controllers.exists() and "memory" in controllers.read_text(encoding="utf-8").split()


def group(host: str) -> str:
    """Name a host's group; unique on the machine, since cgroup v1 shows every container the whole tree."""
    return f"{NAME}/{host}/{UNIT}"


def remove_groups() -> None:
    """Remove the emptied groups of cgroup v1, innermost first."""
    for mount in _v1_mounts():
        tree = mount / NAME
        for folder in sorted((tree, *tree.rglob("*")), key=lambda path: len(path.parts), reverse=True):
            if folder.is_dir():
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _v1_mounts() -> Iterator[Path]:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, where, kind, options = line.split()[:4]
        if kind == "cgroup" and "memory" in options.split(","):
            yield Path(where)
