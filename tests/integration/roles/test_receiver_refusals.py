# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role receiver refuses before it looks at a host: folders of others, values that would be more than one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.roles.running import PROGRAMS
from tests.lab.laboratory import environment

TOKEN = "sha256:" + 64 * "0"
VARIABLES = "Preflight | Variables make sense"
# The variables, and the task that refuses them.
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("preflight", {"directory": "/opt"}, VARIABLES),
    ("preflight", {"config_directory": "/etc/.."}, VARIABLES),
    ("preflight", {"config_directory": "/etc/autoglm"}, VARIABLES),
    ("preflight", {"state_directory": "/var/lib"}, VARIABLES),
    ("preflight", {"backup_directory": "/var/backups\n"}, VARIABLES),
    ("preflight", {"backup_directory": "/srv/a b"}, VARIABLES),
    ("preflight", {"directory": "/srv/100%/autoglm"}, VARIABLES),
    # What root writes would be below what the receiver's user may change.
    ("preflight", {"config_directory": "/var/lib/autoglm-receiver/config"}, VARIABLES),
    ("preflight", {"state_directory": "/opt/autoglm"}, VARIABLES),
    ("preflight", {"service": "autoglm\nUser=root"}, VARIABLES),
    ("preflight_present", {"version": "1/../../../etc"}, "Preflight | It is said once what is installed"),
    (
        "preflight_present",
        {"access": [{"name": "a", "role": "viewer", "credential": f"cert:CN=a\nmallory operator {TOKEN}"}]},
        "Preflight | Who may come in makes sense",
    ),
    (
        "preflight_present",
        {"service_options": {"Nice": ["1", "2\nUser=root"]}},
        "Preflight | Secrets and options make sense",
    ),
]


def test_what_would_be_more_than_it_says_is_refused_before_a_host_is_touched(tmp_path: Path) -> None:
    policy, inventory, playbook = tmp_path / "policy.yaml", tmp_path / "hosts.yml", tmp_path / "play.yml"
    policy.write_text("recovery: {autonomy: watch}\n")
    inventory.write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    given = {"receiver_policy": str(policy), "receiver_inventory": str(inventory)}
    tasks: list[dict[str, Any]] = [
        {
            "block": [
                {
                    "ansible.builtin.include_role": {"name": "autoglm.recovery.receiver", "tasks_from": tasks_from},
                    "vars": given | {f"receiver_{name}": value for name, value in variables.items()},
                }
            ],
            "rescue": [{"ansible.builtin.debug": {"msg": f"CASE {number}: {{{{ ansible_failed_task.name }}}}"}}],
        }
        # The last is what the role takes; there it looks at the host.
        for number, (tasks_from, variables, _task) in enumerate([*REFUSED, ("preflight", {}, "")])
    ]
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    known = {"ansible_python_interpreter": sys.executable}
    done = subprocess.run(
        [PROGRAMS / "ansible-playbook", playbook, "-i", inventory, "-e", json.dumps(known)],
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), "ANSIBLE_PIPELINING": "true"},
    )
    for number, (_from, variables, task) in enumerate(REFUSED):
        assert f"CASE {number}: {task}" in done.stdout, (variables, done.stdout)
    assert f"CASE {len(REFUSED)}: {VARIABLES}" not in done.stdout, done.stdout
