# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What editors and the reference tell of options that the argument spec of a module has without words, and examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# By the path of the option below its table, as in commands.drain.
BALANCER_WORDS: Mapping[str, str] = {
    "kind": "The load balancer.",
    "backend": "HAProxy's backend, the upstream of nginx, the cluster of Envoy, the Service of Kubernetes.",
    "socket": "HAProxy's stats socket, of level admin: an absolute path, or HOST:PORT.",
    "file": "What is changed: the upstream's file of nginx, the endpoints' (EDS) of Envoy, that of file_sd's targets.",
    "more_files": "Files of Envoy's other clusters that may be changed, or their directories; file's own if left out.",
    "admin_url": "Envoy's admin API.",
    "pid_file": "Where nginx keeps the number of its master process.",
    "test": "The words of the command by which nginx tries a configuration.",
    "reload": "The words of the command that makes nginx use it.",
    "drained_label": "With file_sd: a drained target stays and gets this label; without it the target is taken out.",
    "settle": "With file_sd and kubernetes: seconds until those who follow have seen a change.",
    "namespace": "The namespace of the Service in Kubernetes.",
    "condition": "The readiness gate that the pods declare in Kubernetes.",
    "kubeconfig": "The file that says how the Kubernetes API is reached; the usual one if left out.",
    "context": "The context in kubeconfig.",
    "commands": "With command: the words of commands for any other balancer; no shell is involved.",
    "commands.state": "Prints the pool, as a JSON list of name, admin, health, weight and in_flight.",
    "commands.drain": "Takes the server out of traffic.",
    "commands.ready": "Brings the server back.",
    "commands.in_flight": "Prints how many requests the balancer has with the server, where state does not.",
    "commands.weight": "Sets the server's weight.",
    "timeout": "Seconds for each single question to the balancer.",
    "lock_dir": "Where the lock lies by which the tasks of one host change a pool one after another.",
}

# For what no page shows.
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "service": {
        "engine_options": {"load_tracking": True},
        "server": "gpu1",
        "model": "qwen3-32b",
        "api_key": "{{ vault_llm_api_key }}",
        "ca_path": "/etc/ssl/engines-ca.pem",
        "stop_timeout": 60,
        "ready_timeout": 900,
        "generate_timeout": 30,
        "stall_seconds": 20,
        "cache_paths": ["/var/cache/vllm/torch_compile_cache"],
        "comm_paths": [{"name": "without-nvls", "environment": {"NCCL_NVLS_ENABLE": "0"}}],
    },
    "pool": {"remaining_timeout": 60, "weight": 100},
    "balancer": {
        "host": "lb-1",
        "server": "gpu1",
        "metrics_url": "http://192.0.2.2:8405/metrics",
        "file": "/etc/nginx/upstreams/chat.conf",
        "more_files": ["/etc/envoy/eds"],
        "admin_url": "http://127.0.0.1:9901",
        "drained_label": "drained",
        "settle": 5,
        "namespace": "inference",
        "kubeconfig": "/etc/autoglm/kubeconfig",
        "context": "production",
        "timeout": 10,
    },
    "commands": {
        "state": ["/usr/local/bin/lbctl", "state", "{backend}"],
        "drain": ["/usr/local/bin/lbctl", "drain", "{backend}", "{server}"],
        "ready": ["/usr/local/bin/lbctl", "ready", "{backend}", "{server}"],
        "in_flight": ["/usr/local/bin/lbctl", "in-flight", "{backend}", "{server}"],
        "weight": ["/usr/local/bin/lbctl", "weight", "{backend}", "{server}", "{weight}"],
    },
    "checkpoint": {
        "name": "chat-lora",
        "storage_options": {"endpoint_url": "https://s3.example.org"},
        "source": "/srv/training/run-7",
        "pattern": "checkpoint-*",
        "command": ["/usr/local/bin/save-checkpoint"],
        "workdir": "/srv/training",
        "engine_state_dir": "/var/lib/llama/slots",
        "signal": {"unit": "trainer.service", "signal": "SIGUSR1"},
        "timeout": 120,
        "signing_key": "{{ vault_checkpoint_key }}",
        "keep": 3,
        "max_age": 604800,
    },
}


def with_words(
    options: Mapping[str, Mapping[str, Any]], words: Mapping[str, str], above: str = ""
) -> dict[str, dict[str, Any]]:
    """Return options of a module with a description each, and those that they hold."""
    return {
        name: {
            **option,
            "description": words[above + name],
            **({"options": with_words(option["options"], words, f"{above}{name}.")} if "options" in option else {}),
        }
        for name, option in options.items()
    }
