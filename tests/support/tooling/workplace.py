# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the checks run: the checkout, an environment made of it, and programs started with nothing else around."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


class StepFailedError(Exception):
    """A check did not pass; the message is one line, the reasons were printed when they appeared."""


@dataclass(frozen=True)
class Workplace:
    """A virtual environment of this checkout, and the name by which the report calls it."""

    name: str
    venv: Path

    @property
    def python(self) -> str:
        return str(self.venv / "bin/python")

    def program(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    def environment(self, **more: str) -> dict[str, str]:
        """Variables for what is started: this environment's programs come first, as if it were activated."""
        inherited = {
            key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
        }
        path = os.pathsep.join([str(self.venv / "bin"), os.environ.get("PATH", os.defpath)])
        return {**inherited, "PATH": path, "VIRTUAL_ENV": str(self.venv), **more}

    def run(self, *command: str, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None) -> None:
        """Start a program and show what it says."""
        status = subprocess.run(
            command, cwd=cwd, env=env or self.environment(), stdin=subprocess.DEVNULL, check=False
        ).returncode
        if status != 0:
            raise StepFailedError(f"{Path(command[0]).name} exited with {status}")

    def ask(
        self, *command: str, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Start a program and return how it ended and all that it said, in the order in which it said it."""
        return subprocess.run(
            command,
            cwd=cwd,
            env=env or self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def run_logged(self, *command: str, log: Path, show: re.Pattern[str], cwd: Path, env: Mapping[str, str]) -> None:
        """Start a program that says too much: show the lines that matter, and keep all of them in a file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("w", encoding="utf-8") as everything,
            subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            for line in process.stdout or ():
                everything.write(line)
                if show.search(line):
                    print(line, end="", flush=True)
        if process.returncode != 0:
            where = log.relative_to(CHECKOUT)
            raise StepFailedError(f"{Path(command[0]).name} exited with {process.returncode}; all it said: {where}")

    def read(self, *command: str, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None) -> str:
        """Start a program and return what it prints; when it fails, show it."""
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env or self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            print(done.stdout + done.stderr, flush=True)
            raise StepFailedError(f"{' '.join(command[:3])} ... exited with {done.returncode}")
        return done.stdout
