# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running another program under a deadline. A program that hangs is killed, or left behind, and reported as hung.

At most the last C(MOST_BYTES) of its output are held at any time: a service's log may have a line of any length.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

from .plain import one_line


@dataclass(frozen=True)
class CommandResult:
    """The result of a command. C(rc) is None where it did not run or did not end; C(problem) then says why.

    C(cut): its output was longer than the limit, which is a problem too; only the ends of the streams are here.
    """

    rc: int | None
    stdout: bytes
    stderr: bytes
    problem: str = ""
    cut: bool = False

    def complaint(self) -> str:
        """Why the command failed, on one line; empty where it succeeded."""
        if self.problem or self.rc == 0:
            return self.problem
        words = one_line(self.stderr.decode("utf-8", "replace"), 300)
        return f"exit status {self.rc}" + (f": {words}" if words else "")


# Called with argv and seconds, returns the result and never raises. Tests pass their own.
Runner = Callable[[Sequence[str], float], CommandResult]

# Settings without which a user's locale, pager or colours would change the output.
_PLAIN = {"LC_ALL": "C", "LANGUAGE": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0", "PAGER": "cat"}
# For each stream. Far above the output of any command that is run here.
MOST_BYTES = 32 * 1024 * 1024
_CHUNK = 65536
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def is_there(program: str) -> bool:
    """Whether run() would find a program, and this user may run it."""
    return shutil.which(program, path=os.environ.get("PATH") or _PATH) is not None


def run(argv: Sequence[str], timeout: float) -> CommandResult:
    """Run a command without a shell and without standard input."""
    environment = {**os.environ, **_PLAIN, "PATH": os.environ.get("PATH") or _PATH}
    try:
        # run_command() of a module has no deadline, and half of our callers are not modules.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return CommandResult(None, b"", b"", f"{argv[0]} cannot be run: {error.strerror}")
    deadline = time.monotonic() + timeout
    said, cut = [bytearray(), bytearray()], False
    try:
        cut = _read_streams(process, said, deadline)
        process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _kill(process)
        return CommandResult(None, bytes(said[0]), b"", f"{argv[0]} did not end within {timeout:g} s")
    problem = f"{argv[0]} said more than {MOST_BYTES} bytes" if cut else ""
    return CommandResult(process.returncode, bytes(said[0]), bytes(said[1]), problem, cut)


def _read_streams(process: subprocess.Popen[bytes], said: Sequence[bytearray], deadline: float) -> bool:
    """Read both streams to their ends and keep the last bytes of each. Returns whether anything was cut off.

    Raises subprocess.TimeoutExpired.
    """
    cut = False
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as pipes:
        for pipe, kept in zip((process.stdout, process.stderr), said):
            if pipe is not None:
                waiting.register(pipes.enter_context(pipe), selectors.EVENT_READ, kept)
        while waiting.get_map():
            remaining = deadline - time.monotonic()
            ready = waiting.select(remaining) if remaining > 0 else []
            if not ready:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _events in ready:
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    waiting.unregister(key.fileobj)
                key.data.extend(chunk)
                if len(key.data) > MOST_BYTES:
                    del key.data[:-MOST_BYTES]
                    cut = True
    return cut


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole session. A process in uninterruptible sleep does not die, and is not waited for."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=1)
    except (OSError, subprocess.TimeoutExpired):
        pass
