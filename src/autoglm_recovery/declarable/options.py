# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``autoglm_services`` and ``autoglm_pools`` may hold: one table, of which checks and the JSON Schema are made.

An entry is an option as in the argument spec of a module, which most of them are, with more words: ``description``,
``strict`` for a text that no number stands for, and ``shape`` for what the text must look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_recovery.declarable.described import BALANCER_WORDS, with_words
from autoglm_recovery.knowledge.balancers.policy import REMAINING
from autoglm_recovery.knowledge.balancers.registry import balancer_spec
from autoglm_recovery.knowledge.checkpoints.formats import FORMATS
from autoglm_recovery.knowledge.engines.registry import ENGINES
from autoglm_recovery.knowledge.services import registry

Options = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Shape:
    """What a text must look like.  ``otherwise`` is what it is if it does not, ``for_example`` a right one."""

    pattern: str
    otherwise: str
    for_example: str


_ADDRESS = Shape(r"^https?://[^/\s]", "is no address", "http://127.0.0.1:8080")
# As playbooks/tasks/preflight_service.yml refuses them.
_SHAPES = {
    "unit": Shape(r"^[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]*$", "is no name of a unit", "llama-server.service"),
    "container": Shape(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", "is no name of a container", "vllm"),
    "pid_file": Shape(r"^/[^/]", "is no absolute path", "/run/llama.pid"),
}

_TEXT: Mapping[str, Any] = {"type": "str"}
_SECONDS: Mapping[str, Any] = {"type": "float"}
_COUNT: Mapping[str, Any] = {"type": "int"}

# What the entry of a balancer says beside how the module reaches it.
BESIDE_BALANCER: Options = {
    "host": {**_TEXT, "description": "The inventory host on which the module runs; the replica's own if left out."},
    "server": {**_TEXT, "description": "The replica's name in this balancer; the service's server if left out."},
    "count_unchecked": {"type": "bool", "description": "Whether servers without checks count as up."},
    "metrics_url": {**_TEXT, "description": "Where HAProxy's own exporter answers, for Prometheus."},
}

BALANCER: Options = {**BESIDE_BALANCER, **with_words(balancer_spec()["options"], BALANCER_WORDS)}
# kind -> the options that it cannot do without.
BALANCER_NEEDS: Mapping[str, tuple[str, ...]] = {
    kind: tuple(needs) for _key, kind, needs in balancer_spec()["required_if"]
}

CHECKPOINT: Options = {
    "name": {**_TEXT, "description": "The checkpoint's name; the service's if left out."},
    "store": {**_TEXT, "required": True, "description": "Where it is saved: a directory, or a URL of an object store."},
    "storage_options": {"type": "dict", "no_log": True, "description": "Options of the object store."},
    "source": {"type": "path", "description": "What is saved, with pattern."},
    "pattern": {**_TEXT, "description": "Which directories below source are checkpoints."},
    "format": {**_TEXT, "choices": list(FORMATS), "description": "The format that has to be proven."},
    "command": {"type": "list", "elements": "str", "description": "A command that writes the checkpoint."},
    "workdir": {"type": "path", "description": "Where the command writes."},
    "engine_state_dir": {"type": "path", "description": "Where the engine saves its own state."},
    "signal": {"type": "dict", "description": "How a trainer is told to save: unit or pid_file, and signal."},
    "timeout": {**_SECONDS, "description": "Seconds for all of it; 30 by default."},
    "signing_key": {**_TEXT, "no_log": True, "description": "The key of the signature of what is saved."},
    "keep": {**_COUNT, "description": "How many are kept."},
    "max_age": {**_COUNT, "description": "Seconds after which one may be removed."},
}

COMM_PATH: Options = {
    "name": {**_TEXT, "required": True, "strict": True, "description": "What the path is called."},
    "environment": {"type": "dict", "required": True, "description": "What the unit's environment has on this path."},
}

_DESCRIBED = {
    "unit": "The systemd unit that runs it. Exactly one of unit, container and pid_file is given.",
    "container": "The container that runs it; it exists already.",
    "container_runtime": "By whose command line the container is reached.",
    "pid_file": "The file with the number of its main process.",
    "start_command": "With pid_file: the program, by its absolute path, and its arguments.",
    "log_file": "With pid_file: where it writes its log.",
    "user": "With pid_file: the user as whom it is started.",
    "working_dir": "With pid_file: the directory in which it is started.",
    "environment": "With pid_file: what its environment has beside the usual.",
}

# One of these runs a service, and only one.
SERVICE_NAMES = registry.NAMES
# What belongs to a service with a pid_file alone.
WITH_PID_FILE = registry.WITH_PID_FILE

SERVICE: Options = {
    "name": {**_TEXT, "required": True, "strict": True, "description": "What alerts call it by their label service."},
    "pool": {**_TEXT, "strict": True, "description": "The replicas behind one balancer that it belongs to."},
    "engine": {**_TEXT, "required": True, "choices": sorted(ENGINES), "description": "What listens at url."},
    "engine_options": {"type": "dict", "description": "What else has to be said about the engine; docs/engines.md."},
    "url": {**_TEXT, "required": True, "shape": _ADDRESS, "description": "Its base URL as seen from its own host."},
    "serving_url": {**_TEXT, "description": "Its base URL as seen from the balancer's host, where url is another."},
    "server": {**_TEXT, "description": "Its name in the balancer; the host's name if left out."},
    "model": {**_TEXT, "description": "The model that a test completion asks for."},
    "api_key": {**_TEXT, "no_log": True, "description": "Sent as a bearer token with each question."},
    "ca_path": {"type": "path", "description": "Certificates that are trusted in place of the system's."},
    **{
        name: {**option, "description": _DESCRIBED[name], **({"shape": _SHAPES[name]} if name in _SHAPES else {})}
        for name, option in {**registry.argument_spec(), **registry.start_argument_spec()}.items()
    },
    "stop_timeout": {**_COUNT, "description": "Seconds until SIGKILL for a process that is not proven broken."},
    "ready_timeout": {**_COUNT, "description": "Seconds until it must generate again after a start."},
    "generate_timeout": {**_SECONDS, "description": "Seconds for one test completion."},
    "stall_seconds": {**_SECONDS, "description": "Seconds without progress after which it stands still."},
    "cache_paths": {"type": "list", "elements": "path", "description": "What is removed before it is started again."},
    "checkpoint": {"type": "dict", "options": CHECKPOINT, "description": "What is saved before it is stopped."},
    "comm_paths": {
        "type": "list",
        "elements": "dict",
        "options": COMM_PATH,
        "description": "With unit: other paths between its GPUs, in the order in which they are tried.",
    },
}

POOL: Options = {
    "min_available": {**_TEXT, "description": "How many replicas must serve: a number, or a share such as 50%."},
    "balancer": {"type": "dict", "options": BALANCER, "description": "What is in front of the pool."},
    "balancers": {
        "type": "list",
        "elements": "dict",
        "options": BALANCER,
        "description": "The same, if it is several.",
    },
    "drain_timeout": {**_COUNT, "description": "Seconds until nothing may be in flight; 300 by default."},
    "remaining": {**_TEXT, "choices": list(REMAINING), "description": "What becomes of what is in flight then."},
    "remaining_timeout": {**_SECONDS, "description": "Seconds for that."},
    "warm_up": {**_COUNT, "description": "Completions before a restarted replica gets requests; 1 by default."},
    "weight": {**_COUNT, "description": "Its weight in the balancer when it is back."},
    "slow_start": {**_SECONDS, "description": "Seconds until it has its whole weight again."},
    "shed_share": {
        **_COUNT,
        "description": "Percent of its load that a replica keeps when shed; 50 by default.",
    },
    "shed_limit": {**_COUNT, "description": "Requests at once then, for one without a limit of its own."},
    "max_reduced": {**_COUNT, "description": "Percent of the pool that may be reduced at most; 50 by default."},
}
