# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program nvidia-smi that resets the GPUs of a fake library, or does not, as a test says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.support.fake_nvml.driver import FakeNvml

PROGRAM = Path(__file__).with_name("nvidia_smi.py")
# repairs; in_use and not_supported: refused; not_back: reset, and the first GPU is not listed any more; still_pending:
# rows still wait; forgets_power: the limit that somebody had set is gone; hangs: deaf to all signals but SIGKILL.
PLAYS = ("repairs", "in_use", "not_supported", "not_back", "still_pending", "forgets_power", "hangs")


class FakeSmi:
    """``folder/nvidia-smi``, which a reader finds by its path, or by PATH."""

    def __init__(self, folder: Path, fake: FakeNvml) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.program, self._settings, self._log = folder / "nvidia-smi", folder / "settings.json", folder / "smi.log"
        self._state = fake.state_file
        self.plays("repairs")
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -I {PROGRAM} {self._settings} "$@"\n', "utf-8")
        self.program.chmod(0o755)

    def plays(self, play: str) -> None:
        """What a reset does from now on: one of PLAYS."""
        if play not in PLAYS:
            raise ValueError(f"{play} is none of {', '.join(PLAYS)}")
        told = {"state": str(self._state), "log": str(self._log), "play": play}
        self._settings.write_text(json.dumps(told), "utf-8")

    @property
    def orders(self) -> list[str]:
        """The arguments of each call so far."""
        return self._log.read_text("utf-8").splitlines() if self._log.exists() else []
