# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API answers to a request: a pure mapping over the state, apart from HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tests.fake_awx.lists import Refused, listing
from tests.fake_awx.state import ENDED, KINDS, TYPES, FakeAwx

Answer = tuple[int, Any]
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
    ("workflow_job_templates", "workflow_nodes"): ("workflow_nodes", "workflow_job_template"),
}
_FIELD_OF_PROMPT = {"limit": "ask_limit_on_launch", "extra_vars": "ask_variables_on_launch"}


def answer(awx: FakeAwx, method: str, path: str, query: Sequence[tuple[str, str]], body: Any) -> Answer:
    """Answer a request to C(/api/v2/...).

    :raises Refused: where Django REST framework answers with an error.
    """
    if awx.migrating:
        raise Redirected("/migrations_notran/")
    if not path.endswith("/"):
        raise Redirected(f"{path}/")
    parts = path.removeprefix("/api/v2/").strip("/").split("/")
    if parts in ([""], ["ping"]):
        return 200, {"version": "24.6.1", "ha": False}
    kind = parts[0]
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
    if method != "POST" or kind in ("jobs", "workflow_jobs", "job_events"):
        raise _NOT_ALLOWED
    _check_fields(kind, body)
    if any(_same_place(kind, item, body) for item in awx.all(kind)):
        raise Refused(400, {"__all__": [f"{TYPES[kind]} with this Name already exists."]})
    return 201, shown(awx, kind, awx.add(kind, **body))


def _same_place(kind: str, item: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Tell whether a name is taken: names are unique within the organisation or the inventory."""
    scope = [field for field in ("organization", "inventory") if field in KINDS[kind] and kind != "job_templates"]
    keys = ["name", *(["organization"] if kind == "job_templates" else scope)]
    return all(item.get(key) == body.get(key) for key in keys)


def _check_fields(kind: str, body: Mapping[str, Any]) -> None:
    if not body.get("name"):
        raise Refused(400, {"name": ["This field is required."]})
    if kind == "projects" and not body.get("scm_url") and body.get("scm_type"):
        raise Refused(400, {"scm_url": ["SCM URL is required."]})


def _one(awx: FakeAwx, method: str, kind: str, found: dict[str, Any], body: Any) -> Answer:
    if method == "GET":
        return 200, shown(awx, kind, found)
    if method == "PATCH":
        with awx.lock:
            found.update({key: value for key, value in body.items() if key in KINDS[kind]})
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
        return (200, launch_view(found)) if method == "GET" else launch(awx, kind, found, body)
    if what == "cancel" and kind in ("jobs", "workflow_jobs"):
        return _cancel(awx, found) if method == "POST" else (200, {"can_cancel": found["status"] not in ENDED})
    if what == "survey_spec":
        return _survey(awx, method, found, body)
    if what == "credentials" and kind == "job_templates":
        return _credentials(awx, method, path, found, query, body)
    if what == "update" and method == "POST" and kind in ("inventory_sources", "projects"):
        return 202, _update(awx, kind, found)
    raise _NOT_FOUND


def launch_view(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return what C(GET .../launch/) says."""
    asks = {key: value for key, value in template.items() if key.startswith("ask_")}
    needed = template.get("passwords_needed", [])
    return asks | {
        "can_start_without_user_input": not (any(asks.values()) or needed),
        "passwords_needed_to_start": needed,
        "variables_needed_to_start": [q["variable"] for q in _questions(template) if q["required"]],
        "credential_needed_to_start": False,
        "inventory_needed_to_start": template["inventory"] is None,
        "survey_enabled": template["survey_enabled"],
        "job_template_data": {"name": template["name"], "id": template["id"]},
    }


def launch(awx: FakeAwx, kind: str, template: dict[str, Any], body: Mapping[str, Any]) -> Answer:
    """Create a job; what the template does not ask for is ignored."""
    if awx.forbidden_launch:
        raise _NO_PERMISSION
    _validate(template, body)
    if template.get("passwords_needed"):
        raise Refused(400, {"passwords_needed_to_start": template["passwords_needed"]})
    used: dict[str, Any] = {}
    ignored: dict[str, Any] = {}
    for field, value in body.items():
        ask = _FIELD_OF_PROMPT.get(field)
        (used if ask and template[ask] else ignored)[field] = value
    # The template's own variables and the defaults of its survey are there too, below what was given.
    own = yaml.safe_load(template.get("extra_vars") or "{}") or {}
    variables = json.dumps({**own, **_survey_defaults(template), **used.get("extra_vars", {})})
    job_kind, parent = (
        ("jobs", "job_template") if kind == "job_templates" else ("workflow_jobs", "workflow_job_template")
    )
    job = awx.add(
        job_kind,
        name=template["name"],
        extra_vars=variables,
        limit=used.get("limit", template.get("limit") or ""),
        inventory=template["inventory"],
        unified_job_template=template["id"],
        **{parent: template["id"]},
    )
    return 201, {TYPES[job_kind]: job["id"], "ignored_fields": ignored, **shown(awx, job_kind, job)}


def _validate(template: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Refuse as JobLaunchSerializer does (awx/api/serializers.py)."""
    given = body.get("extra_vars", {})
    if not isinstance(given, dict):
        raise Refused(400, {"extra_vars": ["Cannot parse as JSON or YAML."]})
    if not isinstance(body.get("limit", ""), str):
        raise Refused(400, {"limit": ["Not a valid string."]})
    if template.get("project_deleted"):
        raise Refused(400, {"project": ["Missing project to use in job template"]})
    missing = [q["variable"] for q in _questions(template) if q["required"] and q["variable"] not in given]
    if missing:
        raise Refused(400, {"variables_needed_to_start": [f"'{name}' value missing" for name in missing]})


def _questions(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(template["survey_spec"].get("spec", [])) if template["survey_enabled"] else []


def _survey_defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    return {q["variable"]: q["default"] for q in _questions(template) if "default" in q}


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
    for question in body.get("spec", []):
        if not {"question_name", "variable", "type", "required"} <= set(question):
            raise Refused(400, {"error": "'question_name', 'variable', 'type' or 'required' missing from a question."})
    with awx.lock:
        template["survey_spec"] = body
    return 200, None


def _credentials(
    awx: FakeAwx, method: str, path: str, template: dict[str, Any], query: Sequence[tuple[str, str]], body: Any
) -> Answer:
    if method == "GET":
        items = [shown(awx, "credentials", awx.get("credentials", number) or {}) for number in template["credentials"]]
        return 200, listing(path, items, query, _fields("credentials"), awx.related)
    with awx.lock:
        kept = [number for number in template["credentials"] if number != body["id"]]
        template["credentials"] = kept if body.get("disassociate") else [*kept, body["id"]]
    return 204, None


def shown(awx: FakeAwx, kind: str, item: Mapping[str, Any], *, detail: bool = True) -> dict[str, Any]:
    """Return an object as the API shows it: with its address, what is related, and no secrets.

    Lists of jobs leave out what only the C(detail) of one has.
    """
    if detail and kind in ("jobs", "workflow_jobs", "inventory_updates"):
        awx.looked_at(kind, item["id"])
    url = f"/api/v2/{kind}/{item['id']}/"
    view = {key: value for key, value in item.items() if key not in ("survey_spec", "credentials", "passwords_needed")}
    view |= {"url": url, "related": {}, "summary_fields": {}}
    if kind in ("jobs", "workflow_jobs"):
        view["elapsed"] = awx.elapsed(item)
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
    if kind == "workflow_nodes":
        view["summary_fields"] = _node_summary(awx, item)
    return view


def _shortened(stdout: str) -> str:
    """EVENT_STDOUT_MAX_BYTES_DISPLAY of AWX' settings, and what JobEventSerializer puts in place of the rest."""
    return stdout if len(stdout) < 1024 else f"{stdout[:1023]}\u2026"


def _node_summary(awx: FakeAwx, node: Mapping[str, Any]) -> dict[str, Any]:
    template = awx.get("job_templates", node["unified_job_template"]) if node["unified_job_template"] else None
    workflow = awx.get("workflow_job_templates", node["unified_job_template"] or 0)
    summary: dict[str, Any] = {}
    used = template or workflow
    if used:
        job_type = "job" if template else "workflow_job"
        summary["unified_job_template"] = {"id": used["id"], "name": used["name"], "unified_job_type": job_type}
    job = awx.get("jobs", node["job"]) if node["job"] else None
    if job:
        summary["job"] = {key: job[key] for key in ("id", "name", "status", "type", "failed")}
    if node.get("approval"):
        summary["job"] = {"type": "workflow_approval", "failed": False, **node["approval"]}
    return summary


def _fields(kind: str) -> set[str]:
    return {"id", "created", "modified", *KINDS[kind]} - ({"limit"} if kind == "workflow_jobs" else set())
