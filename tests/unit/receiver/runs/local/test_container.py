# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-runner is given for an execution environment, and what it makes of that."""

from __future__ import annotations

import shlex
import socket
from pathlib import Path

import pytest
from ansible_runner.config.runner import RunnerConfig

from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.receiver.runs.configured import path_variables
from autoglm_recovery.receiver.runs.local.container import (
    AGENT,
    carried,
    check_podman,
    forget_runner_s_inventory,
    mountable,
    runner_arguments,
    seen,
    with_agent,
    with_configuration,
)
from autoglm_recovery.receiver.runs.protocol import LaunchRefused


def test_without_one_nothing_is_isolated(tmp_path: Path) -> None:
    given = runner_arguments(None, tmp_path, Path("/etc/my fleet/hosts.yml"), Path("/srv/work"))
    assert given.keys() == {"cmdline", "ident", "project_dir"}
    assert given["project_dir"] == "/srv/work"
    words = shlex.split(given["cmdline"])
    assert words == ["--inventory", "/etc/my fleet/hosts.yml", "--extra-vars", f"@{tmp_path}/vars.yml"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_the_command_that_ansible_runner_makes_of_it(tmp_path: Path, is_folder: bool) -> None:
    """The real one builds the command line; podman need not be there for that."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    inventory = folder if is_folder else folder / "hosts.yml"
    work = tmp_path / "work"
    work.mkdir()
    run = tmp_path / "7"
    (run / "project").mkdir(parents=True)
    environment = ExecutionEnvironment(
        image="quay.io/ansible/ee:1@sha256", pull="never", mounts=("/etc/keys:/keys:ro",), options=("--pids-limit=99",)
    )
    given = runner_arguments(environment, run, inventory, work)
    config = RunnerConfig(
        private_data_dir=str(run), playbook="autoglm.recovery.x", limit="node-a", **_for_config(given)
    )
    config.prepare()
    command = [str(word) for word in config.command]
    assert command[:3] == ["podman", "run", "--rm"]
    mounts = [command[place + 1] for place, word in enumerate(command) if word == "-v"]
    assert f"{folder}:{folder}:ro" in mounts
    assert "/etc/keys:/keys:ro" in mounts
    assert f"{work}:{work}" in mounts
    assert command[command.index("--workdir") + 1] == str(work)
    assert any(mount.startswith(f"{run}/:/runner") for mount in mounts)
    after = command[command.index("quay.io/ansible/ee:1@sha256") + 1 :]
    assert after[0] == "ansible-playbook"
    assert after[after.index("--inventory") + 1] == str(inventory)
    assert after[after.index("--extra-vars") + 1] == "@/runner/vars.yml"
    assert after[-1] == "autoglm.recovery.x"
    assert {"--pull=never", "--network=host", "--log-driver=none", "--pids-limit=99"} <= set(
        command[: command.index(after[0])]
    )


def _for_config(given: dict) -> dict:
    """Name things as ``ansible_runner.run`` does when it makes a configuration of them."""
    return {**given, "container_volume_mounts": given["container_volume_mounts"]}


def test_no_two_runs_of_a_machine_share_a_container() -> None:
    """ansible-runner names it by the ident."""
    runs = [Path("/var/lib/one/runs/7"), Path("/var/lib/one/runs/8"), Path("/var/lib/other/runs/7")]
    idents = [
        runner_arguments(ExecutionEnvironment(image="x"), run, Path("/etc/hosts.yml"), Path("/"))["ident"]
        for run in runs
    ]
    assert len(set(idents)) == 3
    assert [ident.partition("-")[0] for ident in idents] == ["7", "8", "7"]


def test_a_folder_that_cannot_be_mounted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="colon"):
        runner_arguments(ExecutionEnvironment(image="image"), tmp_path, Path("/a:b/hosts.yml"), tmp_path)


@pytest.mark.parametrize(
    ("inventory", "given", "mounts"),
    [
        # Under its own name, as its group_vars may say, unless that would hide something.
        ("/srv/fleet/hosts.yml", (), ["/work:/work", "/srv/fleet:/srv/fleet:ro"]),
        ("/hosts.yml", (), ["/work:/work", "/:/inventory:ro"]),
        # podman refuses two mounts in one place.
        ("/work/hosts.yml", (), ["/work:/work"]),
        ("/work/fleet/hosts.yml", (), ["/work:/work"]),
        ("/fleet/hosts.yml", ("/fleet:/fleet",), ["/fleet:/fleet", "/work:/work"]),
        ("/fleet/hosts.yml", ("/other:/work:ro",), ["/other:/work:ro", "/fleet:/fleet:ro"]),
    ],
)
def test_the_inventory_and_the_folder_are_mounted_once(inventory: str, given: tuple[str], mounts: list[str]) -> None:
    environment = ExecutionEnvironment(image="x", mounts=given)
    arguments = runner_arguments(environment, Path("/state/7"), Path(inventory), Path("/work"))
    assert arguments["container_volume_mounts"] == mounts
    named = shlex.split(arguments["cmdline"])[1]
    assert named == (inventory if inventory != "/hosts.yml" else "/inventory/hosts.yml")


def test_where_a_linked_inventory_leads_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "shared.yml").touch()
    (tmp_path / "fleet/hosts.yml").symlink_to("../shared.yml")
    environment = ExecutionEnvironment(image="x")
    given = runner_arguments(environment, tmp_path, tmp_path / "fleet/hosts.yml", Path("/"))
    assert given["container_volume_mounts"] == [
        f"{tmp_path}/fleet:{tmp_path}/fleet:ro",
        f"{tmp_path}/shared.yml:{tmp_path}/shared.yml:ro",
    ]


def test_an_agent_is_there_if_it_lives(tmp_path: Path) -> None:
    given = {"container_volume_mounts": ["/srv/work:/srv/work"]}
    path = tmp_path / "agent"
    assert with_agent(given, {}) == with_agent(given, {AGENT: str(path)}) == given
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        there = with_agent(given, {AGENT: str(path)})
    assert there["container_volume_mounts"] == ["/srv/work:/srv/work", f"{path}:{path}"]
    assert carried({AGENT: str(path)}, (), seen(there)) == {AGENT: str(path)}
    assert carried({AGENT: str(path)}, (), seen(given)) == {}


def test_only_the_receiver_s_inventory_is_asked_for() -> None:
    """ansible-runner adds one of its own, which is not there, to each command in a container."""
    command = ["podman", "run", "ansible-playbook", "--inventory", "/fleet/hosts.yml", "-i", "/runner/inventory", "x"]
    forget_runner_s_inventory(command)
    assert command == ["podman", "run", "ansible-playbook", "--inventory", "/fleet/hosts.yml", "x"]
    forget_runner_s_inventory(command)
    assert command[-1] == "x"


def test_without_podman_the_run_is_refused() -> None:
    check_podman(lambda _name: "/usr/bin/podman")
    with pytest.raises(LaunchRefused, match="podman is not installed"):
        check_podman(lambda _name: None)


@pytest.mark.parametrize(
    ("folder", "can"),
    [
        ("/", False),
        ("/etc", False),
        ("/root", False),
        ("/usr/share/fleet", False),
        ("/var/lib", False),
        ("/runner/project", False),
        ("/srv/a:b", False),
        ("/etc/ansible", True),
        ("/root/fleet", True),
        ("/fleet", True),
        ("/var/lib/autoglm", True),
    ],
)
def test_what_the_image_needs_is_not_hidden_by_a_folder_of_this_machine(folder: str, can: bool) -> None:
    assert mountable(Path(folder)) is can


def test_ansible_cfg_is_there_with_its_folder_or_alone() -> None:
    given = {"container_volume_mounts": ["/srv/inventory:/inventory:ro", "/srv/work:/srv/work"]}
    assert with_configuration(given, None) == given
    assert with_configuration(given, "/srv/work/ansible.cfg") == given
    for file, mount in (
        ("/etc/ansible/ansible.cfg", "/etc/ansible:/etc/ansible"),
        ("/root/.ansible.cfg", "/root/.ansible.cfg:/root/.ansible.cfg:ro"),
    ):
        added = with_configuration(given, file)["container_volume_mounts"]
        assert added == [*given["container_volume_mounts"], mount]


def test_only_what_means_the_same_in_the_container_is_carried_there() -> None:
    settings = {
        "HOME": "/root",
        "ANSIBLE_CONFIG": "/srv/work/ansible.cfg",
        "ANSIBLE_VAULT_PASSWORD_FILE": "/etc/secret/vault",
        "ANSIBLE_ROLES_PATH": "/opt/roles:/srv/work/roles:roles",
        "ANSIBLE_BECOME_EXE": "/usr/local/bin/sudo",
        "ANSIBLE_REMOTE_TEMP": "/var/tmp/ansible",
    }
    paths = {"ANSIBLE_CONFIG", "ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_ROLES_PATH"}
    assert carried(settings, paths, [Path("/srv/work")]) == {
        "ANSIBLE_CONFIG": "/srv/work/ansible.cfg",
        "ANSIBLE_ROLES_PATH": "/srv/work/roles:roles",
        # On the hosts, not where Ansible runs.
        "ANSIBLE_BECOME_EXE": "/usr/local/bin/sudo",
        "ANSIBLE_REMOTE_TEMP": "/var/tmp/ansible",
    }


def test_ansible_itself_says_which_of_its_variables_are_paths() -> None:
    names = path_variables()
    assert {"ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_ROLES_PATH", "ANSIBLE_CALLBACK_PLUGINS"} <= names
    assert not {"ANSIBLE_FORKS", "ANSIBLE_REMOTE_USER"} & names
