# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose facts are variables, as is Ansible's default, names neither what is scraped nor what people open."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

from tests.integration.roles.running import PROGRAMS
from tests.lab.laboratory import environment
from tests.lab.places import CHECKOUT

FORGED = {
    "autoglm_address": "evil.example.org",
    "autoglm_services": [{"name": "x", "engine": "vllm", "unit": "x", "url": "http://evil.example.org"}],
    "autoglm_pools": {"x": {"balancer": {"kind": "haproxy", "metrics_url": "http://evil.example.org/metrics"}}},
    "receiver_listen": "0.0.0.0:6666",
    "receiver_ready_url": "https://evil.example.org/readyz",
}


def test_what_a_host_says_of_itself_is_no_address(tmp_path: Path) -> None:
    role = CHECKOUT / "roles/monitoring"
    host = {"ansible_host": "192.0.2.7", "autoglm_services": [{"name": "llama"}]}
    inventory, playbook = tmp_path / "hosts.yml", tmp_path / "play.yml"
    inventory.write_text(
        yaml.safe_dump({"all": {"hosts": {"ops": host}, "children": {"autoglm_receiver": {"hosts": {"ops": {}}}}}})
    )
    dcgm = f"{{{{ lookup('ansible.builtin.template', '{role}/templates/dcgm.yml.j2') }}}}"
    plays = [
        {
            "hosts": "ops",
            "gather_facts": False,
            "tags": "what-to-open",
            "tasks": [
                {"ansible.builtin.set_fact": {**FORGED, "cacheable": True}},
                {"ansible.builtin.debug": {"msg": "{{ receiver_ready_url }}"}},
            ],
        },
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tags": "what-to-open",
            "vars_files": [str(role / "vars/main.yml"), str(role / "defaults/main.yml")],
            "tasks": [
                {
                    "ansible.builtin.debug": {"msg": ["{{ __monitoring_variables | from_json }}", dcgm]},
                    "vars": {"monitoring_dcgm_hosts": ["ops"]},
                }
            ],
        },
        {"import_playbook": "autoglm.recovery.site"},
    ]
    playbook.write_text(json.dumps(plays))
    done = subprocess.run(
        [PROGRAMS / "ansible-playbook", playbook, "-i", inventory, "--tags", "what-to-open"],
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), "ANSIBLE_INJECT_FACT_VARS": "true", "ANSIBLE_LOCALHOST_WARNING": "false"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    forged, said = done.stdout.split("PLAY [localhost]", 1)
    assert "https://evil.example.org/readyz" in forged
    for text in (
        '"ansible_host": "192.0.2.7"',
        '"name": "llama"',
        "192.0.2.7:9400",
        "Console (ops): http://127.0.0.1:9470/",
    ):
        assert text in said, done.stdout
    assert "evil" not in said
    assert "6666" not in said
