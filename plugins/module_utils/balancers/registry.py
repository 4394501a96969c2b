# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which balancers there are, the options that describe one, and how one is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Callable

from .haproxy import Haproxy
from .lock import DIRECTORY
from .protocol import Balancer, check_name

# What each kind needs, beside its kind. See the documentation fragment "balancer".
NEEDS: Mapping[str, tuple[str, ...]] = {
    "haproxy": ("socket", "backend"),
}


def balancer_spec() -> dict[str, Any]:
    """The argument spec of the option C(balancer)."""
    argv = {"type": "list", "elements": "str"}
    options = {
        "kind": {"type": "str", "choices": sorted(NEEDS), "required": True},
        "backend": {"type": "str"},
        "socket": {"type": "str"},
        "timeout": {"type": "float", "default": 5.0},
        "lock_dir": {"type": "path", "default": DIRECTORY},
    }
    _ = argv
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
    if not 0 < options["timeout"] < math.inf:
        raise ValueError("the balancer's timeout must be a number of seconds above 0")
    if options.get("backend"):
        check_name("backend", options["backend"])
    return _OPEN[kind](options)


def _haproxy(options: Mapping[str, Any]) -> Balancer:
    return Haproxy(options["socket"], options["backend"], options["timeout"], options["lock_dir"])


_OPEN: Mapping[str, Callable[[Mapping[str, Any]], Balancer]] = {
    "haproxy": _haproxy,
}
