# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a POST to the first task of a trivial playbook, beside bare ansible-playbook on the same playbook."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.receiver.running import Receiver, alert, now, payload, serving
from tests.support.servers.waiting import until

LAUNCHES = 10

POLICY = """\
recovery:
  persistent_within: 0s
  flapping: false
guardrails:
  max_actions_per_host_per_hour: 1000
"""
# The first task says when it ran, in a form that the output of both launchers carries.
TRIVIAL = """\
---
- name: Trivial
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Say when
      ansible.builtin.debug:
        msg: "first task at {{ lookup('pipe', 'date +%s.%N') }} in all"
"""
_FIRST_TASK = re.compile(r"first task at (\d+\.\d+) in all")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        launches(Path(directory))


def launches(directory: Path) -> None:
    """Time the way to the first task: bare ansible-playbook and the receiver in turn, on the same playbook."""
    bare, ours = [], []
    with serving(directory, policy=POLICY, playbook=TRIVIAL) as receiver:
        for number in range(LAUNCHES + 1):
            pair = (bare_launch(receiver), receiver_launch(receiver, number + 1))
            if number:  # the first pair fills the caches
                bare.append(pair[0])
                ours.append(pair[1])
    middle = statistics.median
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    print(f"seconds to the first task of a trivial playbook, {LAUNCHES} times in turn")
    print(
        f"  start of bare ansible-playbook -> first task   median {middle(bare):.2f}   max {max(bare):.2f}   baseline"
    )
    print(
        f"  POST to the receiver -> first task             median {middle(ours):.2f}   max {max(ours):.2f}   "
        f"x {middle(ratios):.2f} (median of pairs)"
    )


def bare_launch(receiver: Receiver) -> float:
    """Run the playbook with ansible-playbook and nothing else."""
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    target = '{"autoglm_target": {"host": "node-a"}}'
    command = [program, "-i", "inventory.yml", "-e", target, "autoglm.recovery.restart_process"]
    begun = time.time()
    done = subprocess.run(
        command, cwd=receiver.directory, env=receiver.environment(), capture_output=True, text=True, check=True
    )
    return first_task(done.stdout) - begun


def receiver_launch(receiver: Receiver, run: int) -> float:
    """Have the receiver run it, from the POST on; then let the incident close."""
    start = now()
    begun = time.time()
    receiver.post(payload(alert("node-a", start=start)))
    until("the run", lambda: receiver.incidents("verifying"))
    receiver.post(payload(alert("node-a", start=start, status="resolved")))
    until("the end of the incident", lambda: not receiver.incidents("verifying"))
    return first_task((receiver.directory / f"state/runs/{run}/artifacts/ansible/stdout").read_text()) - begun


def first_task(output: str) -> float:
    """Read when the first task ran."""
    found = _FIRST_TASK.search(output)
    assert found, output
    return float(found[1])


if __name__ == "__main__":
    main()
