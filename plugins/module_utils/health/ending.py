# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module that gives a verdict ends: with all that it found, failed or not as the task asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FAILS = {
    "never": (),
    "unhealthy": ("unhealthy",),
    "not_healthy": ("unhealthy", "unknown"),
}


def arguments() -> dict[str, Any]:
    """The options of the fragment C(verdict), as AnsibleModule wants them."""
    return {"fail_on": {"type": "str", "choices": list(_FAILS), "default": "never"}}


def end(module: Any, found: Mapping[str, Any], changed: bool = False) -> None:
    """End an AnsibleModule with what was found, which has at least C(verdict) and C(reasons)."""
    if found["verdict"] in _FAILS[module.params["fail_on"]]:
        module.fail_json(msg=f"{found['verdict']}: {'; '.join(found['reasons'])}", **found)
    module.exit_json(changed=changed, **found)
