# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-runner is given for an execution environment, and what it makes of that."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from ansible_runner.config.runner import RunnerConfig

from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.receiver.container import check_podman, runner_arguments
from autoglm_recovery.receiver.launcher import LaunchRefused


def test_without_one_nothing_is_isolated(tmp_path: Path) -> None:
    given = runner_arguments(None, tmp_path, Path("/etc/my fleet/hosts.yml"))
    assert given.keys() == {"cmdline", "ident"}
    words = shlex.split(given["cmdline"])
    assert words == ["--inventory", "/etc/my fleet/hosts.yml", "--extra-vars", f"@{tmp_path}/vars.yml"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_the_command_that_ansible_runner_makes_of_it(tmp_path: Path, is_folder: bool) -> None:
    """The real one builds the command line; podman need not be there for that."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    inventory = folder if is_folder else folder / "hosts.yml"
    run = tmp_path / "7"
    (run / "project").mkdir(parents=True)
    environment = ExecutionEnvironment(
        image="quay.io/ansible/ee:1@sha256", pull="never", mounts=("/etc/keys:/keys:ro",), options=("--pids-limit=99",)
    )
    given = runner_arguments(environment, run, inventory)
    config = RunnerConfig(
        private_data_dir=str(run), playbook="autoglm.recovery.x", limit="node-a", **_for_config(given)
    )
    config.prepare()
    command = [str(word) for word in config.command]
    assert command[:3] == ["podman", "run", "--rm"]
    mounts = [command[place + 1] for place, word in enumerate(command) if word == "-v"]
    assert f"{folder}/:/inventory/:ro" in mounts or f"{folder}:/inventory:ro" in mounts
    assert "/etc/keys:/keys:ro" in mounts
    assert any(mount.startswith(f"{run}/:/runner") for mount in mounts)
    after = command[command.index("quay.io/ansible/ee:1@sha256") + 1 :]
    assert after[0] == "ansible-playbook"
    assert after[after.index("--inventory") + 1] == ("/inventory" if is_folder else "/inventory/hosts.yml")
    assert after[after.index("--extra-vars") + 1] == "@/runner/vars.yml"
    assert after[-1] == "autoglm.recovery.x"
    assert {"--pull=never", "--network=host", "--pids-limit=99"} <= set(command[: command.index(after[0])])


def _for_config(given: dict) -> dict:
    """Name things as C(ansible_runner.run) does when it makes a configuration of them."""
    return {**given, "container_volume_mounts": given["container_volume_mounts"]}


def test_no_two_runs_of_a_machine_share_a_container() -> None:
    """ansible-runner names it by the ident."""
    runs = [Path("/var/lib/one/runs/7"), Path("/var/lib/one/runs/8"), Path("/var/lib/other/runs/7")]
    idents = [runner_arguments(ExecutionEnvironment(image="x"), run, Path("/etc/hosts.yml"))["ident"] for run in runs]
    assert len(set(idents)) == 3
    assert [ident.partition("-")[0] for ident in idents] == ["7", "8", "7"]


def test_a_folder_that_cannot_be_mounted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="colon"):
        runner_arguments(ExecutionEnvironment(image="image"), tmp_path, Path("/a:b/hosts.yml"))


def test_without_podman_the_run_is_refused() -> None:
    check_podman(lambda _name: "/usr/bin/podman")
    with pytest.raises(LaunchRefused, match="podman is not installed"):
        check_podman(lambda _name: None)
