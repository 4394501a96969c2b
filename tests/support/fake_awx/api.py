# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API answers to a request: a pure mapping over the state, apart from HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.fake_awx import attaching, launching, notifications, surveys, workflows
from tests.support.fake_awx.lists import Refused, listing
from tests.support.fake_awx.state import APPROVALS, ENDED, KINDS, NOTIFICATIONS, TYPES, FakeAwx

Answer = tuple[int, Any]
_NOT_SHOWN = {"survey_spec", "credentials", "passwords_needed", *NOTIFICATIONS, APPROVALS}
_NOT_FOUND = Refused(404, {"detail": "Not found."})
_NOT_ALLOWED = Refused(405, {"detail": "Method not allowed."})
_NO_PERMISSION = Refused(403, {"detail": "You do not have permission to perform this action."})


class Redirected(Exception):
    """Django sends the client elsewhere, with a page of HTML."""

    def __init__(self, to: str) -> None:
        """Keep the place."""
        super().__init__(to)
        self.to = to


class NoSuchPage(Exception):
    """No view has this address: Django's own page, not an answer of the API."""


# Sublists: which kind, and by which of its fields it belongs to its parent.
_SUBLISTS = {
    ("inventories", "hosts"): ("hosts", "inventory"),
    ("inventories", "groups"): ("groups", "inventory"),
    ("jobs", "job_events"): ("job_events", "job"),
    ("workflow_jobs", "workflow_nodes"): ("workflow_nodes", "workflow_job"),
    ("workflow_job_templates", "workflow_nodes"): ("workflow_job_template_nodes", "workflow_job_template"),
}


def answer(awx: FakeAwx, method: str, path: str, query: Sequence[tuple[str, str]], body: Any) -> Answer:
    """Answer a request to ``/api/v2/...``.

    Raises Refused where Django REST framework answers with an error.
    """
    if awx.migrating:
        raise Redirected("/migrations_notran/")
    if not path.endswith("/"):
        raise Redirected(f"{path}/")
    parts = path.removeprefix("/api/v2/").strip("/").split("/")
    if parts in ([""], ["ping"]):
        return 200, {"version": "24.6.1", "ha": False}
    kind = parts[0]
    if parts == ["unified_job_templates"] and method == "GET":
        items = [shown(awx, each, item, detail=False) for each in workflows.UNIFIED for item in awx.all(each)]
        return 200, listing(path, items, query, set(workflows.UNIFIED_FIELDS), awx.related)
    if kind not in KINDS:
        raise NoSuchPage
    if method != "GET" and not _permitted(awx, parts[-1]):
        raise _NO_PERMISSION
    if len(parts) == 1:
        return _collection(awx, method, path, kind, query, body)
    found = awx.get(kind, int(parts[1])) if parts[1].isdigit() else None
    if found is None:
        raise _NOT_FOUND
    if len(parts) == 2:
        return _one(awx, method, kind, found, body)
    return _below(awx, method, path, (kind, parts[2]), found=found, query=query, body=body)


def _permitted(awx: FakeAwx, what: str) -> bool:
    """Tell whether the token has the scope to write, and its user a role for this: Execute may do two things."""
    return awx.may_write and (awx.is_superuser or what in ("launch", "cancel"))


def _collection(awx: FakeAwx, method: str, path: str, kind: str, query: Sequence[tuple[str, str]], body: Any) -> Answer:
    if method == "GET":
        items = [shown(awx, kind, item, detail=False) for item in awx.all(kind)]
        return 200, listing(path, items, query, _fields(kind), awx.related)
    if method != "POST" or kind in ("jobs", "workflow_jobs", "job_events", "workflow_approval_templates"):
        raise _NOT_ALLOWED
    body = {key: value for key, value in body.items() if key in KINDS[kind] and key not in attaching.LISTS}
    if kind == "workflow_job_template_nodes":
        return 201, shown(awx, kind, workflows.add_node(awx, body))
    _check_fields(kind, body)
    if kind == "notification_templates":
        body = notifications.checked(body, None)
    if kind == "job_templates":
        _check_playbook(awx, KINDS[kind] | body)
    if any(_same_place(kind, item, body) for item in awx.all(kind)):
        raise Refused(400, {"__all__": [f"{TYPES[kind]} with this Name already exists."]})
    return 201, shown(awx, kind, awx.add(kind, **body))


def _same_place(kind: str, item: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Tell whether a name is taken: names are unique within the organisation or the inventory."""
    if kind == "execution_environments":  # the one kind whose names are unique over all organizations
        return bool(item["name"] == body.get("name"))
    scope = [field for field in ("organization", "inventory") if field in KINDS[kind] and kind != "job_templates"]
    keys = ["name", *(["organization"] if kind == "job_templates" else scope)]
    return all(item.get(key) == body.get(key) for key in keys)


def _check_fields(kind: str, body: Mapping[str, Any]) -> None:
    if not body.get("name"):
        raise Refused(400, {"name": ["This field is required."]})
    if kind == "projects" and not body.get("scm_url") and body.get("scm_type"):
        raise Refused(400, {"scm_url": ["SCM URL is required."]})
    if kind == "execution_environments" and not body.get("image"):
        raise Refused(400, {"image": ["This field is required."]})


def _check_playbook(awx: FakeAwx, template: Mapping[str, Any]) -> None:
    project = awx.get("projects", template["project"] or 0)
    if project is None:
        raise Refused(400, {"project": ["This field is required."]})
    if not template["playbook"]:
        raise Refused(400, {"playbook": ["Must select playbook for project."]})
    if not project["allow_override"] and template["playbook"] not in awx.playbooks:
        raise Refused(400, {"playbook": ["Playbook not found for project."]})


def _one(awx: FakeAwx, method: str, kind: str, found: dict[str, Any], body: Any) -> Answer:
    if method == "GET":
        return 200, shown(awx, kind, found)
    if method == "PATCH":
        given = {key: value for key, value in body.items() if key in KINDS[kind] and key not in attaching.LISTS}
        if kind == "job_templates":
            _check_playbook(awx, found | given)
        if kind == "notification_templates":
            given = notifications.checked(given, found)
        if kind == "workflow_job_template_nodes":
            given = workflows.changed_node(awx, found, given)
        with awx.lock:
            found.update(given)
        return 200, shown(awx, kind, found)
    if method == "DELETE":
        awx.delete(kind, found["id"])
        return 204, None
    raise _NOT_ALLOWED


def _below(
    awx: FakeAwx,
    method: str,
    path: str,
    place: tuple[str, str],
    *,
    found: dict[str, Any],
    query: Sequence[tuple[str, str]],
    body: Any,
) -> Answer:
    kind, what = place
    if place in _SUBLISTS and method == "GET":
        if kind == "inventories" and awx.hidden_inventories and not awx.is_superuser:
            raise _NO_PERMISSION
        below, field = _SUBLISTS[place]
        items = [shown(awx, below, item, detail=False) for item in awx.all(below, **{field: found["id"]})]
        return 200, listing(path, items, query, _fields(below), awx.related)
    if what == "launch" and kind in ("job_templates", "workflow_job_templates"):
        return (200, launching.launch_view(kind, found)) if method == "GET" else _launch(awx, kind, found, body)
    if what == "cancel" and kind in ("jobs", "workflow_jobs"):
        return _cancel(awx, found) if method == "POST" else (200, {"can_cancel": found["status"] not in ENDED})
    if what == "survey_spec" and kind in ("job_templates", "workflow_job_templates"):
        return _survey(awx, method, found, body)
    if place in attaching.PLACES:
        return _attached(awx, method, path, place, found=found, query=query, body=body)
    return _below_too(awx, method, place, found, body)


def _below_too(awx: FakeAwx, method: str, place: tuple[str, str], found: dict[str, Any], body: Any) -> Answer:
    kind, what = place
    if what == "create_approval_template" and kind == "workflow_job_template_nodes" and method == "POST":
        return 201, shown(awx, "workflow_approval_templates", workflows.add_approval(awx, found, body))
    if what == "update" and method == "POST" and kind in ("inventory_sources", "projects"):
        return 202, _update(awx, kind, found)
    raise _NOT_FOUND


def _launch(awx: FakeAwx, kind: str, template: dict[str, Any], body: Mapping[str, Any]) -> Answer:
    if awx.forbidden_launch:
        raise _NO_PERMISSION
    job_kind, job, ignored = launching.launch(awx, kind, template, body)
    return 201, {TYPES[job_kind]: job["id"], "ignored_fields": ignored, **shown(awx, job_kind, job)}


def _cancel(awx: FakeAwx, job: dict[str, Any]) -> Answer:
    if job["status"] in ENDED:
        # Who is no superuser is refused before the view is asked: JobAccess.can_cancel (awx/main/access.py).
        raise _NOT_ALLOWED if awx.is_superuser else _NO_PERMISSION
    # The dispatcher ends it some time later; until then it goes on, and may even end by itself.
    awx.cancelled_soon.setdefault(job["id"], awx.looks_until_cancelled)
    return 202, None


def _update(awx: FakeAwx, kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "projects":
        return {"id": 1, "status": "pending"}
    return shown(awx, "inventory_updates", awx.add("inventory_updates", inventory_source=found["id"]))


def _survey(awx: FakeAwx, method: str, template: dict[str, Any], body: Any) -> Answer:
    if method == "GET":
        return 200, template["survey_spec"]
    if method != "POST":
        raise _NOT_ALLOWED
    surveys.check_spec(body)
    with awx.lock:
        template["survey_spec"] = body
    return 200, None


def _attached(
    awx: FakeAwx,
    method: str,
    path: str,
    place: tuple[str, str],
    *,
    found: dict[str, Any],
    query: Sequence[tuple[str, str]],
    body: Any,
) -> Answer:
    below = attaching.PLACES[place]
    if method == "GET":
        items = [shown(awx, below, awx.get(below, number) or {}) for number in found[place[1]]]
        return 200, listing(path, items, query, _fields(below), awx.related)
    if method != "POST":
        raise _NOT_ALLOWED
    attaching.attach(awx, place, found, body)
    return 204, None


def shown(awx: FakeAwx, kind: str, item: Mapping[str, Any], *, detail: bool = True) -> dict[str, Any]:
    """Return an object as the API shows it: with its address, what is related, and no secrets.

    Lists of jobs leave out what only the ``detail`` of one has.
    """
    if detail and kind in ("jobs", "workflow_jobs", "inventory_updates"):
        awx.looked_at(kind, item["id"])
    url = f"/api/v2/{kind}/{item['id']}/"
    view = {key: value for key, value in item.items() if key not in _NOT_SHOWN}
    view |= {"url": url, "related": {}, "summary_fields": {}}
    if kind in ("jobs", "workflow_jobs"):
        view["elapsed"] = awx.elapsed(item)
        view["extra_vars"] = _displayed(view["extra_vars"], view.pop("survey_passwords"))
        view["related"] = {"cancel": f"{url}cancel/"}
        if not detail:
            view.pop("event_processing_finished", None)
            view.pop("result_traceback", None)
    if kind == "inventory_sources":
        view["related"] = {"update": f"{url}update/"}
    if kind == "jobs":
        view["related"]["stdout"] = f"{url}stdout/"
    if kind in ("job_templates", "workflow_job_templates"):
        view["related"] = {"launch": f"{url}launch/", "survey_spec": f"{url}survey_spec/"}
    if kind == "job_events" and not detail and not item["event"].startswith("playbook_on"):
        view["stdout"] = _shortened(item["stdout"])
    if kind == "credentials":
        view["inputs"] = dict.fromkeys(item["inputs"], "$encrypted$")
    return view | _shown_of_workflows(awx, kind, item)


def _shown_of_workflows(awx: FakeAwx, kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "notification_templates":
        return {"notification_configuration": notifications.displayed(item)}
    if kind not in ("workflow_nodes", "workflow_job_template_nodes"):
        return {}
    view: dict[str, Any] = {"summary_fields": _node_summary(awx, item)}
    if kind == "workflow_job_template_nodes" and (used := workflows.used_by(awx, item)):
        view["related"] = {"unified_job_template": f"/api/v2/{used[0]}/{used[1]['id']}/"}
    return view


def _displayed(variables: str, passwords: Sequence[str]) -> str:
    """What the survey of the job's template calls a password is not shown (awx/main/models/mixins.py)."""
    if not passwords:
        return variables
    return json.dumps(
        {key: surveys.HIDDEN if key in passwords else each for key, each in json.loads(variables).items()}
    )


def _shortened(stdout: str) -> str:
    """EVENT_STDOUT_MAX_BYTES_DISPLAY of AWX' settings, and what JobEventSerializer puts in place of the rest."""
    return stdout if len(stdout) < 1024 else f"{stdout[:1023]}\u2026"


def _node_summary(awx: FakeAwx, node: Mapping[str, Any]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    if used := workflows.used_by(awx, node):
        job_type = workflows.JOB_TYPES.get(used[0], used[0])
        about = {"id": used[1]["id"], "name": used[1]["name"], "unified_job_type": job_type}
        summary["unified_job_template"] = about
    job = awx.get("jobs", node["job"]) if node.get("job") else None
    if job:
        summary["job"] = {key: job[key] for key in ("id", "name", "status", "type", "failed")}
    if node.get("approval"):
        summary["job"] = {"type": "workflow_approval", "failed": False, **node["approval"]}
    return summary


def _fields(kind: str) -> set[str]:
    return {"id", "created", "modified", *KINDS[kind]} - ({"limit"} if kind == "workflow_jobs" else set())
