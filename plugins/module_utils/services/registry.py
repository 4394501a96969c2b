# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of service, and how the options of a module choose one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .containers import RUNTIMES, Container
from .pid_file import PidFileService
from .protocol import Service
from .spawn import SpawnCommand
from .systemd import Unit

# The options that name the service; exactly one is given.
NAMES = ("unit", "container", "pid_file")
# Options that only a service with a C(pid_file) has.
WITH_PID_FILE = ("start_command", "log_file", "user", "working_dir", "environment")


def argument_spec() -> dict[str, Any]:
    """The options of the documentation fragment C(service)."""
    return {
        "unit": {"type": "str"},
        "container": {"type": "str"},
        "container_runtime": {"type": "str", "choices": sorted(RUNTIMES), "default": "podman"},
        "pid_file": {"type": "path"},
        "start_command": {"type": "list", "elements": "str"},
        "log_file": {"type": "path"},
    }


def start_argument_spec() -> dict[str, Any]:
    """The options of the documentation fragment C(service.start)."""
    return {"user": {"type": "str"}, "working_dir": {"type": "path"}, "environment": {"type": "dict"}}


def open_service(params: Mapping[str, Any], timeout: float) -> Service | None:
    """The service that the options name, None where they name none. Reads nothing yet. Raises ValueError.

    timeout: seconds for each command and each file that may block.
    """
    named = [name for name in NAMES if params.get(name) is not None]
    if len(named) > 1:
        raise ValueError(f"a service is one of {', '.join(NAMES)}, not {' and '.join(named)}")
    if not 0 < timeout < float("inf"):
        raise ValueError("a timeout must be a number of seconds above 0")
    if params.get("pid_file") is None:
        for option in WITH_PID_FILE:
            if params.get(option):
                raise ValueError(f"{option} belongs to a service with a pid_file")
    if params.get("unit") is not None:
        return Unit(params["unit"], timeout)
    if params.get("container") is not None:
        return Container(params["container"], params.get("container_runtime") or "podman", timeout)
    if params.get("pid_file") is not None:
        return PidFileService(params["pid_file"], _spawn_command(params), timeout)
    return None


def require_service(params: Mapping[str, Any], timeout: float) -> Service:
    """As open_service(), but the options must name a service."""
    service = open_service(params, timeout)
    if service is None:
        raise ValueError(f"a service is needed: one of {', '.join(NAMES)}")
    return service


def _spawn_command(params: Mapping[str, Any]) -> SpawnCommand:
    environment = params.get("environment") or {}
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name or "\0" in str(value):
            raise ValueError(f"{name!r} cannot be the name of a variable of the environment")
    words = tuple(params.get("start_command") or ())
    if any("\0" in word for word in words):
        raise ValueError("start_command holds a NUL character")
    return SpawnCommand(
        argv=words,
        user=params.get("user"),
        working_dir=params.get("working_dir") or "/",
        environment={name: str(value) for name, value in environment.items()},
        log_file=params.get("log_file"),
    )
