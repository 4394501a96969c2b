# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks are asked with, and by whom."""

from __future__ import annotations

from typing import Any

# What the receiver gives, as far as playbooks look at it.
INCIDENT = {"id": 7, "failure_class": "oom", "fault_mode": "transient", "action": "restart_process", "attempt": 1}
RECEIVERS = {"autoglm_incident": INCIDENT, "autoglm_target": {"host": "p1", "service": "llama"}}

# A balancer as the doctor asks for it, which is not there; that is told as an answer, and is no failure.
NOWHERE = {"balancer": {"kind": "file_sd", "file": "/nowhere/sd.json"}, "servers": []}

# What each playbook is asked with by the receiver, by its doctor, or by a person where neither launches it; and what it
# tells then, of a host p1 whose service llama is healthy, or of a pool chat. Another one is to be added here.
ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "awx_setup": ({}, "Give awx_project_url"),
    "check_service": (RECEIVERS, "for p1 => (item=llama)"),
    "clear_queue_and_reset": (RECEIVERS, "Already healthy, not cleared"),
    "drill": (RECEIVERS, "a drill breaks what users are served by"),
    # It would freeze what serves.
    "isolate_and_snapshot": ({"target": "p1"}, "say why, with -e reason="),
    "look_at_hosts": ({"autoglm_look": {"p1": {"balancers": [NOWHERE]}}}, f"ok: [p1] => (item={NOWHERE})"),
    "quarantine_node": (RECEIVERS, "p1 is under quarantine since"),
    "reboot_node": (RECEIVERS, "the reboot would end its own controller"),
    "reset_gpu": (
        {"autoglm_incident": INCIDENT, "autoglm_target": {"host": "p1", "service": "llama", "gpu": "0000:1a:00.0"}},
        "Already well, not reset",
    ),
    "restart_process": (RECEIVERS, "Already healthy, not restarted"),
    "retry_with_backoff": (RECEIVERS, "generates, at try 1"),
    "return_node": ({"target": "p1", "force": True}, "it was under no quarantine"),
    "rolling_restart": ({"pool": "chat"}, "llama on p2 generates"),
    # Were it to read the inventory's reason, it would stop what serves.
    "safe_shutdown": ({"target": "p1"}, "say why, with -e reason="),
    # Of the pool chat as well: without a balancer there is nothing to shed load at.
    "shed_load": (
        {**RECEIVERS, "autoglm_look_every": 1, "autoglm_quiet_looks": 1, "steps": 1},
        "llama on p1 has its whole load again",
    ),
    "switch_comm_path": (RECEIVERS, "in comm_paths, a list"),
    "try_run": ({"autoglm_expected": {"p1": ["llama"]}}, "TASK [See the services that the receiver sees]"),
}
