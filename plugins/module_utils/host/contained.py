# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host is a container: the kernel's lines then prefix control groups with the container's own."""

from __future__ import annotations

import os

# PROC_CGROUP_INIT_INO of the kernel's proc_ns.h: the namespace in which the machine itself was started.
_MACHINES_OWN_NAMESPACE = 0xEFFFFFFB
# Written by systemd (systemd.io/CONTAINER_INTERFACE), podman and Docker, where only root writes.
_MARKS_OF_CONTAINERS = ("/run/systemd/container", "/run/.containerenv", "/.dockerenv")


def in_container() -> bool:
    """Whether this process runs in a container, where the paths of control groups have another root."""
    if any(os.path.exists(mark) for mark in _MARKS_OF_CONTAINERS):
        return True
    try:
        return os.stat("/proc/self/ns/cgroup").st_ino != _MACHINES_OWN_NAMESPACE
    except OSError:
        return False
