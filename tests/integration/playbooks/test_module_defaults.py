# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook with defaults of our groups that the documentation shows, run on a real server as it stands."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.lab.places import CHECKOUT

from .fleet import Fleet, told

PAGE = (CHECKOUT / "docs/playbooks.md").read_text("utf-8")


def shown() -> str:
    """Return the playbook of the page."""
    (found,) = (block for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S) if "module_defaults:" in block)
    return str(found)


def test_the_modules_of_a_group_have_its_defaults(fleet: Fleet, tmp_path: Path) -> None:
    service = fleet.add("chat")
    # Without it this engine has nothing that can be emptied.
    service["start_command"] += ["--slot-save-path", "/var/lib/llama/"]
    evidence = tmp_path / "evidence"
    fleet.hosts["chat"].update(chat_url=service["url"], chat_pid_file=service["pid_file"], chat_evidence=str(evidence))
    playbook = tmp_path / "chat.yml"
    playbook.write_text(shown())
    pid = fleet.start("chat")
    done = fleet.run_file(playbook)
    assert done.returncode == 0, told(done)
    (bundle,) = evidence.iterdir()
    assert {"engine.json", f"process-{pid}.txt"} <= {path.name for path in bundle.iterdir()}

    os.kill(pid, signal.SIGKILL)
    done = fleet.run_file(playbook)
    assert done.returncode != 0
    assert "See that it generates" in told(done).rpartition("TASK [")[2]
    assert "unhealthy:" in told(done)
