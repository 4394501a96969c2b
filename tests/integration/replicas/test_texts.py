# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that answers with what PostgreSQL does not store keeps no run from its end."""

from __future__ import annotations

from tests.integration.receiver.running import alert, now, payload, serving
from tests.support.servers.waiting import until

POLICY = "recovery: {strategies: {oom: {delay: 0s, then: []}}}"
SAYS_NUL = """\
---
- name: Fail
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Say what is no text
      ansible.builtin.fail:
        msg: "begin \\0 end"
"""


def test_a_run_whose_host_says_nul_ends_and_is_told_of(tmp_path, postgresql):
    with serving(tmp_path, policy=POLICY, playbook=SAYS_NUL, database=postgresql.database()) as receiver:
        receiver.post(payload(alert(start=now())))
        until("an incident", lambda: receiver.get("/api/v1/incidents")["incidents"])
        until("the run to have failed", lambda: [run for run in receiver.runs(1) if run["state"] == "failed"])
        told = [line["text"] for line in receiver.get("/api/v1/incidents/1")["timeline"]]
        assert any(r"begin \x00 end" in text for text in told), told
