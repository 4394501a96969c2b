# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A class and actions of a site's own, with a real receiver and playbooks that are not the collection's."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock

from tests.support.servers.own_run import own_run
from tests.support.servers.waiting import until

from .running import CHECKOUT, alert, give_modules, now, payload, serving
from .test_command_line import autoglm, explain

# Leaves what it was given; a text with braces must arrive as it stands.
PLAYBOOK = """\
---
- name: An action of somebody's own
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Fail where told to
      ansible.builtin.assert:
        that: not broken
    - name: Write down what was given
      ansible.builtin.copy:
        content: "{{ [autoglm_incident, inventory_hostname, note, tries] | to_json }}"
        dest: "{{ scratch }}/{{ autoglm_incident.action }}.json"
        mode: "0600"
"""
# The same as the only one on the host, by the role of the collection.
GUARDED = """\
---
- name: An action of a collection of somebody's own
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  roles:
    - {role: autoglm.recovery.check_target, check_target_tasks: tasks/flush.yml}
"""
TASKS = """\
---
- name: Write down what was given
  ansible.builtin.copy:
    content: "{{ [autoglm_incident, inventory_hostname, note, tries] | to_json }}"
    dest: "{{ scratch }}/{{ autoglm_incident.action }}.json"
    mode: "0600"
- name: Write down who has the host
  ansible.builtin.command: cp /run/autoglm/locks/host {{ scratch }}/lock
"""
POLICY = """
actions:
  free_disk:
    playbook: %(path)s
    destructive: false
    host_wide: false
    extra_vars: {broken: true, note: "{{ 7 * 6 }}", tries: [1, "{{ 2 }}"]}
    proof: playbook
  flush_cache:
    playbook: acme.ops.flush_cache
    destructive: false
    host_wide: true
    extra_vars: {broken: false, note: "{{ 7 * 6 }}", tries: [1, "{{ 2 }}"]}
    proof: service
classes:
  disk_full: {ladder: [free_disk, flush_cache], cause_before: oom, serving: true}
classify:
  - {match: alertname="NodeFilesystemFull", failure_class: disk_full}
"""


@pytest.fixture
def site(tmp_path):
    """Return a receiver whose policy declares a class, a playbook by its path, and one of a foreign collection."""
    own = tmp_path / "own" / "free_disk.yml"
    ops = tmp_path / "collections/ansible_collections/acme/ops/playbooks/flush_cache.yml"
    for path, text in ((own, PLAYBOOK), (ops, GUARDED), (ops.parent / "tasks/flush.yml", TASKS)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    (ops.parents[1] / "galaxy.yml").write_text("namespace: acme\nname: ops\nversion: 1.0.0\n")
    give_modules(tmp_path, "action", "lookup", "plugin_utils")
    (tmp_path / "collections/ansible_collections/autoglm/recovery/roles").symlink_to(CHECKOUT / "roles")
    as_root = {"ansible_become": False}
    enter = tuple(own_run(tmp_path))
    with serving(tmp_path, policy=POLICY % {"path": own}, host_vars=as_root, enter=enter) as receiver:
        yield receiver


def full(**changes):
    """Return somebody else's alert, which the policy maps onto the own class."""
    told = alert("node-a", alertname="NodeFilesystemFull", **changes)
    del told["labels"]["failure_class"]
    return told


def test_an_own_ladder_is_climbed_with_playbooks_of_both_kinds(site):
    start = now()
    site.post(payload(full(start=start)))
    until("the second rung to succeed", lambda: site.incidents("verifying"))
    (incident,) = site.incidents()
    assert incident["failure_class"] == "disk_full"
    assert [(run["action"], run["state"], run["host"]) for run in site.runs(1)] == [
        ("free_disk", "failed", "node-a"),
        ("flush_cache", "succeeded", "node-a"),
    ]
    given = json.loads((site.scratch / "flush_cache.json").read_text())
    assert given[1:] == ["node-a", "{{ 7 * 6 }}", [1, "{{ 2 }}"]]
    assert (given[0]["failure_class"], given[0]["host_wide"], given[0]["timeout"]) == ("disk_full", True, 600)
    lock = json.loads((site.scratch / "lock").read_text())
    assert lock["token"] == given[0]["fence"]
    assert lock["until"] - host_lock.now() < 600
    assert not (site.directory / "run/locks/host").exists()
    # Its own alert's end is not enough: the service is asked.
    site.post(payload(full(start=start, status="resolved")))
    until("the incident to resolve", lambda: site.incidents("resolved"))
    (incident,) = site.incidents()
    assert "flush_cache ended well and the alert has resolved, and its own probe says so" in incident["reason"]
    assert site.get("/api/v1/incidents?failure_class=disk_full")["incidents"]
    text = site.client.get(f"{site.url}/metrics").text
    assert 'autoglm_alerts_total{failure_class="disk_full"' in text
    assert 'autoglm_runs_total{action="flush_cache",state="succeeded"}' in text
    assert "own class" in site.client.get(f"{site.url}/policy").text


def test_explain_and_check_know_them_and_say_what_is_not_there(site):
    told = explain(site, payload(full()), "--policy", "policy.yaml", "--json")
    (good,) = json.loads(told.stdout)["alerts"]
    assert good["playbook"] == str(site.directory / "own" / "free_disk.yml")
    assert good["ladder"][:2] == ["1 free_disk <- next", "2 flush_cache"]
    assert autoglm(site, "check", "policy.yaml").stdout.decode().splitlines() == ["policy.yaml: ok"]
    (site.directory / "own" / "free_disk.yml").unlink()
    checked = autoglm(site, "check", "policy.yaml").stdout.decode()
    assert "note: actions.free_disk.playbook: " in checked
    told = explain(site, payload(full()), "--policy", "policy.yaml", "--json")
    (gone,) = json.loads(told.stdout)["alerts"]
    assert gone["action"] == "flush_cache"
    assert "passing over free_disk, for which no playbook is installed" in gone["reason"]
