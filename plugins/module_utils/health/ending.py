# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a module that gives a verdict: it returns its findings, and fails if the task asks for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FAILS = {
    "never": (),
    "unhealthy": ("unhealthy",),
    "not_healthy": ("unhealthy", "unknown"),
}


def arguments() -> dict[str, Any]:
    """The argument spec of the documentation fragment C(verdict)."""
    return {"fail_on": {"type": "str", "choices": list(_FAILS), "default": "never"}}


def end(module: Any, found: Mapping[str, Any], changed: bool = False) -> None:
    """End an AnsibleModule with its findings, which have at least C(verdict) and C(reasons)."""
    if found["verdict"] in _FAILS[module.params["fail_on"]]:
        module.fail_json(msg=f"{found['verdict']}: {'; '.join(found['reasons'])}", **found)
    module.exit_json(changed=changed, **found)
