# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state directory is lost, restored from yesterday's backup, or copied: real receivers go on with real runs.

Their playbook shows its token with the module ``fence`` to hosts that remember, as restart_process does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.servers.waiting import until

from .running import alert, give_modules, now, payload, serving

PLAYBOOK = """\
---
- name: Act where no newer run has been
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  vars:
    fenced:
      host: "{{ inventory_hostname }}"
      service: "{{ autoglm_target.service }}"
      token: "{{ autoglm_incident.fence }}"
      run: "{{ autoglm_incident.run }}"
      incident: "incident {{ autoglm_incident.key }}"
      directory: "{{ marks }}"
  tasks:
    - name: Fence before the first step
      autoglm.recovery.fence: "{{ fenced }}"
    - name: Wait while told to hold
      ansible.builtin.wait_for:
        path: "{{ scratch }}/hold"
        state: absent
        sleep: 1
    - name: Fence before the second step
      autoglm.recovery.fence: "{{ fenced }}"
    - name: Act
      ansible.builtin.shell: "echo {{ autoglm_incident.key }} {{ autoglm_incident.run }} >> acted"
      args:
        chdir: "{{ scratch }}"
"""
POLICY = """\
recovery: {persistent_within: 0s, flapping: false, strategies: {oom: {delay: 0s}}}
guardrails: {max_actions_per_host_per_hour: 1000}
"""


def receiving(directory: Path, marks: Path, **settings):
    """Return a receiver whose hosts keep their marks in one place, whatever becomes of the receiver."""
    give_modules(directory)
    common = {"playbook": PLAYBOOK, "policy": POLICY, "host_vars": {"marks": str(marks)}}
    return serving(directory, **common, **settings)


def autoglm(receiver, *words: str) -> dict:
    """Run a command beside the receiver and return what it prints."""
    program = str(Path(sys.executable).with_name("autoglm"))
    done = subprocess.run(
        [program, *words, "--json"], cwd=receiver.directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def repaired(receiver, host: str) -> dict:
    """Have a failure of a host repaired, and return its incident once it is over."""
    start = now()
    receiver.post(payload(alert(host, start=start)))
    number = until("the incident", lambda: newest(receiver, host))["id"]
    until("its repair", lambda: receiver.get(f"/api/v1/incidents/{number}")["state"] in ("verifying", "escalated"))
    receiver.post(payload(alert(host, start=start, status="resolved")))
    return until("its end", lambda: ended(receiver, number))


def newest(receiver, host: str):
    """Return the newest incident of a host that is not over."""
    found = [one for one in receiver.incidents() if one["host"] == host and one["state"] not in ("resolved", "closed")]
    return found[0] if found else None


def ended(receiver, number: int):
    """Return an incident if it is over."""
    incident = receiver.get(f"/api/v1/incidents/{number}")
    return incident if incident["state"] in ("resolved", "unproven", "closed") else None


def told(receiver, number: int, text: str) -> bool:
    """Tell whether the timeline of an incident has a line with a text."""
    return any(text in line["text"] for line in receiver.get(f"/api/v1/incidents/{number}")["timeline"])


def states(incident) -> list[str]:
    """Return how the runs of an incident ended."""
    return [run["state"] for run in incident["runs"]]


def test_yesterdays_backup_is_restored_and_runs_go_on_where_hosts_remember_newer_ones(tmp_path):
    marks = tmp_path / "marks"
    with receiving(tmp_path / "a", marks) as receiver:
        assert states(repaired(receiver, "node-a")) == ["succeeded"]
        receiver.hold()
        receiver.post(payload(alert("node-b", start=now())))
        until("a run under way", lambda: receiver.incidents("running"))
        saved = autoglm(receiver, "backup", "saved.db", "--state-dir", "state")
        receiver.let_go()
        until("its success", lambda: receiver.incidents("verifying"))
        # What the backup does not know: incident 3 and its run 3, on the host.
        assert states(repaired(receiver, "node-a")) == ["succeeded"]
        receiver.kill()
        restored = autoglm(receiver, "restore", "saved.db", "--state-dir", "state", "--replace")
        assert restored["incidents"] == [2]
        assert restored["installation"] != saved["installation"]
        receiver.start()
        incident = receiver.get("/api/v1/incidents/2")
        assert (incident["state"], states(incident)) == ("escalated", ["lost"])
        assert "restored from the backup of" in incident["reason"]
        again = repaired(receiver, "node-a")
        # The same numbers mean others now, and nothing of the old ones is taken for theirs.
        assert (again["id"], states(again)) == (3, ["succeeded"])
        acted = [line.split() for line in (receiver.scratch / "acted").read_text().splitlines()]
        assert [key.partition("-")[2] for key, _ in acted] == ["1", "2", "3", "3"]
        assert acted[-1][0].startswith(restored["installation"][:12])
        assert len({run for _, run in acted}) == 4
        # Numbers of runs that the backup does not know are given again, and have directories of their own.
        numbers = [path.name.partition("-")[0] for path in receiver.directory.glob("state/runs/*-*")]
        assert len(set(numbers)) < len(numbers), numbers


def test_a_state_directory_is_lost_and_the_first_run_of_the_new_one_is_not_refused(tmp_path):
    with receiving(tmp_path / "a", tmp_path / "marks") as receiver:
        for _ in range(2):
            assert states(repaired(receiver, "node-a")) == ["succeeded"]
        receiver.kill()
        shutil.rmtree(receiver.directory / "state")
        receiver.start()
        assert states(repaired(receiver, "node-a")) == ["succeeded"]


def test_a_copied_state_directory_and_its_original_both_go_on_and_only_the_older_of_two_runs_is_refused(tmp_path):
    marks = tmp_path / "marks"
    with receiving(tmp_path / "a", marks) as first, receiving(tmp_path / "b", marks) as second:
        assert states(repaired(first, "node-a")) == ["succeeded"]
        for receiver in (first, second):
            receiver.kill()
        shutil.rmtree(second.directory / "state")
        shutil.copytree(first.directory / "state", second.directory / "state")
        for receiver in (first, second):
            receiver.start()
        for receiver in (first, second, first):
            assert states(repaired(receiver, "node-a")) == ["succeeded"]
        first.hold()
        first.post(payload(alert("node-a", start=now())))
        number = until("the older run", lambda: newest(first, "node-a"))["id"]
        until("its first step", lambda: told(first, number, "Fence before the first step"))
        assert states(repaired(second, "node-a")) == ["succeeded"]
        first.let_go()
        until("its end and its repetition", lambda: first.get(f"/api/v1/incidents/{number}")["state"] == "verifying")
        incident = first.get(f"/api/v1/incidents/{number}")
        assert states(incident) == ["fenced", "succeeded"]
        (refusal,) = [line["text"] for line in incident["timeline"] if line["kind"] == "fenced"]
        assert "shown by incident " in refusal


def test_a_mark_of_the_future_costs_one_refusal_and_one_of_release_0_1_0_none(tmp_path):
    marks = tmp_path / "marks"
    with receiving(tmp_path / "a", marks) as receiver:
        assert states(repaired(receiver, "node-a")) == ["succeeded"]
        (mark,) = [path for path in marks.iterdir() if path.name.startswith("node-a_llama") and "." not in path.name]
        mark.write_text("4711\n")
        assert states(repaired(receiver, "node-a")) == ["succeeded"]
        # The clock of another receiver was in the year 2100 when it gave this.
        mark.write_text("4102444800000000\n")
        incident = repaired(receiver, "node-a")
        assert states(incident) == ["fenced", "succeeded"]
        assert [run["attempt"] for run in incident["runs"]] == [1, 1]
        (refusal,) = [line["text"] for line in incident["timeline"] if line["kind"] == "fenced"]
        assert "its fencing token is 4102444800000000 (of 2100-01-01 00:00:00 UTC)" in refusal
        assert states(repaired(receiver, "node-a")) == ["succeeded"]
