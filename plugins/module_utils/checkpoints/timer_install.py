# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing and removing the files of a schedule. A file that is already as it should be is not touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..host import whole_file
from ..host.command import run
from .problems import CheckpointError
from .timer import File, removable, unit

_SECONDS = 30.0


@dataclass
class Change:
    """What was done, or would be in check mode. before and after: texts for a diff, without secrets."""

    changed: bool = False
    before: str = ""
    after: str = ""
    paths: list[str] = field(default_factory=list)


def install(name: str, wanted: Sequence[File], check_mode: bool) -> Change:
    """Write the files that differ and start the timer. Raises CheckpointError."""
    change = Change()
    for file in wanted:
        _note_difference(file, change)
    enabled = _ask_systemctl("is-enabled", name) and _ask_systemctl("is-active", name)
    change.changed = change.changed or not enabled
    if not change.changed or check_mode:
        return change
    for file in wanted:
        _write_file(file)
    _run_systemctl("daemon-reload")
    # A running timer would keep its old schedule.
    _run_systemctl("enable", f"{unit(name)}.timer")
    _run_systemctl("restart", f"{unit(name)}.timer")
    return change


def uninstall(name: str, check_mode: bool) -> Change:
    """Stop the timer and a save that it may have started, and remove the files of this schedule.

    Raises CheckpointError.
    """
    there = [path for path in removable(name) if os.path.lexists(path)]
    change = Change(bool(there), "".join(f"{path}\n" for path in there), "", there)
    if not there or check_mode:
        return change
    # If a unit file is missing, systemd refuses to disable that timer or to stop that service. But a timer that runs
    # without its file can be stopped.
    for kind, words in (("timer", ("disable", "--now")), ("service", ("stop",))):
        if any(path.endswith(f"{unit(name)}.{kind}") for path in there):
            # Without its program the save would fail, and systemd would show a failed unit that no longer exists.
            _run_systemctl(*words, f"{unit(name)}.{kind}")
        else:
            run(["systemctl", "stop", f"{unit(name)}.{kind}"], _SECONDS)
    for path in there:
        os.unlink(path)
    _run_systemctl("daemon-reload")
    # systemctl reports an error for a unit that it has forgotten already.
    run(["systemctl", "reset-failed", f"{unit(name)}.service"], _SECONDS)
    return change


def check_calendar(calendar: str) -> None:
    """Have systemd parse a calendar event, where systemd is installed. Raises ValueError."""
    outcome = run(["systemd-analyze", "calendar", "--", calendar], _SECONDS)
    if outcome.rc not in (0, None):
        raise ValueError(f"calendar {calendar[:80]!r} is not understood by systemd: {outcome.complaint()}")


def _note_difference(file: File, change: Change) -> None:
    current = _read_file(Path(file.path))
    same = current is not None and current == (file.content, file.mode)
    change.paths.append(file.path)
    if same:
        return
    change.changed = True
    change.before += _shown_text(file, None if current is None else current[0])
    change.after += _shown_text(file, file.content)


def _shown_text(file: File, content: bytes | None) -> str:
    if content is None:
        return ""
    if file.secret or file.path.endswith(".pyz"):
        what = "parameters, which may hold keys" if file.secret else f"program of {len(content)} bytes"
        return f"# {file.path}\n({what})\n"
    return f"# {file.path}\n{content.decode('utf-8', 'replace')}"


def _read_file(path: Path) -> tuple[bytes, int] | None:
    try:
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _write_file(file: File) -> None:
    path = Path(file.path)
    try:
        _make_directory(path.parent, 0o700 if file.secret else 0o755)
        whole_file.write(path, file.content, file.mode)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror}") from error


def _make_directory(path: Path, mode: int) -> None:
    """Create a directory and its parents, whatever the umask is. C(mode) is for the innermost alone."""
    if path.is_dir():
        return
    _make_directory(path.parent, 0o755)
    path.mkdir(mode=0o700)
    path.chmod(mode)


def _ask_systemctl(question: str, name: str) -> bool:
    return run(["systemctl", question, "--quiet", f"{unit(name)}.timer"], _SECONDS).rc == 0


def _run_systemctl(*words: str) -> None:
    outcome = run(["systemctl", *words], _SECONDS)
    if outcome.complaint():
        raise CheckpointError(f"systemctl {' '.join(words)}: {outcome.complaint()}")
