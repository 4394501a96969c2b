# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd knows about a unit, dead or alive, by C(systemctl show)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .command import Runner

_UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*\Z")
_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".target", ".mount", ".timer", ".path")
_SIGKILL = "9"
_EXITED, _KILLED = "1", "2"  # CLD_EXITED and CLD_KILLED, as ExecMainCode tells them


class Unread(Exception):
    """Something could not be read; the text says what and why."""


def unit_name(name: str) -> str:
    """The full name of a unit, with C(.service) where no type is given. Raises ValueError for what is no name."""
    if not _UNIT.match(name) or len(name) > 255:
        raise ValueError(f"{name!r} is not the name of a systemd unit")
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def show(unit: str, run: Runner, timeout: float) -> dict[str, str]:
    """Every property of a unit, as systemd tells it. Raises Unread."""
    outcome = run(["systemctl", "show", "--no-pager", "--", unit], timeout)
    if outcome.complaint():
        raise Unread(f"systemctl show {unit}: {outcome.complaint()}")
    properties = parse_show(outcome.stdout.decode("utf-8", "replace"))
    if "ActiveState" not in properties:
        raise Unread(f"systemctl show {unit}: the answer has no ActiveState")
    return properties


def parse_show(text: str) -> dict[str, str]:
    """C(Key=value) lines. Where a key is repeated (ExecStart of a list) the values are joined by newlines."""
    properties: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            properties[key] = f"{properties[key]}\n{value}" if key in properties else value
    return properties


def main_pid(properties: Mapping[str, str]) -> int | None:
    """The main process that runs now, or None."""
    pid = properties.get("MainPID", "")
    return int(pid) if pid.isdigit() and int(pid) > 0 else None


def died_by_sigkill(properties: Mapping[str, str]) -> bool:
    """Did the last main process end by signal 9, or with the 137 by which a wrapper reports the same?"""
    code, status = properties.get("ExecMainCode"), properties.get("ExecMainStatus")
    return (code, status) in ((_KILLED, _SIGKILL), (_EXITED, "137"))


def last_end(properties: Mapping[str, str]) -> str:
    """How the last main process ended, for people; empty when systemd does not say."""
    code, status = properties.get("ExecMainCode", ""), properties.get("ExecMainStatus", "")
    if code == _EXITED:
        return f"its main process exited with status {status}"
    return f"its main process was ended by signal {status}" if code in (_KILLED, "3") else ""


def program_names(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The names under which the kernel may mention the unit's programs: the first 15 characters of the file names."""
    paths = re.findall(r"path=(\S+)", properties.get("ExecStart", ""))
    return tuple(dict.fromkeys(path.rsplit("/", 1)[-1][:15] for path in paths))
