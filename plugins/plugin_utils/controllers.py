# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that runs a playbook: a unique name for it over all controllers, and whether it still exists.

Process numbers are reused, so a process is identified by its start and its boot too; and a number is only valid in its
namespace, of which each container has one.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars
from ansible_collections.autoglm.recovery.plugins.module_utils.host import clocks


def here() -> dict[str, Any]:
    """Describe the process of C(ansible-playbook), from itself or from a process that it has forked for a task.

    Fields that this machine does not provide (C(/proc) exists on Linux alone) are empty.
    """
    parent = multiprocessing.parent_process()
    pid = os.getpid() if parent is None else int(parent.pid or 0)
    return {
        "boot": clocks.boot_id() or "",
        "namespace": _pid_namespace(),
        "pid": pid,
        "start": _start_ticks(pid),
        "node": socket.gethostname(),
    }


def name(process: Mapping[str, Any]) -> str:
    """Return a short text that is unique to a process."""
    return hashlib.sha256(json.dumps(process, sort_keys=True).encode()).hexdigest()[:16]


def has_ended(process: Mapping[str, Any]) -> bool:
    """Tell whether a process is known to be gone. False where that cannot be known on this machine.

    C(process) comes from a host and is not trusted: it is only looked up.
    """
    mine = here()
    if not mine["boot"] or process.get("boot") != mine["boot"] or process.get("namespace") != mine["namespace"]:
        return False
    pid = process.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        return False
    return _start_ticks(pid) != process.get("start")


def person() -> str:
    """Say who started this process, for people."""
    user = os.environ.get("SUDO_USER") or _user_name()
    return f"{user} on {socket.gethostname()}"


def owner_of_run(told: str, loader: DataLoader) -> str:
    """Return the owner of this run: by the task, by AWX, or by the user of this process."""
    if told:
        return f"{told} ({person()})"
    extra = load_extra_vars(loader=loader)
    if "awx_job_id" in extra:
        return f"{extra.get('awx_user_name', 'somebody')} with AWX job {extra['awx_job_id']}"
    return person()


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _start_ticks(pid: int) -> int:
    """Return when a process began, in ticks since the boot; 0 if there is none, or only a zombie."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if words[0] in ("Z", "X") else int(words[19])
