# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a fault to a server that generates again: the receiver, beside a plain script that answers the same webhooks.

The script is what people write first: it starts ansible-playbook with the same playbook for each alert that fires, at
once, with no policy, no record and no guard.  The receiver waits the second that the lab's policy tells it to (delay).
"""

from __future__ import annotations

import contextlib
import http.server
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import yaml

from tests.lab import engine, faults, laboratory, memory_limit
from tests.lab.hosts import Host
from tests.lab.laboratory import Lab
from tests.lab.places import CHECKOUT, PROGRAMS, RECEIVER_PORT, STATE
from tests.lab.receiver import Receiver
from tests.lab.steady import wait_until_steady
from tests.lab.waiting import wait_for
from tests.support.servers.traffic import Traffic

RUNS = 3
# The same server breaks again and again, of which the lab's policy would rightly have had enough.
NEVER_ENOUGH = {
    "recovery": {"persistent_within": "0s", "flapping": False},
    "guardrails": {"max_actions_per_host_per_hour": 1000},
}
SERVING_SECONDS = 300


def main() -> None:
    """Measure in a lab of its own, and print."""
    try:
        lab = laboratory.up()
        ours = _measure(lab, _receiver)
        script = _measure(lab, _webhook_script)
    finally:
        if laboratory.is_ours():
            laboratory.down()
    print(f"seconds from the fault to a completion of the same server, {RUNS} times each, users at work")
    for name in FAULTS:
        print(f"  {name:5} webhook script   {_said(script[name])}   baseline")
        ratio = statistics.median(ours[name]) / statistics.median(script[name])
        print(f"  {name:5} receiver         {_said(ours[name])}   x {ratio:.2f}")


def _said(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):5.1f}   max {max(seconds):5.1f}"


def _hang(node: Host) -> None:
    node.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", memory_limit.UNIT)


FAULTS: dict[str, Callable[[Host], object]] = {"oom": faults.out_of_memory, "crash": faults.crash, "hang": _hang}


def _measure(
    lab: Lab, launcher: Callable[[Lab], contextlib.AbstractContextManager[Callable[[], bool]]]
) -> dict[str, list[float]]:
    """Inject each fault again and again, and time how long the server does not generate."""
    taken: dict[str, list[float]] = {name: [] for name in FAULTS}
    users = Traffic(lab.balancer)
    with launcher(lab) as at_rest:
        users.start()
        try:
            for name, inject in [*FAULTS.items()] * RUNS:
                wait_until_steady(lab, users)
                wait_for("the last run to be over", at_rest, SERVING_SECONDS)
                taken[name].append(_seconds_to_serving(lab.node_a, inject))
        finally:
            users.stop()
    return taken


def _seconds_to_serving(node: Host, inject: Callable[[Host], object]) -> float:
    inject(node)
    begun = time.monotonic()
    wait_for("the server to be down", lambda: engine.generates(node, seconds=1) is None, SERVING_SECONDS)
    wait_for("the server to generate", lambda: engine.generates(node, seconds=1) is not None, SERVING_SECONDS)
    return time.monotonic() - begun


@contextlib.contextmanager
def _receiver(lab: Lab) -> Iterator[Callable[[], bool]]:
    """Serve as the demo does; at rest when the newest incident has ended."""
    policy = yaml.safe_load(laboratory.POLICY.read_text(encoding="utf-8"))
    for section, rules in NEVER_ENOUGH.items():
        policy[section] = {**policy.get(section, {}), **rules}
    (STATE / "bench.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
    receiver = Receiver(lab, STATE / "bench.yaml")
    receiver.start()

    def at_rest() -> bool:
        newest = receiver.newest(lab.node_a)
        return newest is None or newest["state"] in ("resolved", "closed", "escalated")

    try:
        yield at_rest
    finally:
        receiver.stop()


@contextlib.contextmanager
def _webhook_script(lab: Lab) -> Iterator[Callable[[], bool]]:
    """Start the playbook for each alert that fires, unless it runs already."""
    playing: list[subprocess.Popen[bytes]] = []

    def play(host: str, service: str) -> None:
        if any(each.poll() is None for each in playing):
            return
        command = [
            *(str(PROGRAMS / "ansible-playbook"), "autoglm.recovery.restart_process", "-i", str(lab.by_person)),
            *("-e", f"target={host}", "-e", f"service={service}"),
        ]
        playing.append(
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                cwd=CHECKOUT, env=laboratory.environment(),
            )
        )  # fmt: skip

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in body["alerts"]:
                labels = alert["labels"]
                if alert["status"] == "firing" and {"host", "service"} <= labels.keys():
                    play(labels["host"], labels["service"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((lab.gateway, RECEIVER_PORT), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield lambda: all(each.poll() is not None for each in playing)
        finally:
            server.shutdown()
            for each in playing:
                each.wait(SERVING_SECONDS)


if __name__ == "__main__":
    main()
