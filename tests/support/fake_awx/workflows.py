# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workflows: which nodes are taken, and which of them a workflow job goes through.

After ``WorkflowJobTemplateNodeSerializer`` in ``awx/api/serializers.py``, ``WorkflowJobTemplateNodeCreateApproval`` in
``awx/api/views/__init__.py``, ``WorkflowJobNode.get_job_kwargs`` and ``WorkflowApproval`` in
``awx/main/models/workflow.py``, ``awx/main/scheduler/dag_workflow.py`` and ``TaskManager.timeout_approval_node`` in
``awx/main/scheduler/task_manager.py`` of AWX 24.6.1.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

import yaml

from tests.support.fake_awx import surveys
from tests.support.fake_awx.lists import Refused
from tests.support.fake_awx.state import BRANCHES, FakeAwx

# What a node may run and a list of all templates shows, which leaves out those of approvals.
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "inventory_sources")
UNIFIED_FIELDS = ("id", "name", "description", "organization", "created", "modified")
# What the jobs of each kind of template are.
JOB_TYPES = {
    "job_templates": "job",
    "workflow_job_templates": "workflow_job",
    "workflow_approval_templates": "workflow_approval",
    "projects": "project_update",
    "inventory_sources": "inventory_update",
}
_NODES = "workflow_job_template_nodes"


def add_node(awx: FakeAwx, body: Mapping[str, Any]) -> dict[str, Any]:
    """Create a node of a workflow's template; what it runs may be said later."""
    _check(awx, body)
    if awx.get("workflow_job_templates", body.get("workflow_job_template") or 0) is None:
        raise Refused(400, {"workflow_job_template": ["This field is required."]})
    node = {"identifier": str(uuid.uuid4()), **body}
    if awx.all(_NODES, workflow_job_template=node["workflow_job_template"], identifier=node["identifier"]):
        raise Refused(400, {"__all__": ["Workflow job template node with this Identifier already exists."]})
    return awx.add(_NODES, **node)


def changed_node(awx: FakeAwx, node: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a request changes of a node: to which workflow it belongs, it does not."""
    _check(awx, {**node, **given})
    return {key: value for key, value in given.items() if key != "workflow_job_template"}


def _check(awx: FakeAwx, node: Mapping[str, Any]) -> None:
    number = node.get("unified_job_template")
    if number is not None and used_by(awx, node) is None:
        raise Refused(400, {"unified_job_template": [f'Invalid pk "{number}" - object does not exist.']})


def used_by(awx: FakeAwx, node: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return what a node runs, and of which kind that is."""
    number = node.get("unified_job_template") or 0
    found = ((kind, awx.get(kind, number)) for kind in (*UNIFIED, "workflow_approval_templates"))
    return next(((kind, item) for kind, item in found if item), None)


def add_approval(awx: FakeAwx, node: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Create what a node asks for, in place of what it ran before."""
    if not body.get("name"):
        raise Refused(400, {"name": ["This field is required."]})
    if type(body.get("timeout", 0)) is not int:
        raise Refused(400, {"timeout": ["A valid integer is required."]})
    known = {key: body[key] for key in ("name", "description", "timeout") if key in body}
    made = awx.add("workflow_approval_templates", **known)
    node["unified_job_template"] = made["id"]
    return made


# How a workflow job goes on.  Nothing is done before a test says so.


def walk(awx: FakeAwx, job: dict[str, Any]) -> None:
    """Begin what may begin now, as AWX's workflow manager does; end the job where nothing is left."""
    template_nodes = awx.all(_NODES, workflow_job_template=job["workflow_job_template"])
    begun = {node["identifier"]: node for node in awx.all("workflow_nodes", workflow_job=job["id"])}
    for node in template_nodes:
        if node["identifier"] not in begun and _may_begin(node, template_nodes, begun, awx):
            begun[node["identifier"]] = _begin(awx, job, node)
    states = [_state(awx, node) for node in begun.values()]
    if not any(state in ("pending", "running") for state in states):
        awx.finish(job, "failed" if _failed(awx, template_nodes, begun) else "successful")


def answer_approval(awx: FakeAwx, job: dict[str, Any], status: str) -> None:
    """Approve (``successful``) what waits, or deny it or let its time pass (``failed``)."""
    for node in awx.all("workflow_nodes", workflow_job=job["id"]):
        if node["approval"] and node["approval"]["status"] == "pending":
            node["approval"]["status"] = status
    walk(awx, job)


def _may_begin(
    node: Mapping[str, Any], all_nodes: list[dict[str, Any]], begun: Mapping[str, Any], awx: FakeAwx
) -> bool:
    """Tell whether it is a root, or a parent has ended as one of its branches wants."""
    wants = {"success_nodes": ("successful",), "failure_nodes": ("failed",), "always_nodes": ("successful", "failed")}
    parents = [(each, branch) for each in all_nodes for branch in BRANCHES if node["id"] in each[branch]]
    ended = (
        _state(awx, begun[each["identifier"]]) in wants[branch]
        for each, branch in parents
        if each["identifier"] in begun
    )
    return not parents or any(ended)


def _begin(awx: FakeAwx, job: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    used = used_by(awx, node)
    made = {
        "workflow_job": job["id"],
        "identifier": node["identifier"],
        "unified_job_template": node["unified_job_template"],
    }
    if used is None:  # a node whose template is gone, or was never named, fails the workflow
        return awx.add("workflow_nodes", **made)
    kind, template = used
    if kind == "workflow_approval_templates":
        approval = {"id": template["id"], "name": template["name"], "status": "pending", "timeout": template["timeout"]}
        return awx.add("workflow_nodes", **made, approval=approval)
    return awx.add("workflow_nodes", **made, job=_spawn(awx, job, template)["id"])


def _spawn(awx: FakeAwx, job: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """A job gets all variables of the workflow, whether or not its template asks for any; a limit only if it asks."""
    own = yaml.safe_load(template["extra_vars"] or "{}") or {}
    limit = job["limit"] if job["limit"] and template["ask_limit_on_launch"] else template["limit"]
    return awx.add(
        "jobs",
        name=template["name"],
        job_template=template["id"],
        unified_job_template=template["id"],
        inventory=template["inventory"],
        extra_vars=json.dumps({**own, **surveys.defaults(template), **json.loads(job["extra_vars"])}),
        survey_passwords=surveys.passwords(template),
        limit=limit,
    )


def _state(awx: FakeAwx, node: Mapping[str, Any]) -> str:
    if node["approval"]:
        return str(node["approval"]["status"])
    run = awx.get("jobs", node["job"]) if node["job"] else None
    if run is None:
        return "failed"
    return "failed" if run["status"] in ("error", "canceled") else str(run["status"])


def _failed(awx: FakeAwx, all_nodes: list[dict[str, Any]], begun: Mapping[str, Any]) -> bool:
    """A failure fails the workflow where no branch of its node was there to take it up."""
    return any(
        _state(awx, begun[node["identifier"]]) == "failed" and not (node["failure_nodes"] or node["always_nodes"])
        for node in all_nodes
        if node["identifier"] in begun
    )
