# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run saved of a host can be read at the receiver when the host is gone, and is text whatever the host wrote."""

from __future__ import annotations

import shutil

from tests.support.servers.waiting import until

from .running import alert, give_modules, now, payload, serving

PLAYBOOK = """\
---
- name: Save evidence
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Save the evidence
      autoglm.recovery.crash_snapshot:
        incident: "{{ autoglm_incident.key }}"
        run: "{{ autoglm_incident.run }}"
        host: "{{ inventory_hostname }}"
        pid_file: "{{ scratch }}/server.pid"
        start_command: ["{{ ansible_python_interpreter }}", "-c", "pass"]
        log_file: "{{ scratch }}/server.log"
        dest: "{{ scratch }}/evidence"
        gpus: false
        min_free: 0
        excerpt_bytes: 131072
"""
# What a server may log of what strangers sent it, and of its own.
LOG = """\
<script>alert(1)</script> {{ 7 * 6 }} \x1b]0;owned\x07
starting with --api-key s3cret-value
error: failed to load model /var/lib/models/llama.gguf: no such file
"""


def test_evidence_is_read_at_the_receiver_when_the_host_has_gone(tmp_path):
    give_modules(tmp_path)
    with serving(tmp_path, playbook=PLAYBOOK) as receiver:
        (receiver.scratch / "server.log").write_text(LOG)
        receiver.post(payload(alert(start=now())))
        until("the run to succeed", lambda: receiver.incidents("verifying"))
        (bundle,) = (receiver.scratch / "evidence").iterdir()
        shutil.rmtree(bundle)
        answer = receiver.client.get(f"{receiver.url}/runs/1/evidence")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["x-content-type-options"] == "nosniff"
        summary, rest = answer.text.partition("===== pid-file.txt")[::2]
        assert f"===== node-a:{bundle}" in summary
        assert "===== SUMMARY.txt" in summary
        assert "incident " in summary
        assert "error: failed to load model /var/lib/models/llama.gguf: no such file" in summary
        assert "MemAvailable" in summary
        assert "free of" in summary
        assert r"<script>alert(1)</script> {{ 7 * 6 }} \x1b]0;owned\x07" in rest
        assert "s3cret-value" not in answer.text
        assert '<a href="/runs/1/evidence">' in receiver.client.get(f"{receiver.url}/incidents/1").text
        assert receiver.client.get(f"{receiver.url}/runs/2/evidence").status_code == 404
        # Nothing but files of our own names is in the run's directory.
        assert [path.name for path in receiver.run_directory(1).glob("evidence*")] == ["evidence-1.json"]
