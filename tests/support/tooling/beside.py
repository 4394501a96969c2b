# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that only compute, in a second process of the driver, while the first one waits for receivers and hosts.

Integration tests and the lab wait half of their time, and a machine of two cores has nothing else to do then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from tests.support.tooling.report import Report, StepRow
from tests.support.tooling.workplace import CHECKOUT

# Nothing where another process wants it: what the receivers and the lab leave over, and no more.
GIVE_WAY = ("nice", "-n", "19")


def keep(report: Report, file: Path) -> None:
    """Write what was run to a file, for the process that prints the table."""
    kept = {"rows": [asdict(row) for row in report.rows], "tests": report.tests}
    file.write_text(json.dumps(kept), encoding="utf-8")


class Beside:
    """The second process: begun by ``with``, and ended with it if nobody has waited for it."""

    def __init__(self, steps: Sequence[str], folder: Path, command: Sequence[str] = ()) -> None:
        """Prepare to run ``steps``, with what they say and what came of them in files of ``folder``."""
        self._said, self._rows = folder / "said", folder / "rows.json"
        driver = command or (sys.executable, "-m", "tests.support.tooling")
        self._command = [*GIVE_WAY, *driver, "--whole", "--keep", str(self._rows), *steps]

    def __enter__(self) -> Beside:
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                self._command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.ended:
            self._process.terminate()
            self._process.wait()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def join(self, report: Report) -> None:
        """Wait for its end, print all that it said, and add its rows to the table."""
        status = self._process.wait()
        print(self._said.read_text("utf-8", "replace"), end="", flush=True)
        if not self._rows.exists():
            report.rows.append(StepRow("the steps beside", "FAILED", 0, 0, f"their process exited with {status}"))
            report.tests["failed"] += 1
            return
        kept = json.loads(self._rows.read_text("utf-8"))
        report.rows += [StepRow(**row) for row in kept["rows"]]
        report.tests.update(kept["tests"])
