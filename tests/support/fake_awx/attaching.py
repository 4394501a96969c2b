# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists to which what exists already is attached, and from which it is taken away.

After ``SubListCreateAttachDetachAPIView`` in ``awx/api/generics.py`` and ``WorkflowJobTemplateNodeChildrenBaseList`` in
``awx/api/views/__init__.py`` of AWX 24.6.1.  Creating something by such a list is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.fake_awx.lists import Refused
from tests.support.fake_awx.state import APPROVALS, BRANCHES, NOTIFICATIONS, FakeAwx

# What may be attached where.  An approval's template has no lists of branches, although its node has.
PLACES: dict[tuple[str, str], str] = {
    ("job_templates", "credentials"): "credentials",
    **{("job_templates", each): "notification_templates" for each in NOTIFICATIONS},
    **{("workflow_job_templates", each): "notification_templates" for each in (*NOTIFICATIONS, APPROVALS)},
    **{("workflow_job_template_nodes", each): "workflow_job_template_nodes" for each in BRANCHES},
}
LISTS = {name for _, name in PLACES}


def attach(awx: FakeAwx, place: tuple[str, str], parent: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Attach ``id``, or take it away with ``disassociate``."""
    number = body.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise Refused(400, {"msg": '"id" field must be an integer.'})
    found = awx.get(PLACES[place], number)
    if found is None:
        raise Refused(400, {"detail": f"No {PLACES[place]} has the number {number}."})
    taken_away = "disassociate" in body
    if place[1] in BRANCHES and not taken_away:
        _check_branch(awx, place[1], parent, found)
    with awx.lock:
        kept = [each for each in parent[place[1]] if each != number]
        parent[place[1]] = kept if taken_away else [*kept, number]


def _check_branch(awx: FakeAwx, branch: str, parent: Mapping[str, Any], child: Mapping[str, Any]) -> None:
    if any(child["id"] in parent[other] for other in BRANCHES if other != branch):
        raise Refused(400, {"Error": "Relationship not allowed."})
    ahead, seen = [child["id"]], set()
    while ahead:
        number = ahead.pop()
        if number == parent["id"]:
            raise Refused(400, {"Error": "Cycle detected."})
        if number not in seen:
            seen.add(number)
            node = awx.get("workflow_job_template_nodes", number) or {}
            ahead += [each for name in BRANCHES for each in node.get(name, [])]
