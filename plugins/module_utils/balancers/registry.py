# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which balancers there are, the options that describe one, and how one is opened."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, Callable

from .command import CommandBalancer
from .envoy import Envoy
from .file_sd import FileSd
from .haproxy import Haproxy
from .kubernetes import CONDITION, Kubernetes, ServicePlace
from .lock import DIRECTORY
from .nginx import Control, Nginx
from .protocol import Balancer, check_name

# What each kind needs, beside its kind. See the documentation fragment "balancer".
NEEDS: Mapping[str, tuple[str, ...]] = {
    "command": ("commands",),
    "envoy": ("file", "admin_url", "backend"),
    "file_sd": ("file",),
    "haproxy": ("socket", "backend"),
    "kubernetes": ("backend",),
    "nginx": ("file", "backend"),
}

COMMANDS = ("state", "drain", "ready", "in_flight", "weight")


def balancer_spec() -> dict[str, Any]:
    """The argument spec of the option C(balancer)."""
    argv = {"type": "list", "elements": "str"}
    options = {
        "kind": {"type": "str", "choices": sorted(NEEDS), "required": True},
        "backend": {"type": "str"},
        "socket": {"type": "str"},
        "file": {"type": "path"},
        "more_files": {"type": "list", "elements": "path"},
        "admin_url": {"type": "str"},
        "pid_file": {"type": "path", "default": "/run/nginx.pid"},
        "test": {**argv, "default": ["nginx", "-t"]},
        "reload": {**argv, "default": ["nginx", "-s", "reload"]},
        "drained_label": {"type": "str"},
        "settle": {"type": "float", "default": 0.0},
        "namespace": {"type": "str", "default": "default"},
        "condition": {"type": "str", "default": CONDITION},
        "kubeconfig": {"type": "path"},
        "context": {"type": "str"},
        "commands": {"type": "dict", "options": dict.fromkeys(COMMANDS, argv)},
        "timeout": {"type": "float", "default": 5.0},
        "lock_dir": {"type": "path", "default": DIRECTORY},
    }
    return {
        "type": "dict",
        "required": True,
        "options": options,
        "required_if": [["kind", kind, list(needed)] for kind, needed in sorted(NEEDS.items())],
    }


def open_balancer(options: Mapping[str, Any]) -> Balancer:
    """The adapter of one pool. Asks nothing yet. Raises ValueError."""
    kind = options["kind"]
    if kind not in _OPEN:
        raise ValueError(f"unknown kind of balancer {kind!r}; known are {', '.join(sorted(_OPEN))}")
    missing = [name for name in NEEDS[kind] if not options.get(name)]
    if missing:
        raise ValueError(f"a balancer of kind {kind} needs {', '.join(missing)}")
    if not 0 <= options.get("settle", 0) < math.inf:
        raise ValueError("the balancer's settle must be a number of seconds, 0 or more")
    if not 0 < options["timeout"] < math.inf:
        raise ValueError("the balancer's timeout must be a number of seconds above 0")
    if options.get("backend"):
        check_name("backend", options["backend"])
    return _OPEN[kind](options)


def _haproxy(options: Mapping[str, Any]) -> Balancer:
    return Haproxy(options["socket"], options["backend"], options["timeout"], options["lock_dir"])


def _envoy(options: Mapping[str, Any]) -> Balancer:
    more = options.get("more_files") or ()
    relative = [path for path in more if not os.path.isabs(path)]
    if relative:
        raise ValueError(f"the balancer's more_files must be absolute paths, which {relative[0]!r} is not")
    names = ("file", "admin_url", "timeout", "lock_dir")
    return Envoy(cluster=options["backend"], more_files=more, **{name: options[name] for name in names})


def _nginx(options: Mapping[str, Any]) -> Balancer:
    control = Control(options["pid_file"], options["test"], options["reload"])
    return Nginx(options["file"], options["backend"], control, options["timeout"], options["lock_dir"])


def _file_sd(options: Mapping[str, Any]) -> Balancer:
    return FileSd(options["file"], options["drained_label"], options["settle"], options["lock_dir"])


def _kubernetes(options: Mapping[str, Any]) -> Balancer:
    names = ("namespace", "condition", "kubeconfig", "context", "settle")
    place = ServicePlace(options["backend"], **{name: options[name] for name in names})
    return Kubernetes(place, options["timeout"], options["lock_dir"])


def _command(options: Mapping[str, Any]) -> Balancer:
    return CommandBalancer(options["commands"], options.get("backend") or "", options["timeout"], options["lock_dir"])


_OPEN: Mapping[str, Callable[[Mapping[str, Any]], Balancer]] = {
    "command": _command,
    "envoy": _envoy,
    "file_sd": _file_sd,
    "haproxy": _haproxy,
    "kubernetes": _kubernetes,
    "nginx": _nginx,
}
