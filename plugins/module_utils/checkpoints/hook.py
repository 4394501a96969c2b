# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's command that writes a checkpoint into a given directory. A list of words, never a shell."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..host import paths
from ..host.command import Runner, run
from ..host.walking import walk
from .problems import CheckpointError

VARIABLE = "AUTOGLM_CHECKPOINT_DIR"
PLACEHOLDER = "{directory}"


@dataclass(frozen=True)
class HookWorkspace:
    """The directory that a command writes to.

    inside: through our descriptor.  given: the path that the command gets, which is the plain one unless other users
    could replace the directory.  shown: the path for messages.
    """

    inside: Path
    given: Path
    shown: str


@contextlib.contextmanager
def workplace(parent: Path) -> Iterator[HookWorkspace]:
    """A private directory for a command, removed at the end. Raises CheckpointError."""
    name = f"autoglm-checkpoint-{secrets.token_hex(6)}"
    with contextlib.ExitStack() as opened:
        try:
            around = paths.open_directory(os.path.abspath(parent))
            opened.callback(os.close, around)
            own = paths.make_directory(around, name, str(parent / name))
            opened.callback(os.close, own)
            opened.callback(_remove_workspace, own, around, name)
            os.mkdir("files", 0o700, dir_fd=own)
        except OSError as error:
            raise CheckpointError(f"workdir {parent}: {error.strerror}") from error
        path = Path(os.path.abspath(parent)) / name / "files"
        given = path if _is_own(path) else Path(f"/proc/{os.getpid()}/fd/{own}/files")
        yield HookWorkspace(Path(f"/proc/self/fd/{own}/files"), given, str(path))


def _is_own(path: Path) -> bool:
    try:
        paths.check_own(str(path))
    except OSError:
        return False
    return True


def _remove_workspace(own: int, around: int, name: str) -> None:
    with contextlib.suppress(OSError):
        paths.remove_open(own, around, name)


def write(argv: Sequence[str], directory: Path, timeout: float, runner: Runner = run) -> None:
    """Run the command. Raises CheckpointError unless it exits 0 in time and has left at least one file.

    The directory replaces C({directory}) in any word, and is in the environment. The command's process group is killed
    at the time-out.
    """
    words = [word.replace(PLACEHOLDER, str(directory)) for word in argv]
    outcome = runner(["env", f"{VARIABLE}={directory}", *words], timeout)
    complaint = outcome.complaint().replace("env did not end", "it did not end")
    if complaint:
        raise CheckpointError(f"command {argv[0]}: {complaint}")
    if not any(files for _directory, _names, files in walk(directory)):
        raise CheckpointError(f"command {argv[0]}: exited with 0 and wrote nothing into its directory")
