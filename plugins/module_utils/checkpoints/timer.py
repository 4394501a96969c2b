# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Periodic saves: a systemd timer, a hardened service, a program and its parameters, all of them plain files.

The program is a zip of the modules that this process has loaded from our own package, so a target needs nothing but the
Python that Ansible uses there. The parameters, which include keys, are in a file that only root can read, and never on
a command line.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from . import scheduled

PROGRAM = "/usr/local/lib/autoglm/checkpoint.pyz"
PARAMETERS = "/etc/autoglm/checkpoints"
UNITS = "/etc/systemd/system"
_PACKAGE = __name__.rpartition(".")[0].rpartition(".")[0]
# Importing "scheduled" loads all modules that the program needs, which is how program() finds them.
_MAIN = f"""import sys

from autoglm_knowledge{scheduled.__name__[len(_PACKAGE) :]} import main

sys.exit(main(sys.argv[1:]))
"""
_CALENDAR = re.compile(r"[A-Za-z0-9][A-Za-z0-9 *:,./~_+-]*\Z|\*[A-Za-z0-9 *:,./~_+-]*\Z")
_INTERVAL = re.compile(r"\d+ ?(?:s|sec|m|min|h|hr|d|day|w)?(?: ?\d+ ?(?:s|sec|m|min|h|hr|d|day|w))*\Z")


@dataclass(frozen=True)
class Schedule:
    """When a save runs, its time limit, and where the service may write. Has either a calendar or an interval."""

    name: str
    calendar: str | None
    interval: str | None
    delay: str
    timeout: int
    writes: Sequence[str]
    python: str
    hook: bool


@dataclass(frozen=True)
class File:
    """A file that belongs to a schedule. secret: a diff must not show its text."""

    path: str
    content: bytes
    mode: int
    secret: bool = False


def unit(name: str) -> str:
    """The timer's and the service's name, without a suffix."""
    return f"autoglm-checkpoint-{name}"


def check(schedule: Schedule) -> None:
    """Check a schedule. Raises ValueError."""
    if (schedule.calendar is None) == (schedule.interval is None):
        raise ValueError("schedule needs one of calendar and interval")
    if schedule.calendar is not None and not _CALENDAR.match(schedule.calendar):
        raise ValueError(f"calendar {schedule.calendar[:80]!r} is no calendar event of systemd, such as '*-*-* 03:00'")
    for name, text in (("interval", schedule.interval), ("randomized_delay", schedule.delay)):
        if text is not None and not _INTERVAL.match(text):
            raise ValueError(f"{name} {text[:80]!r} is no time span of systemd, such as '30min'")
    for path in (*schedule.writes, schedule.python):
        if not PurePosixPath(path).is_absolute() or not path.isprintable() or set('"$\\') & set(path):
            raise ValueError(f"{path[:120]!r} is not an absolute path that a unit can name")


def files(schedule: Schedule, params: Mapping[str, Any]) -> list[File]:
    """Every file of a schedule. Raises ValueError."""
    check(schedule)
    name = unit(schedule.name)
    parameters = json.dumps(params, indent=2, sort_keys=True).encode() + b"\n"
    return [
        File(PROGRAM, program(), 0o755),
        File(f"{PARAMETERS}/{schedule.name}.json", parameters, 0o600, secret=True),
        File(f"{UNITS}/{name}.service", _service_unit(schedule).encode(), 0o644),
        File(f"{UNITS}/{name}.timer", _timer_unit(schedule).encode(), 0o644),
    ]


def removable(name: str) -> list[str]:
    """The files to remove with a schedule. The program stays, because other schedules share it."""
    return [f"{UNITS}/{unit(name)}.timer", f"{UNITS}/{unit(name)}.service", f"{PARAMETERS}/{name}.json"]


def program() -> bytes:
    """The zip, reproducible byte by byte."""
    sources = {"__main__.py": _MAIN, "autoglm_knowledge/__init__.py": ""}
    for name in sorted(sys.modules):
        if not name.startswith(_PACKAGE + "."):
            continue
        inside = name[len(_PACKAGE) + 1 :]
        module = sys.modules[name]
        path = inside.replace(".", "/") + ("/__init__.py" if hasattr(module, "__path__") else ".py")
        sources[f"autoglm_knowledge/{path}"] = _module_source(module)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(sources):
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), sources[path])
    return out.getvalue()


def _module_source(module: Any) -> str:
    loader = module.__spec__.loader
    return str(loader.get_source(module.__name__) or "")


def _service_unit(schedule: Schedule) -> str:
    """The service unit: root with no more rights than it needs to read a trainer's files and signal it."""
    lines = [
        "[Unit]",
        f"Description=Save a checkpoint of {schedule.name} (autoglm.recovery)",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={_quote_path(schedule.python)} -I {PROGRAM} {PARAMETERS}/{schedule.name}.json",
        f"TimeoutStartSec={schedule.timeout}",
        "Nice=10",
        "IOSchedulingClass=idle",
        "UMask=0077",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        *(f"ReadWritePaths={_quote_path(path)}" for path in schedule.writes),
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
    ]
    if not schedule.hook:
        # The operator's command may need a GPU; our own code does not.
        lines += [
            "PrivateDevices=yes",
            "ProtectHome=read-only",
            "RestrictNamespaces=yes",
            "CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_KILL CAP_CHOWN CAP_FOWNER",
            "ProtectKernelLogs=yes",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "SystemCallFilter=@system-service",
            "SystemCallErrorNumber=EPERM",
        ]
    return "\n".join(lines) + "\n"


def _timer_unit(schedule: Schedule) -> str:
    if schedule.calendar is not None:
        when = [f"OnCalendar={schedule.calendar}", "Persistent=yes"]
    else:
        when = [f"OnActiveSec={schedule.interval}", f"OnUnitInactiveSec={schedule.interval}"]
    lines = [
        "[Unit]",
        f"Description=Save checkpoints of {schedule.name} (autoglm.recovery)",
        "",
        "[Timer]",
        *when,
        f"RandomizedDelaySec={schedule.delay}",
        "AccuracySec=1s",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def _quote_path(path: str) -> str:
    """A path quoted for a unit file, with percent signs escaped."""
    return '"' + path.replace("%", "%%") + '"'
