# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receivers as an engineer may find them at three in the morning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.integration.receiver.running import Receiver, alert, end_runs, now, payload
from tests.support.servers.waiting import until

OPERATOR, VIEWER = "operator-" + "o" * 24, "viewer-" + "v" * 24
ACTIONS = ("clear_queue_and_reset", "reset_gpu")
GPU = "GPU-11111111-2222-3333-4444-555555555555"
# A label that would be markup, another text, or wider than any screen.
SCRIPT = "<script>document.title = 'taken'</script>"
TURNED = "\u202egnp.exe \x1b[31m"
LONG = "x" * 400
# Where deadlocks wait for a person's word, GPU faults are only told, and nothing else holds actions back.
POLICY = """
recovery:
  autonomy: {default: act, classes: {deadlock: ask, gpu_fault: watch}}
  strategies: {oom: {delay: 0s, timeout: 2h}, crash: {delay: 20m}}
guardrails:
  max_pool_unavailable: 100%
  max_fleet_unavailable: 100%
  maintenance_windows: [{name: rack move, hosts: [node-f], start: 2026-01-01T00:00:00Z, end: 2999-12-31T00:00:00Z}]
"""


# A repair that saves evidence, takes many steps, and then cannot prove that anything serves.
STEPS = 25
IN_VAIN = """\
---
- name: Repair in vain
  hosts: "{{{{ autoglm_target.host }}}}"
  gather_facts: false
  tasks:
    - name: Save the evidence
      autoglm.recovery.crash_snapshot:
{steps}
    - name: Prove that the service generates
      autoglm.recovery.inference_health:
""".format(steps="\n".join(f"    - name: Step {n}\n      ansible.builtin.debug:" for n in range(STEPS)))
# What failed is not tried again while somebody looks at it.
IN_NO_HURRY = POLICY.replace("oom: {delay: 0s,", "oom: {delay: 0s, backoff: 1h,")
EVIDENCE = "/var/lib/autoglm/evidence/llama-20261128T031502Z.tar.gz"
SAID = "failed to load model /var/lib/models/chat.gguf: no space left on device"
# Modules of these names whose answers are what the pages show: there is no server here that could be repaired.
MODULES = {
    "crash_snapshot": {"changed": True, "path": EVIDENCE},
    "inference_health": {"verdict": "unhealthy", "reasons": [SAID], "failed": True, "msg": f"llama is down: {SAID}"},
}
MANY = 500
POOLS = ("chat", "code", "embed", "vision")


@contextmanager
def large(directory: Path) -> Iterator[Receiver]:
    """Run a receiver of many hosts, on which repairs fail."""
    hosts = tuple(f"gpu-r{n // 20:02}-n{n % 20:02}" for n in range(MANY))
    receiver = Receiver(directory, policy=IN_NO_HURRY, hosts=hosts, playbook=IN_VAIN)
    modules = directory / "collections/ansible_collections/autoglm/recovery/plugins/modules"
    modules.mkdir(parents=True, exist_ok=True)
    for name, answer in MODULES.items():
        (modules / f"{name}.py").write_text(f"#!/usr/bin/python\nprint({json.dumps(json.dumps(answer))})\n")
    inventory = yaml.safe_load((directory / "inventory.yml").read_text())
    for n, variables in enumerate(inventory["inference"]["hosts"].values()):
        variables["ansible_host"] = f"10.20.{n // 250}.{n % 250 + 1}"
        variables["autoglm_services"] = [{"name": "llama", "pool": POOLS[n % 4]}, {"name": "embed", "pool": "vectors"}]
    (directory / "inventory.yml").write_text(yaml.safe_dump(inventory))
    try:
        receiver.start()
        for n in range(3):
            post(receiver, hosts[n * 100], "oom", alertname="InferenceOOMKilled", service="llama")
        post(receiver, hosts[7], "deadlock", alertname="InferenceStalled", service="llama")
        post(receiver, hosts[450], "overload", alertname="QueueLong", service="embed")
        until("three repairs to fail", lambda: len(receiver.incidents("waiting")) == 3)
        resolve(receiver, 1)
        until("the first incident to go on", lambda: latest(receiver, hosts[0]).get("state") != "waiting")
        yield receiver
    finally:
        if receiver.process is not None and receiver.process.poll() is None:
            receiver.kill()
        receiver.client.close()
        end_runs(receiver)


@contextmanager
def quiet(directory: Path, **settings: Any) -> Iterator[Receiver]:
    """Run a receiver in which nothing has happened."""
    hosts = tuple(f"node-{letter}" for letter in "abcdefg")
    receiver = Receiver(directory, policy=POLICY, hosts=hosts, **settings)
    playbooks = directory / "collections/ansible_collections/autoglm/recovery/playbooks"
    for action in ACTIONS:
        (playbooks / f"{action}.yml").write_text(receiver.playbook)
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.let_go()
        if receiver.process is not None and receiver.process.poll() is None:
            receiver.kill()
        receiver.client.close()
        end_runs(receiver)


@contextmanager
def night(directory: Path) -> Iterator[Receiver]:
    """Run a receiver with something in each state that lasts: resolved, held, escalated, waiting and running."""
    with quiet(directory) as receiver:
        post(receiver, "node-a", "oom", alertname="InferenceOOMKilled", summary="llama-server was killed at 61 GiB")
        until("the repair to be proven", lambda: receiver.incidents("verifying"))
        resolve(receiver, 1)
        until("the incident to end", lambda: receiver.incidents("resolved"))
        post(receiver, "node-b", "deadlock", alertname="NcclWatchdog", evil=SCRIPT, turned=TURNED, long=LONG)
        post(receiver, "node-c", "gpu_lost", alertname="GpuOffTheBus", gpu=GPU)
        post(receiver, "node-d", "crash", alertname="InferenceCrashed")
        post(receiver, "node-e", "gpu_fault", alertname="XidEccDoubleBit", summary=SCRIPT + LONG)
        post(receiver, "node-f", "oom", alertname="InferenceOOMKilled")
        post(receiver, "nowhere", "crash", alertname="InferenceCrashed")
        receiver.post(payload({"status": "firing", "labels": SCRIPT}))
        receiver.hold()
        post(receiver, "node-g", "oom", alertname="InferenceOOMKilled")
        for state, count in (("held", 2), ("escalated", 1), ("waiting", 2), ("running", 1)):
            until(f"{count} incidents to be {state}", lambda s=state, c=count: len(receiver.incidents(s)) == c)
        running = number(receiver, "running")
        until("a task to be told", lambda: "task" in [line["kind"] for line in timeline(receiver, running)])
        yield receiver


def post(receiver: Receiver, host: str, failure_class: str, summary: str = "", **labels: str) -> None:
    """Have an alert fire now."""
    fired = alert(host, failure_class=failure_class, start=now(), **labels)
    fired["annotations"] = {"summary": summary} if summary else {}
    answer = receiver.post(payload(fired), **authorization(receiver))
    assert answer.status_code == 200, answer.text


def resolve(receiver: Receiver, incident: int) -> None:
    """Have the alerts of an incident resolve now."""
    for fired in receiver.get(f"/api/v1/incidents/{incident}")["alerts"]:
        gone = {"status": "resolved", "labels": fired["labels"], "annotations": {}, "startsAt": fired["starts_at"]}
        assert receiver.post(payload({**gone, "endsAt": now()})).status_code == 200


def authorization(receiver: Receiver) -> dict[str, str]:
    """Return what shows that one is an operator, where that is asked."""
    return {"Authorization": f"Bearer {OPERATOR}"} if receiver.tokens else {}


def timeline(receiver: Receiver, incident: int) -> list[dict[str, Any]]:
    """Return what was told of an incident."""
    return receiver.get(f"/api/v1/incidents/{incident}")["timeline"]


def latest(receiver: Receiver, host: str) -> dict[str, Any]:
    """Return the newest incident of a host, or nothing."""
    answer = receiver.client.get(f"{receiver.url}/api/v1/incidents", headers=authorization(receiver))
    return next((incident for incident in answer.json()["incidents"] if incident["host"] == host), {})


def becomes(receiver: Receiver, host: str, state: str) -> int:
    """Wait until the newest incident of a host is in a state; return its number."""
    until(f"{host} to be {state}", lambda: latest(receiver, host).get("state") == state)
    return latest(receiver, host)["id"]


def number(receiver: Receiver, state: str) -> int:
    """Return the oldest incident in a state."""
    return receiver.incidents(state)[-1]["id"]
