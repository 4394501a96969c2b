# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory that means something else, or does harm, by every name that no playbook may take from it.

The names are those of the playbooks: all that they read from the command line alone, and all that they give a value.
"""

from __future__ import annotations

from typing import Any

from .plays import load
from .variables import DECLARED, EXTRA_VAR, FILES, given_by, looked_up

_LOOKED_UP = {one for path in FILES for one in looked_up(load(path))}

# The short names of the documentation, which a person gives with -e.
SHORT = {name for plugin, name in _LOOKED_UP if plugin == EXTRA_VAR and not name.startswith(("autoglm_", "ansible_"))}

# Values that would show most where somebody read them; of every other name a word, which fits nothing.
_HARMFUL = {
    "target": "elsewhere",
    "service": "another",
    "force": True,
    "pool": "batch",
    "comm_path": "primary",
    "fault": "crash",
    "autoglm_drilled": {"pids": [1]},
    "at_once": "100%",
    "drain_timeout": 0,
    "ready_timeout": 0,
    "stop_timeout": 0,
    "autoglm_incident": {"id": 1, "fence": 1},
    "autoglm_target": {"host": "elsewhere", "service": "another"},
    "autoglm_force": True,
    "autoglm_asked_by_person": True,
    "autoglm_balancer_hosts": ["elsewhere"],
    "autoglm_leave_alone": False,
    "autoglm_proof": {"verdict": "healthy"},
    "autoglm_ready_timeout": 0,
    "autoglm_planned": {"outcome": "planned"},
    "autoglm_gpu_well": True,
    "autoglm_reset_outcome": "done",
    "autoglm_reboot_planned": {"outcome": "go_on", "note": {"boot": "elsewhere"}},
    "autoglm_gpus_wrong": "",
    "autoglm_taken_out": ["llama"],
    "autoglm_stopping": "llama",
    "awx_project_url": "https://elsewhere.example/x.git",
}


def _names() -> set[str]:
    inventory_s = {name for plugin, name in _LOOKED_UP if plugin == DECLARED}
    given = {name for path in FILES for _by, name in given_by(path) if not name.startswith("ansible_")}
    return (SHORT | given | {name for plugin, name in _LOOKED_UP if plugin == EXTRA_VAR}) - inventory_s


# Beside those of ours, words that options of modules and keys of services have.
MISLEADING: dict[str, Any] = dict.fromkeys(_names() | {"host", "name"}, "elsewhere") | _HARMFUL
