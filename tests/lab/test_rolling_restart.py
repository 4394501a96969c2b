# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rolling restart behind HAProxy, nginx and Envoy at once: no user of any of them loses anything."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.servers.traffic import Traffic

from .expectations import Footprint, starts
from .inventory import BACKEND, SOCKET
from .laboratory import Lab
from .memory_limit import UNIT
from .places import CHECKOUT, PROGRAMS
from .receiver import as_receiver, receiver_environment
from .waiting import wait_for

PLAYBOOK_SECONDS = 600
ANSWERS = 10


def command(lab: Lab, **variables: object) -> list[str]:
    """Words that do it as the receiver's user, whose login is root nowhere."""
    pools = "autoglm_pools" in variables  # which are not what root has declared: a person's
    words = [str(PROGRAMS / "ansible-playbook"), "autoglm.recovery.rolling_restart"]
    words += ["-i", str(lab.by_person if pools else lab.inventory), "-e", json.dumps({"pool": "chat", **variables})]
    return words if pools else as_receiver(*words)


def rolling_restart(lab: Lab, *more: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the playbook as a person would type it."""
    return subprocess.run(
        [*command(lab, **variables), *more],
        capture_output=True, text=True, check=False, cwd=CHECKOUT, env=receiver_environment(), timeout=PLAYBOOK_SECONDS,
    )  # fmt: skip


@contextlib.contextmanager
def users_everywhere(lab: Lab) -> Iterator[dict[str, Traffic]]:
    """Users of each balancer, streams and plain requests; they wait for their last answers in the end."""
    users = {name: Traffic(url, per_second=5) for name, url in lab.balancers.items()}
    for each in users.values():
        each.start()
    try:
        wait_for("answers through each balancer", lambda: all(u.counts.ok >= ANSWERS for u in users.values()), 60)
        yield users
    finally:
        for each in users.values():
            each.stop()


def nobody_lost_anything(lab: Lab, users: dict[str, Traffic]) -> None:
    for name, each in users.items():
        if each.counts.failed or each.counts.truncated:
            # Whole, not as much of it as pytest shows of a comparison: it does not come again when it is wanted.
            pytest.fail(f"behind {name}: {each.counts}\n{said_by_balancers(lab)}")
        assert each.counts.ok == each.counts.sent >= ANSWERS, (name, each.counts)


def said_by_balancers(lab: Lab) -> str:
    """Why they could not answer somebody, in their own words."""
    return lab.ops.run("journalctl", "--no-pager", "--lines=60", "-u", "nginx", "-u", "autoglm-haproxy", "-u", "envoy")


def test_no_request_is_lost_behind_any_balancer(lab: Lab) -> None:
    before = [(Footprint.of(node), starts(node)) for node in lab.nodes]

    with users_everywhere(lab) as users:
        done = rolling_restart(lab)
        assert done.returncode == 0, done.stdout + done.stderr
        answered = {name: each.counts.by_node.copy() for name, each in users.items()}
        wait_for(
            "answers from both nodes through each balancer",
            lambda: all(
                len([n for n, count in each.counts.by_node.items() if count - answered[name][n] >= 1]) == len(lab.nodes)
                for name, each in users.items()
            ),
            60,
        )

    nobody_lost_anything(lab, users)
    for node, (footprint, started) in zip(lab.nodes, before, strict=True):
        after = Footprint.of(node)
        assert after.invocation != footprint.invocation
        assert len(after.evidence - footprint.evidence) == 1
        assert starts(node) - started == 1


@pytest.fixture
def node_a_will_not_start(lab: Lab) -> Iterator[None]:
    """The next start of node-a's server fails, as with a bad flag in a changed unit."""
    folder = f"/etc/systemd/system/{UNIT}.d"
    lab.node_a.run("mkdir", "-p", folder)
    lab.node_a.run("sh", "-c", f"printf '[Service]\\nExecStartPre=/bin/false\\n' > {folder}/broken.conf")
    lab.node_a.run("systemctl", "daemon-reload")
    yield
    lab.node_a.run("rm", f"{folder}/broken.conf")
    lab.node_a.run("systemctl", "daemon-reload")
    lab.node_a.run("systemctl", "reset-failed", UNIT)
    lab.node_a.run("systemctl", "start", UNIT)
    done = rolling_restart(lab, "--limit", "node-a")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("node_a_will_not_start")
def test_it_stops_at_the_first_failure_and_leaves_the_rest_untouched(lab: Lab) -> None:
    untouched = Footprint.of(lab.node_b)

    with users_everywhere(lab) as users:
        done = rolling_restart(lab)

    assert done.returncode != 0, done.stdout
    assert "llama on node-a was not restarted" in done.stdout
    assert "left out of traffic" in done.stdout
    assert "The rest of the pool was not touched" in done.stdout
    assert Footprint.of(lab.node_b) == untouched
    nobody_lost_anything(lab, users)


def test_a_pool_is_never_taken_below_what_must_serve(lab: Lab) -> None:
    before = [Footprint.of(node) for node in lab.nodes]
    done = rolling_restart(lab, autoglm_pools={"chat": {**pool(lab), "min_available": 2}})
    assert done.returncode != 0, done.stdout
    assert "min_available" in done.stdout
    assert "It is as it was before" in done.stdout
    assert [Footprint.of(node).invocation for node in lab.nodes] == [each.invocation for each in before]


def pool(lab: Lab) -> dict[str, object]:
    """HAProxy alone, which is enough where nothing is to be restarted."""
    return {"balancer": {"kind": "haproxy", "host": lab.ops.name, "socket": SOCKET, "backend": BACKEND}}


# Killed at the second, the first serves again, and nothing else may leave before the second is back.
@pytest.mark.parametrize("replica", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_one_that_was_killed_is_finished_by_running_it_again(lab: Lab, traffic: Traffic, replica: int) -> None:
    lost = traffic.counts.lost
    at_once = {**receiver_environment(), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command(lab), cwd=CHECKOUT, env=at_once, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as first:
        assert first.stdout is not None
        begun = 0
        for line in first.stdout:
            begun += "TASK [Start the service]" in line
            if begun == replica:
                first.kill()
                break
        first.wait()
    assert begun == replica

    done = rolling_restart(lab)

    assert done.returncode == 0, done.stdout + done.stderr
    wait_for("HAProxy to use both nodes", lambda: "DRAIN" not in haproxy_states(lab), 30)
    assert traffic.counts.lost == lost, traffic.counts.errors


def haproxy_states(lab: Lab) -> str:
    script = "import socket; s = socket.socket(socket.AF_UNIX); "
    script += f"s.connect('{SOCKET}'); "
    script += "s.sendall(b'show stat\\n'); print(s.makefile().read())"
    return lab.ops.run("python3", "-c", script)


@pytest.mark.parametrize("wanted", ["", "{{ 7 * 7 }}"])
def test_a_pool_that_the_inventory_does_not_know_is_refused(lab: Lab, wanted: str) -> None:
    before = [Footprint.of(node) for node in lab.nodes]
    done = rolling_restart(lab, pool=wanted)
    assert done.returncode != 0, done.stdout
    assert "Refused, nothing was changed" in done.stdout
    assert [Footprint.of(node) for node in lab.nodes] == before
