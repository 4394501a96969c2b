# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that run in a container: real podman, a real image; they end as all others do, and leave nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.parts import containers, execution_environment
from tests.parts.containers import Runtime

from .running import PLAYBOOK, Receiver, alert, now, payload, serving, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the part needs root, as the lab does")

# Beside its marks: what only the container has.
TELLING = (
    PLAYBOOK
    + """\
    - name: Say where it ran
      ansible.builtin.shell: "ls /run/.containerenv; readlink /proc/self/ns/pid; env"
      args:
        chdir: "{{ scratch }}"
      register: there
    - name: Write it down
      ansible.builtin.copy:
        content: "{{ ansible_version.full }}\\n{{ there.stdout }}"
        dest: "{{ scratch }}/there"
        mode: "0600"
    - name: Write down what is configured
      ansible.builtin.copy:
        content: "{{ ansible_config_file | default('none') }}\\n{{ secret | default('none') }}"
        dest: "{{ scratch }}/configured"
        mode: "0600"
"""
)


@pytest.fixture(scope="module")
def podman() -> Iterator[Runtime]:
    with containers.podman() as runtime:
        # Those of a test run that was killed.
        for name in ours(runtime):
            runtime("rm", "--force", "--time", "0", name)
        yield runtime


@pytest.fixture(scope="module")
def image(podman: Runtime) -> str:
    return execution_environment.ensure(podman)


@pytest.fixture
def served(tmp_path: Path, podman: Runtime, image: str) -> Any:
    """Return how to run a receiver whose playbooks run in that image, or in another."""
    (tmp_path / "bin").mkdir()
    path = execution_environment.on_path(tmp_path / "bin", podman)

    @contextmanager
    def run(named: str = image, timeout: str = "60s", mount: str = "/etc/hosts:/etc/hosts:ro") -> Iterator[Receiver]:
        mounts = [
            mount,
            f"{tmp_path}/collections:{execution_environment.COLLECTIONS}:ro",
            f"{tmp_path}/scratch:{tmp_path}/scratch",
        ]
        environment = {"image": named, "pull": "never", "mounts": mounts, "options": list(podman.options)}
        policy = {
            "launchers": {"local": {"execution_environment": environment}},
            "recovery": {
                "persistent_within": "0s",
                "strategies": {"oom": {"delay": "0s", "timeout": timeout, "then": []}},
            },
            "guardrails": {"max_pool_unavailable": "100%", "max_fleet_unavailable": "100%"},
        }
        inside = {"ansible_python_interpreter": "/usr/bin/python3"}
        variables = {"PATH": path, "SECRET": "not-for-the-container"}
        given = {"policy": yaml.safe_dump(policy), "playbook": TELLING, "host_vars": inside, "variables": variables}
        with serving(tmp_path, **given) as receiver:
            yield receiver
            until("no container to be left", lambda: not ours(podman))

    return run


def ours(podman: Runtime) -> list[str]:
    """Return the containers of runs, by the names that no other user of ansible-runner gives them."""
    return podman(
        "ps", "--all", "--format", "{{.Names}}", "--filter", "name=^ansible_runner_[0-9]+-[0-9a-z]+-[0-9a-f]{8}$"
    ).split()


def texts(receiver: Receiver, incident: int = 1) -> list[str]:
    """Return what was told of an incident."""
    return [line["text"] for line in receiver.get(f"/api/v1/incidents/{incident}")["timeline"]]


def contained(receiver: Receiver) -> list[psutil.Process]:
    """Return the processes of playbooks, which are in containers and so below no supervisor of ours."""
    mark = str(receiver.directory / "state/runs")
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AUTOGLM_RUN_DIRECTORY", "").startswith(mark):
                found.append(process)
        except psutil.Error:
            continue
    return found


def supervisor(run: Path) -> psutil.Process:
    """Return the first of the processes that bear its command line: what it has forked does too."""
    found = {process.pid: process for process in psutil.process_iter() if str(run) in _command(process)[-1:]}
    (first,) = (process for process in found.values() if process.ppid() not in found)
    return first


def _runs_a_container(command: list[str], name: str) -> bool:
    """Tell whether it is podman's own command; its monitor has the name among its words too."""
    return Path(*command[:1]).name == "podman" and "run" in command and name in command


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_playbook_runs_in_the_container_and_is_told_of_as_ever(served):
    with served() as receiver:
        receiver.post(payload(alert(start=now())))
        until("the repair to be proven", lambda: receiver.incidents("verifying"))
        assert receiver.marks == ["begin node-a 1", "end node-a 1"]
        version, where, namespace, *environment = (receiver.scratch / "there").read_text().splitlines()
        assert "ANSIBLE_INJECT_FACT_VARS=False" in environment
        assert where == "/run/.containerenv"
        assert namespace != os.readlink("/proc/self/ns/pid")
        assert version == execution_environment.CORE.rpartition("=")[2]
        assert not [line for line in environment if "not-for-the-container" in line]
        assert any(text.startswith("Mark the beginning: changed") for text in texts(receiver))


def test_the_receiver_s_ansible_cfg_and_vault_count_in_the_container(served, tmp_path):
    """As they would if ansible-playbook was started in the receiver's folder."""
    (tmp_path / "vault-password").write_text("of the vault\n")
    (tmp_path / "ansible.cfg").write_text("[defaults]\nvault_password_file = vault-password\n")
    (tmp_path / "group_vars").mkdir()
    vault = VaultLib([("default", VaultSecret(b"of the vault"))])
    (tmp_path / "group_vars/all.yml").write_bytes(vault.encrypt("secret: opened\n"))
    with served() as receiver:
        receiver.post(payload(alert(start=now())))
        until("the repair to be proven", lambda: receiver.incidents("verifying"))
        seen = (receiver.scratch / "configured").read_text().splitlines()
        assert seen == [str(tmp_path / "ansible.cfg"), "opened"]


def test_runs_at_once_do_not_take_each_other_s_name(served):
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert("node-a", start=now()), alert("node-b", start=now())))
        until("both to be in their middle", lambda: len(receiver.marks) == 2)
        receiver.let_go()
        until("both to be proven", lambda: len(receiver.incidents("verifying")) == 2)


def test_a_run_that_takes_too_long_ends_with_its_container(served):
    with served(timeout="15s") as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        until("a person to be called", lambda: receiver.incidents("escalated"))
        assert any("took longer than 15 s" in text for text in texts(receiver))
        assert contained(receiver) == []


def test_when_something_kills_podman_the_container_goes_too(served, podman):
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        (client,) = (each for each in psutil.process_iter() if _runs_a_container(_command(each), ours(podman)[0]))
        client.kill()
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "lost")
        assert any("something killed it" in text for text in texts(receiver))
        assert contained(receiver) == []


def test_a_mount_that_cannot_be_is_told(served):
    with served(mount="/home:/home") as receiver:
        receiver.post(payload(alert(start=now())))
        until("a person to be called", lambda: receiver.incidents("escalated"))
        assert any("no task was begun: ConfigurationError" in text for text in texts(receiver)), texts(receiver)


def test_closing_an_incident_ends_the_container(served):
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        assert contained(receiver)
        receiver.order(1, "close")
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "cancelled")
        assert contained(receiver) == []


def test_nothing_in_a_container_outlives_its_supervisor_and_its_receiver(served):
    """Nobody is left to look after it: a receiver elsewhere may begin the next attempt when the lease is over."""
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        inside = contained(receiver)
        first = supervisor(receiver.run_directory(1))
        receiver.kill()
        first.kill()
        until("its processes to end", lambda: not any(process.is_running() for process in inside))


def test_a_receiver_that_comes_back_takes_up_what_goes_on_in_a_container(served):
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        receiver.kill()
        receiver.start()
        receiver.let_go()
        until("the repair to be proven", lambda: receiver.incidents("verifying"))
        assert receiver.marks == ["begin node-a 1", "end node-a 1"]


def test_an_image_that_is_not_there_is_told_in_podman_s_words(served):
    with served(named="localhost/no-such-image:1") as receiver:
        receiver.post(payload(alert(start=now())))
        until("a person to be called", lambda: receiver.incidents("escalated"))
        assert any("no-such-image" in text for text in texts(receiver)), texts(receiver)
