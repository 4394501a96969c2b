# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(make bench): commits a second, POST to first task, and the figures of the GPU side."""

from __future__ import annotations

import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import exporter, gpu_health, kernel_lines, storm
from bench.load import CONNECTIONS, Load, send
from tests.integration.receiver.running import Receiver, alert, now, payload, serving, until

SECONDS = 8.0
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
# Keeps playbooks going on while webhooks are counted.
BUSY = """\
---
- name: Busy
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Work a little, again and again
      ansible.builtin.command: sleep 0.2
      loop: "{{ range(200) | list }}"
"""
_FIRST_TASK = re.compile(r"first task at (\d+\.\d+) in all")


def main() -> None:
    """Measure, and print each figure beside its baseline."""
    with tempfile.TemporaryDirectory() as directory:
        commits(Path(directory))
    with tempfile.TemporaryDirectory() as directory:
        launches(Path(directory))
    storm.main()
    kernel_lines.main()
    gpu_health.main()
    exporter.main()


def commits(directory: Path) -> None:
    """Count durable commits, alone and while playbooks run."""
    alone = fsync_rate(directory / "baseline.db")
    (directory / "r").mkdir()
    hosts = ("busy-1", "busy-2")
    with serving(directory / "r", policy=POLICY, playbook=BUSY, hosts=hosts) as receiver:
        quiet = send(receiver.port, SECONDS, now())
        receiver.post(payload(*(alert(host, start=now()) for host in hosts)))
        until("playbooks to run", lambda: len(receiver.incidents("running")) == len(hosts))
        busy = send(receiver.port, SECONDS, now())
    print(f"webhooks committed, one alert each, {CONNECTIONS} connections")
    print(f"  one INSERT and COMMIT after the other, SQLite WAL, synchronous=FULL   {alone:7.0f} /s   baseline")
    for name, load in (("receiver, nothing else going on", quiet), (f"receiver, {len(hosts)} playbooks running", busy)):
        print(f"  {name:68}  {load.rate:7.0f} /s   x {load.rate / alone:.2f}   {times(load)}")


def times(load: Load) -> str:
    """Return the times of a load in words."""
    refused = f"   {load.refused} NOT COMMITTED" if load.refused else ""
    return f"median {load.percentile(0.5):.0f} ms   p99 {load.percentile(0.99):.0f} ms{refused}"


def fsync_rate(path: Path) -> float:
    """Return how many commits a second one writer makes on this disk without grouping them."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE t (body TEXT)")
    count, begun = 0, time.monotonic()
    while time.monotonic() - begun < SECONDS / 2:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?)", ("x" * 400,))
        connection.execute("COMMIT")
        count += 1
    connection.close()
    return count / (time.monotonic() - begun)


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
