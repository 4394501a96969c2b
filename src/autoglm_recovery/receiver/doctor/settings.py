# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Ansible under which a run waits for a person who is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_recovery.receiver.doctor.finding import DoctorFinding, wrong

CHECK = "ansible"
_ASKS = {
    "DEFAULT_ASK_PASS": ("asks for the connection password", "connection_password_file"),
    "DEFAULT_ASK_VAULT_PASS": ("asks for the vault password", "vault_password_file"),
    "DEFAULT_BECOME_ASK_PASS": ("asks for the become password", "become_password_file"),
}


def check_settings(settings: Mapping[str, Any]) -> list[DoctorFinding]:
    """Return what would make every run wait; ``settings`` are Ansible's, by their names."""
    found = [
        wrong(CHECK, f"{name}: every run {what}, and nobody answers", do=f"set {instead} in ansible.cfg instead")
        for name, (what, instead) in _ASKS.items()
        if settings.get(name)
    ]
    if settings.get("ENABLE_TASK_DEBUGGER") or str(settings.get("DEFAULT_STRATEGY")).rpartition(".")[2] == "debug":
        what = "a task that fails would wait in the debugger until its time is up"
        found.append(wrong(CHECK, what, do="remove strategy = debug and enable_task_debugger from ansible.cfg"))
    if settings.get("TAGS_RUN") not in (None, [], ["all"]) or settings.get("TAGS_SKIP"):
        what = "tags are chosen in ansible.cfg: tasks of playbooks are left out, safety checks among them"
        found.append(wrong(CHECK, what, do="remove the section [tags]"))
    return found
