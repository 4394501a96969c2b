# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of AWX when a run is launched, and when it must not be asked.  Pure functions.

Facts about AWX that this stands on (its documentation and source, 24.6):

- Prompts that a job template does not ask for are ignored, not refused: the launch succeeds, on all hosts of the
  inventory if it was the limit.  A workflow's template refuses them.  ``GET .../launch/`` says beforehand what is asked
  for, ``ignored_fields`` and the job itself afterwards.
- AWX marks launch-time variables ``!unsafe``, unless an administrator set ``ALLOW_JINJA_IN_EXTRA_VARS`` to ``always``.
  A client cannot set that mark: AWX reads ``extra_vars`` and stores plain JSON.
- ``extra_vars`` cannot be searched (HTTP 403), ``limit`` can, but only as ``limit__exact``: ``limit`` is a reserved
  word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from autoglm_recovery.knowledge.host import bounded_yaml
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.runs.awx.settings import Template
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunRecord, RunSpec

MARK = "autoglm_run"

_LONGEST_YAML = 64 << 10

# The openings of Jinja: an expression, a statement, a comment.
_OPENING = re.compile(r"\{(?=[{%#])")
_PROMPTS = {"ask_limit_on_launch": "Limit", "ask_variables_on_launch": "Variables"}
_FIELDS = {"limit": "Limit", "extra_vars": "Variables"}


def mark(installation: str, run: RunRecord) -> str:
    """Return the text by which the job of a run is known among all jobs, for ever."""
    number = f"{installation}:{run.incident_id}:{run.id}"
    # A database that was restored gives numbers again, and must not take an old job for its own.
    return f"{number}:{run.key}" if run.key else number


def launch_body(order: RunSpec, marked: str) -> dict[str, Any]:
    """Return what is posted to ``.../launch/``.

    Raises LaunchRefused if the target's own names hold a template: they cannot be changed without meaning another.
    """
    target = order.variables.get("autoglm_target", {})
    if neutralised(target) != target or neutralised(order.limit) != order.limit:
        raise LaunchRefused("a name of the target holds {{, {% or {#, which AWX might evaluate")
    return {"limit": order.limit, "extra_vars": {**neutralised(dict(order.variables)), MARK: marked}}


def neutralised(value: Any) -> Any:
    """Return the value with a space in every opening of a template, so that no setting of AWX's can evaluate it."""
    if isinstance(value, str):
        return _OPENING.sub("{ ", value)
    if isinstance(value, Mapping):
        return {neutralised(key): neutralised(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [neutralised(inner) for inner in value]
    return value


def check_limit(host: str) -> None:
    """Raises LaunchRefused if Ansible would read the name of the host as a pattern."""
    if not Fleet().limitable(host):
        raise LaunchRefused(f"host {host!r} has a name that Ansible would read as a pattern")


def only_template(found: Iterable[Mapping[str, Any]], wanted: Template) -> Mapping[str, Any]:
    """Return the one template of exactly this name.

    Raises LaunchRefused if there is none, or more than one.
    """
    kind = "workflow job template" if wanted.workflow else "job template"
    where = f" in organization {wanted.organization!r}" if wanted.organization else ""
    exact = [item for item in found if item.get("name") == wanted.name]
    if not exact:
        raise LaunchRefused(
            f"AWX has no {kind} {wanted.name!r}{where}, or its user may not see it; "
            "autoglm.recovery.awx_setup creates it"
        )
    if len(exact) > 1:
        raise LaunchRefused(f"AWX has {len(exact)} {kind}s {wanted.name!r}{where}; say which organization is meant")
    return exact[0]


def number_of(template: Mapping[str, Any]) -> int:
    """Return the number of a template.

    Raises LaunchRefused if AWX shows none.
    """
    number = template.get("id")
    if not isinstance(number, int) or number < 1:
        raise LaunchRefused(f"AWX shows a template {str(template.get('name'))[:100]!r} without a number")
    return number


def check_prompts(launch: Mapping[str, Any], name: str) -> None:
    """Check what ``GET .../launch/`` says.

    Raises LaunchRefused if the template would ignore the limit or the variables, or wants what nobody can give.
    """
    missing = [word for key, word in _PROMPTS.items() if launch.get(key) is not True]
    if missing:
        raise LaunchRefused(_switch_on(name, missing))
    if launch.get("inventory_needed_to_start"):
        raise LaunchRefused(f"AWX template {name!r} has no inventory; give it one")
    for key in ("passwords_needed_to_start", "variables_needed_to_start"):
        needed = launch.get(key)
        if needed:
            what = ", ".join(map(str, needed)) if isinstance(needed, list) else key
            raise LaunchRefused(f"AWX template {name!r} asks a person at launch: {what}"[:500])
    if launch.get("credential_needed_to_start"):
        raise LaunchRefused(f"AWX template {name!r} has no credential; give it one")


def check_launched(answer: Mapping[str, Any], sent: Mapping[str, Any], kind: str, name: str) -> str | None:
    """Say what to change if AWX launched something else than what was ``sent``; None if all is well.

    AWX answers with the job as it is: its ``type``, its ``limit``, and its ``extra_vars`` less what a question of type
    "password" in the template's survey hides (``display_extra_vars`` in ``awx/main/models/mixins.py``, 24.6).
    """
    ignored = answer.get("ignored_fields")
    ignored = ignored if isinstance(ignored, Mapping) else {}
    missing = [word for key, word in _FIELDS.items() if ignored.get(key)]
    if missing:
        return _switch_on(name, missing)
    if answer.get("type", kind) != kind:
        return _slices(name)
    if answer.get("limit") != sent["limit"]:
        return other_limit(answer, name)
    if not carries(answer, sent["extra_vars"][MARK]):
        return f"AWX template {name!r} launched a job that does not show {MARK}; take that out of its survey"
    return None


def other_limit(job: Mapping[str, Any], name: str) -> str:
    """Say that a job was launched for other hosts than were asked for."""
    return f"AWX template {name!r} launched a job with the limit {str(job.get('limit'))[:100]!r}"


def _switch_on(name: str, missing: list[str]) -> str:
    return (
        f"AWX template {name!r} ignores what it is given; switch on 'Prompt on launch' for {' and '.join(missing)}"
        " (ask_limit_on_launch, ask_variables_on_launch)"
    )


def check_slicing(template: Mapping[str, Any]) -> None:
    """Raises LaunchRefused if the template cuts its jobs into slices, which become a workflow of several jobs."""
    slices = template.get("job_slice_count")
    if isinstance(slices, int) and slices > 1:
        raise LaunchRefused(_slices(template.get("name")))


def _slices(name: Any) -> str:
    return f"AWX template {name!r} slices its jobs; set job_slice_count to 1"


def check_nodes(nodes: Iterable[Mapping[str, Any]], templates: Mapping[int, Mapping[str, Any]], inventory: int) -> None:
    """Check that every job of a workflow keeps to the limit, takes the variables, and uses the workflow's inventory.

    AWX hands the workflow's limit on only to those job templates that ask for one; the others run on all their hosts.

    Raises LaunchRefused, naming the first template that does not.
    """
    for node in nodes:
        summary = node.get("summary_fields")
        template = summary.get("unified_job_template") if isinstance(summary, Mapping) else None
        if not isinstance(template, Mapping):
            raise LaunchRefused("the AWX workflow has a node without a template")
        kind = template.get("unified_job_type")
        if kind == "workflow_job":
            raise LaunchRefused(f"the AWX workflow holds another workflow, {template.get('name')!r}; not supported")
        if kind == "job":
            job_template = templates.get(number_of(template))
            if job_template is None:
                raise LaunchRefused("the AWX workflow has a node whose template AWX does not show")
            check_slicing(job_template)
            check_prompts({**job_template, "inventory_needed_to_start": False}, str(job_template.get("name")))
            asks = job_template.get("ask_inventory_on_launch") is True
            if not asks and job_template.get("inventory") != inventory:
                raise LaunchRefused(
                    f"AWX template {job_template.get('name')!r} in the workflow has another inventory than the workflow"
                )


def check_host(hosts: Iterable[Mapping[str, Any]], groups: Iterable[Mapping[str, Any]], name: str) -> None:
    """Raises LaunchRefused unless exactly this host, enabled, is in the inventory, and no group has its name."""
    exact = [host for host in hosts if host.get("name") == name]
    if not exact:
        raise LaunchRefused(
            f"host {name!r} is not in the inventory of the AWX template; if it is new, synchronise the inventory"
        )
    if exact[0].get("enabled") is False:
        raise LaunchRefused(f"host {name!r} is disabled in AWX's inventory")
    if any(group.get("name") == name for group in groups):
        raise LaunchRefused(f"AWX's inventory also has a group {name!r}; a limit would mean the group")


def carries(job: Mapping[str, Any], marked: str) -> bool | None:
    """Tell whether a job carries this mark; None if it does not show its variables."""
    text = job.get("extra_vars")
    if text is None:
        return None
    return _variables(text).get(MARK) == marked


def _variables(text: Any) -> Mapping[str, Any]:
    """Read a job's variables: AWX shows JSON, and keeps YAML where a person wrote YAML.

    Only those that may carry a mark, and no YAML longer than a person writes: its reader takes seconds for a megabyte.
    """
    if isinstance(text, str):
        if MARK not in text:
            return {}
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            if len(text) > _LONGEST_YAML:
                return {}
            try:
                text = bounded_yaml.load(text)
            except (yaml.YAMLError, ValueError, RecursionError):
                return {}
    return text if isinstance(text, Mapping) else {}
