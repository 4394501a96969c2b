# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's directory: prepared, given to a supervisor, and looked at from outside."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoglm_recovery.knowledge.host import whole_file
from autoglm_recovery.receiver.process import cleaned, inherited
from autoglm_recovery.receiver.runs.extra_vars import to_yaml
from autoglm_recovery.receiver.runs.local import container, processes
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunSpec, RunStatus

if TYPE_CHECKING:
    from autoglm_recovery.policy.launchers import ExecutionEnvironment

_TEXTS = ("kind", "text")
# The year 10000, which no date is.
_LAST_MOMENT = 253_402_300_800


def prepare(directory: Path, order: RunSpec, environment: ExecutionEnvironment | None = None) -> None:
    """Write the run's private data directory, once: request.json comes last, and with it the directory is complete.

    What an earlier receiver has prepared stays as it is, because the supervisor that it spawned may be reading it.  The
    run works in the folder in which this process is, as ``ansible-playbook`` started here would.

    Raises LaunchRefused if it cannot be run like this.
    """
    if (directory / "request.json").exists():
        return
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        raise LaunchRefused("the folder in which the receiver was started is gone; start it again") from None
    (directory / "project").mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    request = {
        "playbook": order.named_in_full,
        "limit": order.limit,
        "arguments": container.runner_arguments(environment, directory, order.inventory, folder, order.named_in_full),
        "folder": str(folder),
        "timeout_s": order.timeout_s,
    }
    whole_file.write(directory / "vars.yml", to_yaml(order.variables))
    whole_file.write(directory / "request.json", json.dumps(request))


def spawn(directory: Path) -> subprocess.Popen[bytes]:
    """Start the supervisor of a prepared run, in a session of its own so that our end is not its end."""
    with open(directory / "supervisor.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "autoglm_recovery.receiver.runs.local.supervisor", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=inherited.environment(),
            start_new_session=True,
        )


def status(directory: Path) -> RunStatus:
    """Tell how a run stands."""
    if (directory / "result.json").exists():
        return RunStatus.ended
    if _locked(directory / "lock"):
        return RunStatus.running
    # The result may have been written between the two looks above.
    if (directory / "result.json").exists():
        return RunStatus.ended
    return RunStatus.lost if (directory / "started").exists() else RunStatus.not_begun


def _locked(path: Path) -> bool:
    try:
        with open(path, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def result(directory: Path) -> dict[str, Any]:
    """Read the result of an ended run."""
    value = json.loads((directory / "result.json").read_text("utf-8"))
    if not isinstance(value, dict):
        raise TypeError(f"{directory / 'result.json'} holds no object")
    return value


def told(directory: Path, after: int) -> list[dict[str, Any]]:
    """Return the timeline lines of a run beyond the first ``after``; a line that is still being written waits."""
    path = directory / "events.jsonl"
    try:
        text, at = path.read_text("utf-8", "replace"), path.stat().st_mtime
    except FileNotFoundError:
        return []
    whole = text.split("\n")[:-1]
    return [line_told(line, at) for line in whole[after:]]


def line_told(text: str, at: float) -> dict[str, Any]:
    """Read one line of a run's timeline.  One that a full disk has cut is told as such, as of ``at``."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if isinstance(line, dict) and _is_moment(line.get("at")) and all(isinstance(line.get(k), str) for k in _TEXTS):
        return line
    return {"at": at, "kind": "task", "text": "a line of what the run told cannot be read"}


def _is_moment(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < _LAST_MOMENT


def cancel(directory: Path, why: str) -> None:
    """Have the supervisor end a run, and one that is only about to begin end at once.  The first reason stays."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (directory / "cancel").exists():
        whole_file.write(directory / "cancel", why)


def end_left(directory: Path) -> int:
    """Do for a run whose supervisor is gone what that would have done; return how many processes were ended.

    None goes on acting on its own, and no secret stays in what is kept.
    """
    ended = processes.end_marked(directory, f"@{directory / 'vars.yml'}".encode())
    if container.contains(json.loads((directory / "request.json").read_text("utf-8"))["arguments"]):
        container.remove(directory)
    cleaned.clean_artifacts(directory)
    return ended
