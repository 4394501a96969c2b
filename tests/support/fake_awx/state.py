# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that the server knows, and what happens to them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

# Lists below a template or a node to which others are attached; no body of a request sets them.
NOTIFICATIONS = tuple(f"notification_templates_{when}" for when in ("started", "success", "error"))
APPROVALS = "notification_templates_approvals"
BRANCHES = ("success_nodes", "failure_nodes", "always_nodes")
_NOTIFIES: dict[str, Any] = {each: [] for each in NOTIFICATIONS}
# The fields of each kind that filters may name, with their defaults.
_COMMON = {"name": "", "description": ""}
_PROMPTS = (
    *("scm_branch", "diff_mode", "variables", "limit", "tags", "skip_tags", "job_type", "verbosity", "inventory"),
    *("credential", "execution_environment", "labels", "forks", "job_slice_count", "timeout", "instance_groups"),
)
_ASK = {f"ask_{name}_on_launch": False for name in _PROMPTS}
_RUN = {
    "status": "pending",
    "failed": False,
    "elapsed": 0.0,
    "started": None,
    "finished": None,
    "event_processing_finished": False,
    "job_explanation": "",
    "result_traceback": "",
    "extra_vars": "{}",
    "survey_passwords": [],
    "limit": "",
    "inventory": None,
    "unified_job_template": None,
}
KINDS: dict[str, dict[str, Any]] = {
    "organizations": dict(_COMMON),
    "credential_types": {**_COMMON, "kind": "cloud", "managed": False, "inputs": {}, "injectors": {}},
    "credentials": {**_COMMON, "organization": None, "credential_type": None, "inputs": {}},
    "execution_environments": {**_COMMON, "organization": None, "image": "", "pull": "", "credential": None},
    "projects": {
        **_COMMON,
        "organization": None,
        "scm_type": "",
        "scm_url": "",
        "scm_branch": "",
        "scm_update_on_launch": False,
        "scm_clean": False,
        "scm_delete_on_update": False,
        "scm_track_submodules": False,
        "scm_refspec": "",
        "scm_update_cache_timeout": 0,
        "timeout": 0,
        "local_path": "",
        "credential": None,
        "default_environment": None,
        "status": "successful",
        "allow_override": False,
        "scm_revision": "0123456789abcdef",
    },
    "inventories": {**_COMMON, "organization": None, "kind": "", "host_filter": None, "variables": ""},
    "inventory_sources": {
        **_COMMON,
        "inventory": None,
        "source": "",
        "source_path": "",
        "source_project": None,
        "source_vars": "",
        "update_on_launch": False,
        "overwrite": False,
        "overwrite_vars": False,
        "update_cache_timeout": 0,
        "credential": None,
        "enabled_var": "",
        "enabled_value": "",
        "host_filter": "",
        "timeout": 0,
        "verbosity": 1,
        "execution_environment": None,
    },
    "inventory_updates": {"inventory_source": None, "status": "pending", "failed": False, "finished": None},
    "hosts": {**_COMMON, "inventory": None, "enabled": True, "variables": ""},
    "groups": {**_COMMON, "inventory": None, "variables": ""},
    "job_templates": {
        **_COMMON,
        **_ASK,
        "organization": None,
        "inventory": None,
        "project": None,
        "playbook": "",
        "job_type": "run",
        "extra_vars": "",
        "limit": "",
        "survey_enabled": False,
        "survey_spec": {},
        "job_slice_count": 1,
        "allow_simultaneous": False,
        "become_enabled": False,
        "execution_environment": None,
        "credentials": [],
        **_NOTIFIES,
        "forks": 0,
        "verbosity": 0,
        "timeout": 0,
        "diff_mode": False,
        "passwords_needed": [],
    },
    "workflow_job_templates": {
        **_COMMON,
        **_ASK,
        "organization": None,
        "inventory": None,
        "extra_vars": "",
        "survey_enabled": False,
        "survey_spec": {},
        "limit": None,
        "allow_simultaneous": False,
        **_NOTIFIES,
        APPROVALS: [],
    },
    "workflow_job_template_nodes": {
        "workflow_job_template": None,
        "unified_job_template": None,
        "identifier": "",
        "extra_data": {},
        "limit": None,
        "all_parents_must_converge": False,
        **{each: [] for each in BRANCHES},
    },
    # Those of a workflow job.
    "workflow_nodes": {
        "workflow_job": None,
        "unified_job_template": None,
        "identifier": "",
        "job": None,
        "approval": None,
    },
    "workflow_approval_templates": {**_COMMON, "timeout": 0},
    "notification_templates": {
        **_COMMON,
        "organization": None,
        "notification_type": "",
        "notification_configuration": {},
        "messages": {"started": None, "success": None, "error": None, "workflow_approval": None},
    },
    "jobs": {**_COMMON, **_RUN, "job_template": None, "job_type": "run", "job_slice_count": 1},
    "workflow_jobs": {**_COMMON, **_RUN, "workflow_job_template": None, "job_template": None},
    "job_events": {"job": None, "event": "", "counter": 0, "event_data": {}, "stdout": "", "failed": False},
}
TYPES = {kind: kind[:-1] for kind in KINDS} | {
    "inventories": "inventory",
    "workflow_nodes": "workflow_job_node",
    "job_events": "job_event",
}
_POINTS_AT = {
    "organization": "organizations",
    "inventory": "inventories",
    "project": "projects",
    "source_project": "projects",
    "credential_type": "credential_types",
    "job_template": "job_templates",
    "workflow_job_template": "workflow_job_templates",
}
# MAX_EVENT_RES_DATA of AWX: of a larger result ansible-runner's awx_display tells nothing.
LARGEST_RESULT = 700000
ENDED = {"successful", "failed", "error", "canceled"}


class FakeAwx:
    """Everything there is.  ``clock_ahead_s`` is how far this server's clock is ahead of the test's."""

    def __init__(self, clock_ahead_s: float = 0.0) -> None:
        """Begin with an organisation, and AWX's own credential types."""
        self.lock = threading.RLock()
        self.clock_ahead_s = clock_ahead_s
        self.tokens = {"a-token"}
        # A person with the roles Execute and Read, as docs/awx.md asks for, and the administrator who sets AWX up.
        self.superusers = {"an-admin-token"}
        # Of the same person as the first, with the scope "read"; the others have "write".
        self.reading_tokens = {"a-reading-token"}
        # Of the request that is answered now.
        self.is_superuser = False
        self.may_write = True
        self.forbidden_launch = False
        self.hidden_inventories = False
        self.migrating = False
        # What the repository of each project holds, by paths in it.
        self.playbooks: set[str] = set()
        # A cancel is carried out by the dispatcher, 1 to 20 s later in the trial; here after so many looks at the job.
        self.looks_until_cancelled = 2
        self.cancelled_soon: dict[int, int] = {}
        self._tables: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self._last_id = 0
        self.add("organizations", name="Default")
        self.add("credential_types", name="Machine", kind="ssh", managed=True)

    def now(self) -> datetime:
        """Return this server's time."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_ahead_s)

    def add(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Create an object."""
        with self.lock:
            self._last_id += 1
            moment = self.now().isoformat().replace("+00:00", "Z")
            made = {"id": self._last_id, "type": TYPES[kind], "created": moment, "modified": moment}
            made |= json.loads(json.dumps(KINDS[kind])) | fields
            self._tables[kind][self._last_id] = made
            return made

    def all(self, kind: str, /, **equal: Any) -> list[dict[str, Any]]:
        """Return the objects of a kind whose fields have these values."""
        with self.lock:
            return [item for item in self._tables[kind].values() if all(item.get(key) == equal[key] for key in equal)]

    def get(self, kind: str, number: int) -> dict[str, Any] | None:
        """Return one object."""
        return self._tables[kind].get(number)

    def delete(self, kind: str, number: int) -> None:
        """Delete one object."""
        with self.lock:
            self._tables[kind].pop(number, None)

    def related(self, field: str, number: Any) -> dict[str, Any] | None:
        """Return what a field refers to."""
        kind = _POINTS_AT.get(field)
        return self._tables[kind].get(number) if kind else None

    # What a test sets up

    def fleet(self, *hosts: str, actions: tuple[str, ...] = ("restart_process",), **fields: Any) -> None:
        """Create an inventory with hosts, and a job template "autoglm ACTION" that asks for all it must."""
        organization = self.all("organizations")[0]["id"]
        inventory = self.add("inventories", name="fleet", organization=organization)["id"]
        self.add("groups", name="inference", inventory=inventory)
        project = self.add("projects", name="recovery", organization=organization)["id"]
        for host in hosts:
            self.add("hosts", name=host, inventory=inventory)
        asks = {"ask_limit_on_launch": True, "ask_variables_on_launch": True}
        for action in actions:
            made = {
                "name": f"autoglm {action}",
                "organization": organization,
                "inventory": inventory,
                "project": project,
            }
            self.add("job_templates", playbook=f"{action}.yml", **(made | asks | fields))

    # How a job goes on

    def start(self, job: dict[str, Any]) -> None:
        """Let a job begin to run.  Its first events are what Ansible prints before any play."""
        with self.lock:
            job.update(status="running", started=self.now().isoformat())
            if job["type"] == "job" and not self.all("job_events", job=job["id"]):
                for line in ("Using /etc/ansible/ansible.cfg as config file", ""):
                    self.event(job, "verbose", stdout=line)

    def succeed(self, job: dict[str, Any], **task: Any) -> None:
        """Let a job begin a task on a host and end well."""
        self.start(job)
        self.event(job, "runner_on_start", **({"task": "Preflight", "host": "node-a"} | task))
        self.finish(job)

    def dispatch(self) -> None:
        """Let the dispatcher carry out every cancel that was asked for."""
        with self.lock:
            for number in list(self.cancelled_soon):
                for kind in ("jobs", "workflow_jobs"):
                    self.cancelled_soon[number] = 0
                    self.looked_at(kind, number)

    def looked_at(self, kind: str, number: int) -> None:
        """Let the dispatcher carry out a cancel some looks after it was asked for."""
        with self.lock:
            job = self.get(kind, number)
            if job is not None and kind == "inventory_updates" and not job["finished"]:
                # An update takes its time: pending at first, and over at the second look.
                over = job["status"] == "running"
                job.update(
                    status="successful" if over else "running", finished=self.now().isoformat() if over else None
                )
                return
            if job is None or self.cancelled_soon.get(number) is None:
                return
            self.cancelled_soon[number] -= 1
            if self.cancelled_soon[number] < 0:
                del self.cancelled_soon[number]
                if job["status"] not in ENDED:
                    self.finish(job, "canceled")

    def finish(self, job: dict[str, Any], status: str = "successful", *, events_written: bool = True) -> None:
        """End a job."""
        with self.lock:
            job.update(status=status, failed=status != "successful", finished=self.now().isoformat())
            job["elapsed"] = self.elapsed(job)
            job["event_processing_finished"] = events_written

    def event(self, job: dict[str, Any], name: str, counter: int | None = None, **data: Any) -> None:
        """Write an event of a job; ``counter`` makes one come out of order."""
        stdout = data.pop("stdout", "")
        if len(str(data.get("res"))) > LARGEST_RESULT:
            data["res"] = {}
        with self.lock:
            counter = counter or 1 + max((e["counter"] for e in self.all("job_events", job=job["id"])), default=0)
            self.add("job_events", job=job["id"], event=name, counter=counter, event_data=data, stdout=stdout)

    def elapsed(self, job: Mapping[str, Any]) -> float:
        """Return how long a job has run, by this server's clock."""
        if not job["started"]:
            return 0.0
        end = datetime.fromisoformat(job["finished"]) if job["finished"] else self.now()
        return (end - datetime.fromisoformat(job["started"])).total_seconds()
