# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trainer's own command that writes a checkpoint into a directory it is given. A list of words, never a shell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..evidence.command import Runner, run
from .problems import CheckpointError

VARIABLE = "AUTOGLM_CHECKPOINT_DIR"
PLACEHOLDER = "{directory}"


def write(argv: Sequence[str], directory: Path, timeout: float, runner: Runner = run) -> None:
    """Run the command. Raises CheckpointError unless it exits 0 in time and has left at least one file.

    The directory takes the place of C({directory}) in any word, and is in the environment.  Its group of processes is
    killed when the time is over.
    """
    words = [word.replace(PLACEHOLDER, str(directory)) for word in argv]
    outcome = runner(["env", f"{VARIABLE}={directory}", *words], timeout)
    complaint = outcome.complaint().replace("env did not end", "it did not end")
    if complaint:
        raise CheckpointError(f"command {argv[0]}: {complaint}")
    if not any(files for _directory, _names, files in os.walk(directory)):
        raise CheckpointError(f"command {argv[0]}: exited with 0 and wrote nothing into its directory")
