# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several kinds of balancer share, as pieces of an argument spec; each kind says which it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .lock import DIRECTORY

TEXT: Mapping[str, Any] = {"type": "str"}
FILE: Mapping[str, Any] = {"type": "path"}
WORDS: Mapping[str, Any] = {"type": "list", "elements": "str"}
SETTLE: Mapping[str, Any] = {"type": "float", "default": 0.0}

# The options of every kind, beside C(kind).
COMMON: Mapping[str, Mapping[str, Any]] = {
    "timeout": {"type": "float", "default": 5.0},
    "lock_dir": {"type": "path", "default": DIRECTORY},
}


def check_seconds(options: Mapping[str, Any]) -> None:
    """Raise ValueError for a settle time or a timeout that is negative or not finite."""
    if not 0 <= options.get("settle", 0) < math.inf:
        raise ValueError("the balancer's settle must be a number of seconds, 0 or more")
    if not 0 < options["timeout"] < math.inf:
        raise ValueError("the balancer's timeout must be a number of seconds above 0")
