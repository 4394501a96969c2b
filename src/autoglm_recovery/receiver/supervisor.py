# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process for one run: C(python -m autoglm_recovery.receiver.supervisor DIRECTORY).

It outlives the receiver.  ansible-playbook writes to a terminal that this process holds, so that a receiver that is
killed cuts no run in half, and the next receiver finds the run by its directory: who holds the lock on C(lock) runs it,
C(started) says that it began, C(events.jsonl) what was told, and C(result.json) appears whole when it has ended.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from autoglm_recovery.receiver.narrate import narrate
from autoglm_recovery.receiver.whole_file import write_whole

ALREADY_RUN = 75  # EX_TEMPFAIL: another process has this run, or had it


def main(directory: Path) -> int:
    """Run what C(directory/request.json) asks for, once in its life."""
    with open(directory / "lock", "w", encoding="utf-8") as lock:
        # Waits for whoever only looks at the lock, and for another supervisor of this run until that has ended.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            os.close(os.open(directory / "started", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return ALREADY_RUN
        request = json.loads((directory / "request.json").read_text("utf-8"))
        result = _run(directory, request)
        write_whole(directory / "result.json", json.dumps(result))
        return 0 if result["rc"] == 0 else 1


def _run(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    import ansible_runner  # noqa: PLC0415 - after the lock: who loses it has no need to load this

    with open(directory / "events.jsonl", "a", encoding="utf-8") as events:

        def note(event: dict[str, Any]) -> bool:
            for line in narrate(event):
                events.write(json.dumps(line.as_dict()) + "\n")
            events.flush()
            return True

        run = ansible_runner.run(
            private_data_dir=str(directory),
            ident="ansible",
            playbook=request["playbook"],
            limit=request["limit"],
            cmdline=shlex.join(["--inventory", request["inventory"], "--extra-vars", f"@{directory / 'vars.yml'}"]),
            timeout=request["timeout_s"],
            envvars={"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"},
            event_handler=note,
            status_handler=lambda _status, runner_config: forget_environment(Path(runner_config.artifact_dir)),
            suppress_env_files=True,
            quiet=True,
        )
    return {"rc": run.rc, "status": run.status, "ended_at": time.time()}


def forget_environment(artifacts: Path) -> None:
    """Remove where ansible-runner writes down the environment, with every token in it, before it starts the playbook.

    It has no switch against that; it says that the run goes on right after it has written the file.
    """
    (artifacts / "command").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
