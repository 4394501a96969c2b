# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook gets: ``autoglm_incident`` and ``autoglm_target``, with every text marked ``!unsafe``.

Ansible evaluates ``{{ ... }}`` in extra variables.  Texts in an incident were partly written by strangers, so each is
tagged as text that is never a template (docs.ansible.com, "Unsafe or raw strings").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml


class _UnsafeDumper(yaml.SafeDumper):
    """Writes every value that is text with the ``!unsafe`` tag."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Write equal values in full: Ansible's loader has no use for YAML aliases here."""
        return True


class _Data(str):
    """A value, as opposed to a key of ours."""

    __slots__ = ()


_UnsafeDumper.add_representer(_Data, lambda dumper, data: dumper.represent_scalar("!unsafe", str(data), style='"'))


@dataclass(frozen=True)
class RunContext:
    """What the playbook of a run is told of that run.

    ``key`` names it over all databases, and ``installation`` the database that it is of: the number of an incident
    means something there alone.  ``evidence`` is ``required`` or ``best_effort``.  Two are told to own actions
    alone: ``host_wide``, whether to fence the host as a whole, and ``timeout_s``, when the run is ended.
    """

    action: str
    attempt: int
    fence: int
    opened_at: str
    key: str = ""
    installation: str = ""
    evidence: str = "best_effort"
    host_wide: bool | None = None
    timeout_s: float | None = None


def incident_key(installation: str, number: int) -> str:
    """Return what names an incident among those of several installations, short enough to be read."""
    return f"{installation[:12]}-{number}" if installation else str(number)


def extra_vars(incident: Mapping[str, Any], errand: RunContext, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Build the variables of a run from a row of ``incidents``; ``own`` are those of the policy, and stand for none."""
    return {
        **(own or {}),
        "autoglm_incident": {
            "id": incident["id"],
            "installation": errand.installation,
            "key": incident_key(errand.installation, incident["id"]),
            "run": errand.key,
            "failure_class": incident["failure_class"],
            "fault_mode": incident["fault_mode"],
            "action": errand.action,
            "attempt": errand.attempt,
            "fence": errand.fence,
            "opened_at": errand.opened_at,
            "evidence": errand.evidence,
            **({} if errand.host_wide is None else {"host_wide": errand.host_wide}),
            **({} if errand.timeout_s is None else {"timeout": math.ceil(errand.timeout_s)}),
            "reason": incident["reason"],
            "root_cause": incident["root_cause"],
        },
        "autoglm_target": {key: incident[key] for key in ("host", "service", "gpu", "pool")},
    }


def to_yaml(variables: Mapping[str, Any]) -> str:
    """Write the variables for ``ansible-playbook -e @FILE``."""
    return yaml.dump(_tagged(variables), Dumper=_UnsafeDumper, sort_keys=False, width=2**31)


def _tagged(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tagged(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tagged(inner) for inner in value]
    return _Data(value) if isinstance(value, str) else value
