# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launches: what is refused, what is ignored, and what the job gets.

After ``JobLaunchSerializer`` and ``WorkflowJobLaunchSerializer`` in ``awx/api/serializers.py``, and
``_accept_or_ignore_job_kwargs`` in ``awx/main/models/jobs.py`` and ``workflow.py`` of AWX 24.6.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.fake_awx import surveys
from tests.support.fake_awx.lists import Refused
from tests.support.fake_awx.state import FakeAwx

_WORKFLOWS_ASK = ("inventory", "limit", "scm_branch", "variables", "labels", "skip_tags", "tags")
_NOT_PROMPTED = "Field is not configured to prompt on launch."


def launch_view(kind: str, template: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``GET .../launch/`` says; of a workflow it says less."""
    asks = {key: value for key, value in template.items() if key.startswith("ask_")}
    needed = [question["variable"] for question in surveys.questions(template) if question["required"]]
    about = {"name": template["name"], "id": template["id"], "description": template["description"]}
    both = {
        "variables_needed_to_start": needed,
        "survey_enabled": template["survey_enabled"] and "spec" in template["survey_spec"],
    }
    if kind == "workflow_job_templates":
        asks = {f"ask_{name}_on_launch": asks[f"ask_{name}_on_launch"] for name in _WORKFLOWS_ASK}
        return asks | both | {"can_start_without_user_input": not needed, "workflow_job_template_data": about}
    passwords = template["passwords_needed"]
    return asks | both | {
        "can_start_without_user_input": not (any(asks.values()) or passwords or needed),
        "passwords_needed_to_start": passwords,
        "credential_needed_to_start": False,
        "inventory_needed_to_start": template["inventory"] is None,
        "job_template_data": about,
    }  # fmt: skip


def launch(
    awx: FakeAwx, kind: str, template: Mapping[str, Any], body: Mapping[str, Any]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Create a job; return its kind, the job, and what of the request was ignored.  What is no prompt is dropped.

    Raises Refused if AWX would refuse it.
    """
    workflow = kind == "workflow_job_templates"
    own = yaml.safe_load(template["extra_vars"] or "{}") or {}
    given = _given(body)
    used, ignored, errors = _variables(template, own, given.get("extra_vars", {}), refuse=workflow)
    limit = template["limit"] or ""
    if given.get("limit", limit) != limit:
        if template["ask_limit_on_launch"]:
            limit = given["limit"]
        else:
            # A workflow refuses what its template does not ask for; a job template launches without it.
            ignored["limit"] = given["limit"]
            errors |= {"limit": [_NOT_PROMPTED]} if workflow else {}
    if not workflow:
        errors |= _resources(awx, template)
    if errors:
        raise Refused(400, errors)
    slices = 1 if workflow else min(template["job_slice_count"], len(awx.all("hosts", inventory=template["inventory"])))
    parent = "workflow_job_template" if workflow else "job_template"
    job_kind = "workflow_jobs" if workflow or slices > 1 else "jobs"
    job = awx.add(
        job_kind,
        name=template["name"],
        extra_vars=json.dumps({**own, **surveys.defaults(template), **used}),
        survey_passwords=surveys.passwords(template),
        limit=limit,
        inventory=template["inventory"],
        unified_job_template=template["id"],
        **{parent: template["id"]},
    )
    return job_kind, job, ignored


def _given(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check the types of what is given."""
    errors = {}
    if not isinstance(body.get("extra_vars", {}), dict):
        errors["extra_vars"] = ["Cannot parse as JSON or YAML."]
    if not isinstance(body.get("limit", ""), str):
        errors["limit"] = ["Not a valid string."]
    if errors:
        raise Refused(400, errors)
    return body


def _variables(
    template: Mapping[str, Any], own: Mapping[str, Any], given: Mapping[str, Any], *, refuse: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Sort variables into those that are used and those that are ignored, and say what is wrong with them.

    ``_accept_or_ignore_variables`` in ``awx/main/models/mixins.py``: what the survey asks for is used, and anything
    else if the template asks for variables.  A value that the template has anyway counts as neither.
    """
    wrong = {each["variable"]: surveys.wrong(each, given) for each in surveys.questions(template)}
    asked = {name for name, faults in wrong.items() if not faults}
    everything = template["ask_variables_on_launch"]
    used = {name: value for name, value in given.items() if name in asked or (everything and name not in wrong)}
    rest = {name: given[name] for name in given.keys() - used.keys() if own.get(name, ...) != given[name]}
    errors: dict[str, Any] = {}
    if any(wrong.values()):
        errors["variables_needed_to_start"] = [fault for faults in wrong.values() for fault in faults]
    if refuse and rest:
        errors["extra_vars"] = [f"Variables {', '.join(rest)} are not allowed on launch."]
    return used, {"extra_vars": rest} if rest else {}, errors


def _resources(awx: FakeAwx, template: Mapping[str, Any]) -> dict[str, Any]:
    """Say what a job template lacks."""
    errors: dict[str, Any] = {}
    project = awx.get("projects", template["project"] or 0)
    lacking = [name for name, there in (("project", project), ("inventory", template["inventory"])) if not there]
    if lacking:
        errors["resources_needed_to_start"] = [f"Job Template {name} is missing or undefined." for name in lacking]
    if project is None:
        errors["project"] = ["A project is required to run a job."]
    elif project["status"] in ("error", "failed") and not project["scm_update_on_launch"]:
        errors["playbook"] = ["Missing a revision to run due to failed project update."]
    if template["passwords_needed"]:
        errors["passwords_needed_to_start"] = template["passwords_needed"]
    return errors
