# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of balancer, their options, and how one is opened.

A balancer is one file whose class is listed here; the class declares its own options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .command import CommandBalancer
from .envoy import Envoy
from .file_sd import FileSd
from .haproxy import Haproxy
from .kubernetes import Kubernetes
from .nginx import Nginx
from .options import COMMON, check_seconds
from .protocol import Balancer, BalancerKind, check_name

_KINDS: tuple[type[BalancerKind], ...] = (CommandBalancer, Envoy, FileSd, Haproxy, Kubernetes, Nginx)
BALANCERS: Mapping[str, type[BalancerKind]] = {kind.name: kind for kind in _KINDS}


def balancer_spec() -> dict[str, Any]:
    """The argument spec of the option C(balancer). See the documentation fragment "balancer"."""
    options: dict[str, Any] = {"kind": {"type": "str", "choices": sorted(BALANCERS), "required": True}}
    for kind in _KINDS:
        options.update({name: dict(option) for name, option in kind.options.items()})
    options.update({name: dict(option) for name, option in COMMON.items()})
    return {
        "type": "dict",
        "required": True,
        "options": options,
        "required_if": [["kind", name, list(kind.needs)] for name, kind in sorted(BALANCERS.items())],
    }


def open_balancer(options: Mapping[str, Any]) -> Balancer:
    """The adapter of one pool. Contacts nothing yet. Raises ValueError."""
    name = options["kind"]
    if name not in BALANCERS:
        raise ValueError(f"unknown kind of balancer {name!r}; known are {', '.join(sorted(BALANCERS))}")
    kind = BALANCERS[name]
    missing = [need for need in kind.needs if not options.get(need)]
    if missing:
        raise ValueError(f"a balancer of kind {name} needs {', '.join(missing)}")
    check_seconds(options)
    if options.get("backend"):
        check_name("backend", options["backend"])
    return kind.opened(options)
