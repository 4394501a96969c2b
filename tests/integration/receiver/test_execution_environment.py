# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that run in a container: real podman, a real image; they end as all others do, and leave nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tests.support.servers import containers, execution_environment, planted
from tests.support.servers.containers import Runtime
from tests.support.servers.leftovers import carrying
from tests.support.servers.planted import PLANTED
from tests.support.servers.shown import watched
from tests.support.servers.waiting import until

from . import indiscreet
from .running import PLAYBOOK, Receiver, alert, now, payload, serving

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the part needs root, as the lab does")

# As plugins have theirs, among the variables that count in a container too.
OF_A_PLUGIN = {"ANSIBLE_HASHI_VAULT_TOKEN": planted.secret("of-a-plugin")}

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
        content: "{{ ansible_config_file | default('none') }}\\n{{ vaulted | default('none') }}"
        dest: "{{ scratch }}/configured"
        mode: "0600"
"""
)


@pytest.fixture(scope="module")
def podman() -> Iterator[Runtime]:
    with containers.podman() as runtime:
        remove_ours(runtime)  # those of a test run that was killed
        yield runtime


@pytest.fixture(scope="module")
def image(podman: Runtime) -> str:
    return execution_environment.ensure(podman)


@pytest.fixture
def served(tmp_path: Path, podman: Runtime, image: str) -> Any:
    """Return how to run a receiver whose playbooks run in that image, or in another."""
    return serving_in(tmp_path, podman, image)


def serving_in(tmp_path: Path, podman: Runtime, image: str) -> Any:
    """Return the same, in a folder."""
    (tmp_path / "bin").mkdir()
    path = execution_environment.on_path(tmp_path / "bin", podman)

    @contextmanager
    def run(
        named: str = image, timeout: str = "1h", mount: str = "/etc/hosts:/etc/hosts:ro", **settings: Any
    ) -> Iterator[Receiver]:
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
        inside = {"ansible_python_interpreter": "/usr/bin/python3", **settings.pop("host_vars", {})}
        variables = {"PATH": path, "SECRET": "not-for-the-container", **settings.pop("variables", {})}
        given = {"policy": yaml.safe_dump(policy), "playbook": TELLING, "host_vars": inside, "variables": variables}
        with serving(tmp_path, **{**given, **settings}) as receiver:
            try:
                yield receiver
                until("no container to be left", lambda: not ours(podman))
            finally:
                remove_ours(podman)  # what a test that failed has left must not fail the next one

    return run


def ours(podman: Runtime) -> list[str]:
    """Return the containers of runs, by the names that no other user of ansible-runner gives them."""
    return podman(
        "ps", "--all", "--format", "{{.Names}}", "--filter", "name=^ansible_runner_[0-9]+-[0-9a-z]+-[0-9a-f]{8}$"
    ).split()


def remove_ours(podman: Runtime) -> None:
    """Remove the containers of runs that are left."""
    for name in ours(podman):
        podman("rm", "--force", "--ignore", "--time", "0", name)


def texts(receiver: Receiver, incident: int = 1) -> list[str]:
    """Return what was told of an incident."""
    return [line["text"] for line in receiver.get(f"/api/v1/incidents/{incident}")["timeline"]]


def contained(receiver: Receiver) -> list[psutil.Process]:
    """Return the processes of playbooks, which are in containers and so below no supervisor of ours."""
    runs = str(receiver.directory / "state/runs")
    return [process for process, directory in carrying("AUTOGLM_RUN_DIRECTORY") if directory.startswith(runs)]


def supervisor(run: Path) -> psutil.Process:
    """Return the first of the processes that bear its command line: what it has forked does too."""

    def first() -> psutil.Process | None:
        found = {process.pid: process for process in psutil.process_iter() if str(run) in _command(process)[-1:]}
        return next((process for process in found.values() if process.ppid() not in found), None)

    return until("the supervisor to be there", first)


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


@dataclass
class Told:
    """A receiver that has had a run in a container, with secrets wherever one can be put."""

    receiver: Receiver
    # While it ran: what podman knew of the container, which of its files held a secret and whether others could read
    # these, and the modes of what ansible-runner had.
    inspected: dict[str, Any]
    by_podman: dict[str, bool]
    modes: dict[str, int]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, podman: Runtime, image: str) -> Iterator[Told]:
    directory = tmp_path_factory.mktemp("told")
    indiscreet.configure(directory)
    variables = {**planted.environment("127.0.0.1:9"), "HF_TOKEN": indiscreet.IN_ENVIRONMENT, **OF_A_PLUGIN}
    # It says all before it waits.
    begin, wait, rest = TELLING.partition("    - name: Wait while told to hold\n")
    given = {
        "variables": variables,
        "host_vars": indiscreet.HOST,
        "playbook": f"{begin}{indiscreet.SAYING}{wait}{rest}",
    }
    with indiscreet.core_files_wanted(), serving_in(directory, podman, image)(**given) as receiver:
        receiver.hold()
        roots = {receiver.process.pid}
        with watched(lambda: roots, directory) as watch:
            indiscreet.tell(receiver)
            until("the playbook to begin", lambda: receiver.marks)
            until("it to be said", lambda: "Ask with it" in str(texts(receiver)))
            inspected = podman.inspect(ours(podman)[0])
            places = [path for path in Path(inspected["StaticDir"]).rglob("*") if path.is_file()]
            by_podman = {path.name: opened(path) for path in places if PLANTED.encode() in path.read_bytes()}
            artifacts = receiver.run_directory(1).glob("artifacts/*/*")
            modes = {path.name: path.stat().st_mode & 0o777 for path in artifacts if path.is_file()}
            receiver.let_go()
            until("the repair to be proven", lambda: receiver.incidents("verifying"))
        receiver.shown = watch.found
        yield Told(receiver, inspected, by_podman, modes)


def opened(path: Path) -> bool:
    """Tell whether others than its owner may read a file, by its own mode and by those of the folders above."""
    return all(place.stat().st_mode & 0o005 for place in (path, *path.parents))


def test_the_receiver_s_ansible_cfg_and_vault_count_in_the_container(told: Told) -> None:
    """As they would if ansible-playbook was started in the receiver's folder."""
    seen = (told.receiver.scratch / "configured").read_text().splitlines()
    assert seen == [str(told.receiver.directory / "ansible.cfg"), indiscreet.IN_VAULT]


def test_podman_s_command_line_and_its_logs_hold_no_secret(told: Told) -> None:
    known = json.dumps({**told.inspected, "Config": {**told.inspected["Config"], "Env": []}})
    assert "--env-file" in known
    assert indiscreet.holds(known.encode()) == []
    # What the operator gave to Ansible, for the container's own environment.
    (given,) = OF_A_PLUGIN.items()
    assert [line for line in told.inspected["Config"]["Env"] if PLANTED in line] == ["=".join(given)]
    # No log, wherever podman would write one.
    assert told.inspected["HostConfig"]["LogConfig"]["Type"] == "none"
    assert [name for name, is_open in told.by_podman.items() if is_open] == []


def test_a_run_in_a_container_leaves_no_secret(told: Told) -> None:
    # What ansible-runner hands to podman, while it is there.
    assert told.modes["env.list"] == 0o600
    files = indiscreet.kept(told.receiver)
    assert any("job_events" in path for path in files)
    assert {path: held for path, content in files.items() if (held := indiscreet.holds(content))} == {}


def test_processes_in_a_container_show_no_secret_and_leave_no_memory_behind(told: Told) -> None:
    words = [word for shown in told.receiver.shown.values() for word in shown.cmdline]
    for program in (b"conmon", b"ansible-playbook", b"AnsiballZ"):
        assert any(program in word for word in words), program
    assert indiscreet.holds(b"\n".join(words)) == []
    assert indiscreet.in_environments(told.receiver, *OF_A_PLUGIN.values()) == []
    assert indiscreet.core_limits(told.receiver) == {b"0"}


def test_runs_at_once_do_not_take_each_other_s_name(served):
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert("node-a", start=now()), alert("node-b", start=now())))
        until("both to be in their middle", lambda: len(receiver.marks) == 2)
        receiver.let_go()
        until("both to be proven", lambda: len(receiver.incidents("verifying")) == 2)


def test_a_run_that_takes_too_long_ends_with_its_container(served):
    with served(timeout="40s") as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        until("a person to be called", lambda: receiver.incidents("escalated"))
        assert any("took longer than 40 s" in text for text in texts(receiver))
        assert contained(receiver) == []


def test_when_something_kills_podman_the_container_goes_too(served, podman):
    with served() as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("the playbook to begin", lambda: receiver.marks)
        (name,) = ours(podman)
        clients = lambda: [each for each in psutil.process_iter() if _runs_a_container(_command(each), name)]  # noqa: E731
        (client,) = until("podman's command to be there", clients)
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
