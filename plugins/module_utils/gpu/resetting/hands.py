# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reset does and looks at on a host, one order each. Every command has a deadline."""

from __future__ import annotations

import syslog
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Callable

from ...host import command
from ...host.command import Runner
from ...host.plain import one_line
from ...host.unread import Unread
from ..examine import ExamineOptions, examine
from ..judging.holders import listed
from ..reading.modes import MODES
from ..reading.presence import Roots
from . import smi
from .owners import Owners, read_owners
from .plan import Refused

_UNIT_SECONDS = 90.0  # systemd's own default until it kills


class Hung(Exception):
    """An order to the driver did not come back. The text says which."""


class Undone(Exception):
    """An order was refused, and nothing changed by it. The text says which, and why."""


@dataclass(frozen=True)
class Hands:
    """looking: how GPUs are read.  services: C({name, unit | container | pid_file ...}) of this host.

    program: nvidia-smi.  seconds: for each order to it.
    """

    looking: ExamineOptions
    services: tuple[Mapping[str, Any], ...] = ()
    program: str = "nvidia-smi"
    seconds: float = 120.0
    roots: Roots = Roots()  # noqa: RUF009  # frozen
    run: Runner = command.run
    pause: Callable[[float], None] = time.sleep

    def look(self) -> tuple[dict[str, Any], Owners]:
        """How the GPUs are, and whose the processes on them. Raises Refused, and ValueError for impossible options."""
        timeout = self.looking.command_timeout
        try:
            examined = examine(replace(self.looking, also=(MODES,)), self.roots, self.run)
            pids = sorted({pid for gpu in examined["snapshot"]["gpus"] for pid in listed(gpu)})
            return examined, read_owners(pids, self.services, self.run, timeout, self.roots.proc)
        except (Unread, OSError) as error:
            raise Refused(f"the host could not be looked at: {error}.") from error

    def look_until_back(self, uuids: Sequence[str], seconds: float) -> dict[str, Any]:
        """How the GPUs are once all of these answer, or the time is over. Empty where nothing can be looked at."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                examined, _owners = self.look()
            except Refused:
                examined = {"snapshot": {"gpus": []}}
            if not missing(examined, uuids) or time.monotonic() >= deadline:
                return examined
            self.pause(2.0)

    def set_persistence(self, uuid: str, on: bool) -> None:
        self._order(smi.persistence(self.program, uuid, on))

    def set_power_limit(self, uuid: str, milliwatts: int) -> None:
        self._order(smi.power_limit(self.program, uuid, milliwatts))

    def reset(self, uuids: Sequence[str], addresses: Sequence[str]) -> smi.ResetAnswer:
        return smi.read_answer(self.run(smi.reset(self.program, uuids), self.seconds), addresses)

    def stop_unit(self, unit: str) -> None:
        self._systemctl("stop", unit)

    def start_unit(self, unit: str) -> None:
        self._systemctl("start", unit)

    def _order(self, argv: Sequence[str]) -> None:
        result = self.run(argv, self.seconds)
        if result.rc is None:
            raise Hung(result.problem)
        if result.rc != 0:
            said = one_line((result.stdout + b" " + result.stderr).decode("utf-8", "replace"), 300)
            raise Undone(f"{' '.join(argv)} ended with {result.rc}: {said}")

    def _systemctl(self, verb: str, unit: str) -> None:
        complaint = self.run(["systemctl", verb, "--", unit], _UNIT_SECONDS).complaint()
        if complaint:
            raise Undone(f"systemctl {verb} {unit}: {complaint}")


def missing(examined: Mapping[str, Any], uuids: Sequence[str]) -> list[str]:
    """Those of the GPUs that do not answer."""
    there = {one["values"].get("uuid") for one in examined["snapshot"]["gpus"] if one["state"] == "read"}
    return [uuid for uuid in uuids if uuid not in there]


def tell_log(words: str) -> None:
    """A line of the system's log: the kernel's has none of a reset, and other monitors close their faults by it."""
    syslog.openlog("autoglm", 0, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, one_line(words, 800))
    syslog.closelog()
