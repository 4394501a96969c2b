# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook of somebody's own, outside the collection, with the role check_target: real runs of ansible-playbook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import mark
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.holding import Holder

from autoglm_recovery.receiver.runs import ansible_settings
from autoglm_recovery.receiver.runs.extra_vars import RunContext, extra_vars, to_yaml

from .fleet import Fleet, told

PLAYBOOK = """\
- name: Something of somebody's own
  hosts: "{{ %s }}"
  gather_facts: false
  roles:
    - {role: autoglm.recovery.check_target, check_target_tasks: tasks/work.yml}
  handlers:
    - name: Look who has the host while the handlers work
      ansible.builtin.command: cp /run/autoglm/locks/host {{ playbook_dir }}/handled
"""
TASKS = """\
- name: Look who has the host
  ansible.builtin.command: cp /run/autoglm/locks/host {{ playbook_dir }}/worked
  notify: Look who has the host while the handlers work
- name: Go on only if it is still ours
  ansible.builtin.import_role: {name: autoglm.recovery.check_target, tasks_from: go_on}
- name: Write down what was given
  ansible.builtin.copy:
    content: "{{ [autoglm_incident, autoglm_service] | to_json }}"
    dest: "{{ playbook_dir }}/given.json"
    mode: "0600"
- name: Fail where told to
  ansible.builtin.assert: {that: not broken | default(false)}
"""
BY_HAND = "autoglm_target.host | default(target)"
HOSTILE = "{{ lookup('pipe', 'touch hostile') }} $(touch hostile)"


class Site:
    """A folder of somebody's own, and a fleet with p1 and p2."""

    def __init__(self, fleet: Fleet) -> None:
        fleet.add("p1")
        fleet.add("p2")
        self.fleet = fleet
        self.folder = fleet.directory / "theirs"
        (self.folder / "tasks").mkdir(parents=True)
        (self.folder / "tasks/work.yml").write_text(TASKS)

    def run(
        self, extra: Mapping[str, Any], *words: str, hosts: str = BY_HAND, **variables: str
    ) -> CompletedProcess[str]:
        """Run the playbook to its end, for the hosts that it says."""
        playbook = self.folder / "action.yml"
        playbook.write_text(PLAYBOOK % hosts)
        return self.fleet.run(playbook, extra, *words, **variables)

    def run_as_receiver(self, *, fence: int, host_wide: bool) -> CompletedProcess[str]:
        """The same as the receiver has it run for an incident whose texts are hostile."""
        about = {"id": 7, "failure_class": "oom", "fault_mode": "transient", "reason": HOSTILE, "root_cause": HOSTILE}
        target = {"host": "p1", "service": "llama", "gpu": None, "pool": "chat"}
        run = RunContext("own", 1, fence, "2026-11-22T20:00:00Z", f"run {fence}", host_wide=host_wide, timeout_s=600)
        given = self.fleet.directory / "given.yml"
        given.write_text(to_yaml(extra_vars({**about, **target}, run)))
        return self.run({}, "-e", f"@{given}", **ansible_settings.ENVIRONMENT)

    @property
    def has_worked(self) -> bool:
        """Tell whether any task of the site's own was run."""
        return (self.folder / "worked").exists()

    @property
    def locked(self) -> bool:
        """Tell whether somebody has the host."""
        return (self.fleet.directory / "run/locks/host").exists()


@pytest.fixture
def site(fleet: Fleet) -> Site:
    return Site(fleet)


@pytest.mark.parametrize("broken", [False, True])
def test_a_person_has_the_host_alone_until_the_end_good_or_bad(site: Site, broken: bool) -> None:
    done = site.run({"target": "p1", "broken": broken})
    assert (done.returncode != 0) is broken, told(done)
    assert json.loads((site.folder / "worked").read_text())["host"] == "p1"
    assert (site.folder / "handled").exists() is not broken
    assert not site.locked
    assert json.loads((site.folder / "given.json").read_text()) == [{}, {}]


def test_a_stale_run_is_refused_and_texts_are_data(site: Site) -> None:
    done = site.run_as_receiver(fence=2000, host_wide=True)
    assert done.returncode == 0, told(done)
    incident, service = json.loads((site.folder / "given.json").read_text())
    assert (incident["reason"], incident["timeout"], service["name"]) == (HOSTILE, 600, "llama")
    assert not list(site.fleet.directory.rglob("hostile"))
    assert not Path("hostile").exists()
    # As a whole, because the action says so.
    assert (site.fleet.directory / "run/fence" / mark.file_name("p1", None)).read_text() == "2000\n"
    (site.folder / "worked").unlink()

    stale = site.run_as_receiver(fence=1000, host_wide=False)

    assert "a newer run has been here: its fencing token is 2000" in told(stale)
    assert stale.returncode != 0
    assert (site.has_worked, site.locked) == (False, False)


def test_a_host_at_which_somebody_works_is_left_alone(site: Site) -> None:
    locks = site.fleet.directory / "run/locks"
    locks.parent.mkdir(mode=0o755)
    until = host_lock.now() + 600
    host_lock.take(Holder("r", "alice on ops-1", "p1", None, 0.0, until, host_lock.boot(), {}), directory=str(locks))
    done = site.run({"target": "p1"})
    assert "alice on ops-1 holds it" in told(done)
    assert done.returncode != 0
    assert (site.has_worked, site.locked) == (False, True)


def test_what_a_rulebook_starts_has_the_lock_and_no_fence(site: Site) -> None:
    told_of = {"id": "", "key": "eda-5f1c0a3b9d2e", "fence": 0, "run": "", "host_wide": True}
    given = {"autoglm_target": {"host": "p1"}, "autoglm_incident": told_of, "ansible_eda": {"event": HOSTILE}}
    done = site.run(given, **ansible_settings.ENVIRONMENT)
    assert done.returncode == 0, told(done)
    assert json.loads((site.folder / "worked").read_text())["who"].startswith("Event-Driven Ansible")
    assert (site.locked, (site.fleet.directory / "run/fence").exists()) == (False, False)
    assert not list(site.fleet.directory.rglob("hostile"))


@pytest.mark.parametrize(
    ("hosts", "extra", "why"),
    [
        ("'all'", {"target": "p1"}, '"p1" is not the exact name of one inventory host'),
        ("'p2'", {"target": "p1"}, '"p1" is not the exact name of one inventory host'),
        (BY_HAND, {"target": "p1", "service": "other"}, 'the inventory has no service "other" on p1'),
        (
            BY_HAND,
            {"autoglm_target": {"host": "p1"}, "autoglm_incident": {"id": 7}},
            "comes from the receiver, with a fence",
        ),
    ],
)
def test_whatever_is_not_one_exact_target_is_refused(site: Site, hosts: str, extra: dict[str, Any], why: str) -> None:
    done = site.run(extra, hosts=hosts)
    assert "Refused, nothing was changed: " in told(done)
    assert why in told(done)
    assert done.returncode != 0
    assert (site.has_worked, site.locked) == (False, False)
