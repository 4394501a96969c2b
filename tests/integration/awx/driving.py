# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A launcher, a fake AWX, and the receiver's database in four lines."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings, Template
from autoglm_recovery.receiver.runs.protocol import RunRecord, RunReport, RunSpec, RunStatus

DEADLINE_S = 180.0
GOOD_TOKEN = "a-token"
RUN = RunRecord(7, 3, "node-a", "restart_process", 1, 11, Path("/nowhere"), 1.0)


_TOKENS = tempfile.TemporaryDirectory(prefix="autoglm-awx-tokens-")


def settings(
    url: str, *, token: str = GOOD_TOKEN, templates: Mapping[str, Template] | None = None, **changes: Any
) -> AwxSettings:
    """Return settings that poll without a pause.  ``templates``: those that are not named ``autoglm ACTION``."""
    file = Path(_TOKENS.name) / token
    file.write_text(token)
    quick = AwxSettings(
        url,
        file,
        lambda action: (templates or {}).get(action) or Template(f"autoglm {action}"),
        poll_every_s=0.0,
        call_timeout_s=60.0,
        look_timeout_s=60.0,
        settle_s=1.0,
    )
    return replace(quick, **changes)


def order(host: str = "node-a", timeout_s: float = 60.0, **variables: Any) -> RunSpec:
    """Return what is to be run."""
    given = {"autoglm_incident": {"id": 3, "reason": "{{ 1 + 1 }}"}, "autoglm_target": {"host": host}} | variables
    return RunSpec("restart_process", host, Path("/inventory"), timeout_s, given)


def awaited(seen: Callable[[], bool]) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if seen():
            return
        time.sleep(0.02)
    raise AssertionError(f"not seen in {DEADLINE_S} s")


@dataclass
class Kept:
    """What the receiver's database keeps of a run; a launcher that writes nothing down is a launcher without it."""

    run: RunRecord = RUN
    lines: list[str] = field(default_factory=list)
    looks: list[RunReport] = field(default_factory=list)

    def look(self, launcher: AwxLauncher, wanted: RunSpec | None = None) -> RunReport:
        """Look once, and keep what was seen."""
        look = launcher.look(self.run, lambda: wanted or order())
        self.looks.append(look)
        self.lines += [str(line["text"]) for line in look.lines]
        self.run = replace(self.run, reference=look.reference or self.run.reference, cursor=look.cursor)
        return look

    def until(
        self, launcher: AwxLauncher, seen: Callable[[RunReport], bool], wanted: RunSpec | None = None
    ) -> RunReport:
        """Look until something is seen."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            look = self.look(launcher, wanted)
            if seen(look):
                return look
            time.sleep(0.02)
        raise AssertionError(f"not seen in {DEADLINE_S} s; the last look was {self.looks[-1]}")

    def launched(self, launcher: AwxLauncher, wanted: RunSpec | None = None) -> RunReport:
        """Look until there is a job."""
        return self.until(launcher, lambda look: (look.reference or "").partition(":")[0].endswith("job"), wanted)

    def ended(self, launcher: AwxLauncher, wanted: RunSpec | None = None) -> RunReport:
        """Look until the run has ended."""
        return self.until(launcher, lambda look: look.status is RunStatus.ended, wanted)
