# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ansible inventory of the lab, as an operator would write it for a fleet of their own."""

from __future__ import annotations

from pathlib import Path

import yaml

from autoglm_recovery.cli.root import PROGRAM

from . import memory_limit
from .hosts import Host
from .keys import Keys
from .places import HOME, LOGIN, STATE

SERVICE = {
    "name": "llama",
    "pool": "chat",
    "engine": "llama_cpp",
    "url": "http://127.0.0.1:8080",
    "unit": memory_limit.UNIT,
    "model": "tiny",
    "stop_timeout": 10,  # it does not end by itself while clients wait for it (llama.cpp does not drain on SIGTERM)
}
SOCKET, BACKEND = "/run/autoglm-haproxy/admin.sock", "llm"
# What is in front of the nodes; in nginx and Envoy a server is known by its address.
BALANCERS = [
    {"kind": "haproxy", "host": "ops", "socket": SOCKET, "backend": BACKEND},
    {
        "kind": "nginx",
        "host": "ops",
        "server": "{{ ansible_host }}:8080",
        "file": "/etc/nginx/upstreams/llm.conf",
        "backend": "llm",
    },
    {
        "kind": "envoy",
        "host": "ops",
        "server": "{{ ansible_host }}:8080",
        "file": "/etc/envoy/eds/llm.json",
        "admin_url": "http://127.0.0.1:9901",
        "backend": "llm",
    },
]
POOLS = {"chat": {"min_available": 1, "balancers": BALANCERS}}


# What docs/security.md has for a login that is root nowhere.
WITHOUT_ROOT = {
    "ansible_user": LOGIN,
    "ansible_become_exe": f"sudo -n {PROGRAM}",
    "ansible_become_flags": "",
    "ansible_pipelining": True,
}


def write_fleet(prometheus: str) -> Path:
    """Write the source of the inventory plugin, which asks the lab's Prometheus, and return where."""
    path = STATE / "autoglm_fleet.yml"
    source = {"plugin": "autoglm.recovery.fleet", "servers": [{"urls": [prometheus]}]}
    path.write_text(yaml.safe_dump(source, sort_keys=False), "utf-8")
    return path


def write(nodes: list[Host], ops: Host, keys: Keys, login: str) -> Path:
    """Write that of a login into the lab's folder and return where: the receiver's, or root for a person."""
    inference = {
        node.name: {
            "ansible_host": node.address,
            "autoglm_drill": True,
            "autoglm_address": node.name,
            "autoglm_services": [{**SERVICE, "serving_url": f"http://{node.name}:8080"}],
            "lab_memory_limit": memory_limit.for_host(node.name).service,
        }
        for node in nodes
    }
    connection = {
        **(WITHOUT_ROOT if login == LOGIN else {"ansible_user": login}),
        "ansible_ssh_private_key_file": str(keys.receiver if login == LOGIN else keys.person),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={keys.known_hosts} -o StrictHostKeyChecking=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
        # Shared connections outlive a lab by a minute. In a folder of the lab they go with it, and the
        # next lab, at the same addresses, does not talk into a dead one.
        "ansible_control_path_dir": str((HOME if login == LOGIN else STATE) / "ssh"),
        "autoglm_pools": POOLS,
    }
    groups = {"inference": {"hosts": inference}, "operations": {"hosts": {ops.name: {"ansible_host": ops.address}}}}
    path = STATE / f"inventory-{login}.yml"
    path.write_text(yaml.safe_dump({"all": {"children": groups, "vars": connection}}, sort_keys=False), "utf-8")
    return path
