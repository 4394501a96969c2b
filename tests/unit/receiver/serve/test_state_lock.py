# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that keeps a second receiver off a state directory says who holds it, whoever else has tried."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoglm_recovery.receiver.serve.serve import ServeError, only_receiver


def test_the_lock_keeps_the_number_of_the_process_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "receiver.lock").write_text("99999999\n")  # one that was killed
    with only_receiver(tmp_path):
        for _ in range(2):
            with pytest.raises(ServeError, match=rf"another receiver works on .* \(process {os.getpid()}\)"):
                only_receiver(tmp_path)
            assert (tmp_path / "receiver.lock").read_text() == f"{os.getpid()}\n"
    with only_receiver(tmp_path):
        pass


def test_what_a_killed_receiver_was_starting_keeps_nobody_out(tmp_path: Path) -> None:
    """Between fork and exec a child has the lock too, and its parent may be gone by then."""
    with open(tmp_path / "receiver.lock", "w+", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("99999999\n")  # no process has such a number
        held.flush()
        os.set_inheritable(held.fileno(), True)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    assert child.stdin
    opening = subprocess.Popen(
        [sys.executable, "-c", _OPEN, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert opening.stdout
    assert opening.stdout.readline() == "tries\n"
    child.communicate(b"\n")
    told, said = opening.communicate()
    assert (opening.returncode, told) == (0, "holds\n"), said


_OPEN = """
import sys
from pathlib import Path
from autoglm_recovery.receiver.serve import serve
serve._LEFT_BEHIND_S = 300
print("tries", flush=True)
with serve.only_receiver(Path(sys.argv[1])):
    print("holds")
"""
