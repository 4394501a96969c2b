# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true in AWX before a run may be launched there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_recovery.receiver.runs.awx import jobs, launch_request
from autoglm_recovery.receiver.runs.awx.client import AwxClient, AwxRefused, Deadline
from autoglm_recovery.receiver.runs.awx.settings import Template
from autoglm_recovery.receiver.runs.protocol import LaunchRefused


@dataclass(frozen=True)
class LaunchableTemplate:
    """A template that may be launched for a host."""

    name: str
    number: int
    workflow: bool

    @property
    def path(self) -> str:
        """Return where it is launched."""
        return f"{_collection(self.workflow)}/{self.number}/launch/"

    @property
    def kind(self) -> str:
        """Return what kind of job it makes."""
        return "workflow_job" if self.workflow else "job"


def find_template(client: AwxClient, wanted: Template, deadline: Deadline) -> Mapping[str, Any]:
    """Find a template by name.

    Raises LaunchRefused if there is not exactly one.
    """
    within: dict[str, Any] = {"organization__name": wanted.organization} if wanted.organization else {}
    pages = client.pages(f"{_collection(wanted.workflow)}/", deadline, name=wanted.name, page_size=200, **within)
    return launch_request.only_template([item for page in pages for item in page], wanted)


def _collection(workflow: bool) -> str:
    return "workflow_job_templates" if workflow else "job_templates"


def preflight(
    client: AwxClient, wanted: Template, template: Mapping[str, Any], host: str, deadline: Deadline
) -> LaunchableTemplate:
    """Check everything that would make AWX run something else than what was ordered.

    ``template`` is the one of that name, as AWX shows it now.

    Raises LaunchRefused with what a person must change in AWX.
    """
    launch_request.check_limit(host)
    ready = LaunchableTemplate(wanted.name, launch_request.number_of(template), wanted.workflow)
    launch_request.check_slicing(template)
    launch_request.check_prompts(client.get(ready.path, deadline), wanted.name)
    inventory = template.get("inventory")
    if not isinstance(inventory, int):
        raise LaunchRefused(f"AWX template {wanted.name!r} has no inventory of its own; give it one")
    if wanted.workflow:
        _check_nodes(client, ready, inventory, deadline)
    try:
        hosts = client.get(f"inventories/{inventory}/hosts/", deadline, name=host)
        groups = client.get(f"inventories/{inventory}/groups/", deadline, name=host)
    except AwxRefused as error:
        if error.status != 403:
            raise
        raise LaunchRefused(
            f"AWX does not show inventory {inventory} of the template {wanted.name!r}: "
            "give the receiver's user the role Read on it"
        ) from error
    launch_request.check_host(jobs.listed(hosts), jobs.listed(groups), host)
    return ready


def _check_nodes(client: AwxClient, ready: LaunchableTemplate, inventory: int, deadline: Deadline) -> None:
    path = f"workflow_job_templates/{ready.number}/workflow_nodes/"
    nodes = [node for page in client.pages(path, deadline, page_size=200) for node in page]
    templates: dict[int, Mapping[str, Any]] = {}
    for node in nodes:
        summary = node.get("summary_fields")
        used = summary.get("unified_job_template") if isinstance(summary, Mapping) else None
        if isinstance(used, Mapping) and used.get("unified_job_type") == "job":
            number = launch_request.number_of(used)
            if number not in templates:
                templates[number] = client.get(f"job_templates/{number}/", deadline)
    launch_request.check_nodes(nodes, templates, inventory)
