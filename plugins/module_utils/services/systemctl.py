# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The properties of a systemd unit, dead or alive, by C(systemctl show)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..host.command import Runner
from ..host.numbers import whole_number
from ..host.unread import Unread
from .protocol import ProcessEnd

_UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*\Z")
_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".target", ".mount", ".timer", ".path")
# CLD_EXITED; CLD_KILLED and CLD_DUMPED, as ExecMainCode tells them.
_EXITED, _KILLED = "1", ("2", "3")


def unit_name(name: str) -> str:
    """The full name of a unit, with C(.service) where no type is given. Raises ValueError for an invalid name."""
    if not _UNIT.match(name) or len(name) > 255:
        raise ValueError(f"{name!r} is not the name of a systemd unit")
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def show(unit: str, run: Runner, timeout: float) -> dict[str, str]:
    """Every property of a unit. Raises Unread."""
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
    return whole_number(properties.get("MainPID")) or None


def last_end(properties: Mapping[str, str]) -> ProcessEnd:
    """How the last main process ended. Its text is empty when systemd does not say."""
    code, status = properties.get("ExecMainCode", ""), properties.get("ExecMainStatus", "")
    number = whole_number(status)
    exited, killed = code == _EXITED, code in _KILLED
    text = f"its main process exited with status {status}" if exited else ""
    if killed:
        text = f"its main process was ended by signal {status}"
    result = properties.get("Result", "")
    return ProcessEnd(
        text=text,
        clean=result == "success" if result else None,
        exit_code=number if exited else None,
        signal=number if killed else None,
        out_of_memory="systemd reports Result=oom-kill" if result == "oom-kill" else "",
        pid=whole_number(properties.get("ExecMainPID")) or None,
        at=_to_seconds(properties.get("ExecMainExitTimestampMonotonic", "")),
        unit=properties.get("Id", ""),
        programs=program_names(properties),
    )


def started_at(properties: Mapping[str, str]) -> float | None:
    """When the main process began, in seconds of the monotonic clock."""
    return _to_seconds(properties.get("ExecMainStartTimestampMonotonic", ""))


def program_names(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The names under which the kernel may mention the unit's programs: the first 15 characters of the file names."""
    paths = re.findall(r"path=(\S+)", properties.get("ExecStart", ""))
    return tuple(dict.fromkeys(path.rsplit("/", 1)[-1][:15] for path in paths))


def _to_seconds(microseconds: str) -> float | None:
    number = whole_number(microseconds)
    return number / 1e6 if number else None
