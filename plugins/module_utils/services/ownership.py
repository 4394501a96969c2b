# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a process belongs to a service. Pure.

A name, a user or an open GPU proves nothing, because any process may have them. The control group does, because no
process gets into it by accident; so does a mark in the environment that only we set and that children inherit.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

# Its value is "PATH OF THE PID FILE:PID", which differs for each start.
MARK = "AUTOGLM_SERVICE"

# systemd.special(7): the processes of logged-in users.
_SESSIONS = "user.slice"
# The id of a container, as its runtime calls its group under cgroupfs.
_CONTAINER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Ownership:
    """One of the three is given. unit_group: a control group such as /system.slice/a.service.  container_id: all its
    digits.  mark: the value of MARK."""

    unit_group: str = ""
    container_id: str = ""
    mark: str = ""

    def owns(self, groups: Sequence[str], mark: str = "") -> bool:
        """groups: of the process in systemd's hierarchies.  mark: what its environment has under MARK."""
        if self.mark:
            return mark == self.mark
        return in_container(groups, self.container_id) or in_unit(groups, self.unit_group)


def in_unit(groups: Sequence[str], unit_group: str) -> bool:
    """Whether a process is in the unit's group or below it.

    The whole path is compared: a container may run a unit of the same name, somewhere below another path.
    """
    if not unit_group.startswith("/") or unit_group.count("/") < 2 or unit_group.endswith("/"):
        return False  # the root and a bare slice are not groups of a unit
    return any(group == unit_group or group.startswith(f"{unit_group}/") for group in groups)


def unit_among(path: str, units: Container[str], *, contained: bool = False) -> str | None:
    """The unit, among these, whose control group is this path or encloses it; None where there is none.

    The path comes from the kernel, and the slices of the units are unknown. The whole path decides: below a session, a
    unit or a container, users may name groups freely.  contained: the units run under a container's systemd, so the
    kernel prefixes their groups with the container's group.
    """
    for part in path.split("/")[1:] if path.startswith("/") else ():
        if part in units:
            return part
        if part == _SESSIONS:
            return None
        if not part.endswith(".slice") and (not contained or part.endswith(".service")):
            return None
    return None


def of_a_unit(path: str, *, contained: bool = False) -> bool:
    """Whether a path belongs to a unit or a container, other than the container that this host is."""
    parts = path.split("/")
    if contained:
        return any(part.endswith(".service") for part in parts)
    return any(part.endswith((".service", ".scope")) or _CONTAINER.search(part) for part in parts)


def in_container(groups: Sequence[str], container_id: str) -> bool:
    """Whether a process is in a container's group or below it."""
    components = container_components(container_id)
    return any(components & set(group.split("/")) for group in groups)


def container_components(container_id: str) -> frozenset[str]:
    """The possible names of a container's group: under cgroupfs and systemd, by podman and Docker.

    libpod-conmon-ID is left out: podman keeps the container's monitor there.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", container_id):
        return frozenset()
    names = [f"{runtime}{container_id}" for runtime in ("", "libpod-", "docker-")]
    return frozenset(name + suffix for name in names for suffix in ("", ".scope"))


def group_of_unit(unit: str, slice_name: str) -> str:
    """The control group that systemd gives a unit; a-b.slice lies in a.slice (systemd.slice(5))."""
    stem = slice_name[: -len(".slice")] if slice_name.endswith(".slice") else ""
    if stem in ("", "-"):
        return f"/{unit}"
    words = stem.split("-")
    slices = [f"{'-'.join(words[: count + 1])}.slice" for count in range(len(words))]
    return f"/{'/'.join(slices)}/{unit}"


def systemd_groups(cgroup_text: str) -> tuple[str, ...]:
    """The paths in systemd's own hierarchies: the unified one, and name=systemd of version 1."""
    found = []
    for line in cgroup_text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and (fields[0] == "0" or fields[1] == "name=systemd"):
            found.append(fields[2])
    return tuple(dict.fromkeys(found))


def own_group(cgroup_text: str) -> str | None:
    """The most specific path of a /proc/PID/cgroup: systemd's own, or the memory controller's where there is none."""
    systemds = [group for group in systemd_groups(cgroup_text) if group != "/"]
    if systemds:
        return systemds[0]
    for line in cgroup_text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and "memory" in fields[1].split(","):
            return fields[2]
    return "/" if cgroup_text.strip() else None


def unit_of(groups: Iterable[str]) -> str | None:
    """The innermost service or scope of a process's control groups."""
    for group in groups:
        for part in reversed(group.split("/")):
            if part.endswith((".service", ".scope")):
                return part
    return None
