# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver's run finds somebody at work on its host: a real run of a person's that holds the host's lock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.waiting import until

from .running import DEADLINE_S, Receiver, alert, give_modules, payload, serving

PLAYBOOK = """\
---
- name: Act as the only one on the host
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Take the host
      autoglm.recovery.host_lock:
        host: "{{ inventory_hostname }}"
        token: "{{ autoglm_incident.fence | default(omit) }}"
        who: "{{ whose | default('incident ' ~ autoglm_incident.id | default('')) }}"
        directory: "{{ scratch }}/locks"
    - name: Say that it is taken
      ansible.builtin.file:
        path: "{{ scratch }}/taken"
        state: touch
        mode: "0600"
    - name: Wait while told to hold
      ansible.builtin.wait_for:
        path: "{{ scratch }}/hold"
        state: absent
        sleep: 1
    - name: Give it back
      autoglm.recovery.host_lock:
        state: released
        host: "{{ inventory_hostname }}"
        directory: "{{ scratch }}/locks"
"""
# The first failure is a person's: no second rung, no retry.  The breaker opens at the first failure, too.
POLICY = """\
recovery: {strategies: {oom: {delay: 0s, retries: 0, then: []}}}
guardrails: {circuit_breaker: {failures: 1}, max_actions_per_host_per_hour: 1}
"""


@contextmanager
def at_work(receiver: Receiver) -> Iterator[None]:
    """Have a person's run hold the host until the end of the block."""
    receiver.hold()
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    playbook = str(receiver.playbooks / "restart_process.yml")
    command = [ansible, playbook, "-i", "inventory.yml", "-e", '{"autoglm_target": {"host": "node-a"}, "whose": "ann"}']
    with open(receiver.directory / "person", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=receiver.directory,
            env=receiver.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until("the person's run to take the host", (receiver.scratch / "taken").exists)
        yield
        receiver.let_go()
        assert process.wait(DEADLINE_S) == 0, (receiver.directory / "person").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_a_run_that_the_host_keeps_out_waits_for_its_holder_and_climbs_no_rung(tmp_path):
    give_modules(tmp_path, "action", "plugin_utils")
    with serving(tmp_path, playbook=PLAYBOOK, policy=POLICY) as receiver:
        with at_work(receiver):
            receiver.post(payload(alert("node-a")))
            (incident,) = until("the host to refuse", lambda: receiver.incidents("waiting"))
            assert incident["reason"].startswith("node-a is held by ann (")
            assert incident["reason"].endswith("), tried again in 15 s")
            assert [run["state"] for run in receiver.runs(incident["id"])] == ["kept_out"]
        until("its second run to end well", lambda: receiver.incidents("verifying"))
        told = receiver.get(f"/api/v1/incidents/{incident['id']}")
        assert [(run["state"], run["attempt"]) for run in told["runs"]] == [("kept_out", 1), ("succeeded", 1)]
        (refusal,) = [line["text"] for line in told["timeline"] if line["kind"] == "kept_out"]
        assert refusal.startswith("node-a is held by ann (")
        assert not [line for line in told["timeline"] if line["kind"] == "escalated"]
