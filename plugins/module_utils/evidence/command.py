# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running another program under a deadline. One that hangs is killed, or left behind, and said to have hung."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Outcome:
    """What came of a command. C(rc) is None when it did not run or did not end; C(problem) then says why."""

    rc: int | None
    stdout: bytes
    stderr: bytes
    problem: str = ""

    def complaint(self) -> str:
        """Why this outcome is of no use, on one line; empty when the command succeeded."""
        if self.problem or self.rc == 0:
            return self.problem
        words = " ".join(self.stderr.decode("utf-8", "replace").split())
        return f"exit status {self.rc}" + (f": {words[:300]}" if words else "")


# argv and seconds in, outcome out; never raises.  Tests give their own.
Runner = Callable[[Sequence[str], float], Outcome]

# Output that a person's locale, pager or colours would change cannot be read by a program.
_PLAIN = {"LC_ALL": "C", "LANGUAGE": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0", "PAGER": "cat"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(argv: Sequence[str], timeout: float) -> Outcome:
    """Run a command without a shell and without standard input."""
    environment = {**os.environ, **_PLAIN, "PATH": os.environ.get("PATH") or _PATH}
    try:
        # run_command() of a module has no deadline, and half of our callers are no modules.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return Outcome(None, b"", b"", f"{argv[0]} cannot be run: {error.strerror}")
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as expired:
        _kill(process)
        return Outcome(None, expired.stdout or b"", b"", f"{argv[0]} did not end within {timeout:g} s")
    return Outcome(process.returncode, stdout, stderr)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole session. A process in uninterruptible sleep does not die, and is not waited for."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=1)
    except (OSError, subprocess.TimeoutExpired):
        pass
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
