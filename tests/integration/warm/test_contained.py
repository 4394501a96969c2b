# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in an execution environment sees what ansible-playbook would, started in the receiver's folder on the machine.

Real podman, a real image with another release of Ansible in it, real servers of SSH.  Several cases in one run, because
podman takes its time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_recovery.policy.launchers import ExecutionEnvironment
from tests.integration.warm import cases
from tests.integration.warm.project import Project
from tests.support.servers import containers, execution_environment, person, sshd
from tests.support.servers.containers import Runtime

PASSWORD = "of sudo, with blanks"
# Where the image's user is at home.
HOME = "/root"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the part needs root, as the lab does")


@pytest.fixture(scope="module")
def podman() -> Iterator[Runtime]:
    with containers.podman() as runtime:
        yield runtime


@pytest.fixture
def contained(project: Project, podman: Runtime, tmp_path: Path) -> Callable[..., Any]:
    """Return how to have a run in a container tell what it sees, with these folders and files of the machine there."""
    project.place.host = {**project.place.host, "ansible_python_interpreter": "/usr/bin/python3"}
    project.place.inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node-a": dict(project.place.host)}}}))
    image = execution_environment.ensure(podman)
    (tmp_path / "bin").mkdir()

    def see(*there: Path | str, **target: object) -> Any:
        # Who has entered a namespace of its own is where podman works.
        where = dataclasses.replace(podman, prefix=[] if project.enter else podman.prefix)
        project.patch.setenv("PATH", execution_environment.on_path(tmp_path / "bin", where))
        there = (project.place.root / "collections", *there)
        mounts = tuple(path if isinstance(path, str) else f"{path}:{path}" for path in there)
        options = tuple(podman.options)
        project.place.environment = ExecutionEnvironment(image=image, pull="never", mounts=mounts, options=options)
        return project.by_receiver("cold", **target)

    return see


def at_home(seen: Any, home: Path) -> Any:
    """Return what was seen, with the image's home folder in place of the machine's."""
    return json.loads(json.dumps(seen).replace(str(home), HOME))


def test_the_machine_s_ansible_cfg_vaults_inventories_and_check_mode(
    project: Project, contained: Callable[..., Any], podman: Runtime, tmp_path: Path
) -> None:
    """In an /etc of its own: several vault ids, one of them a script; a script in an inventory directory."""
    etc = tmp_path / "etc"
    subprocess.run(["cp", "-a", "/etc", str(etc)], check=True)
    project.configuration = str(etc / "ansible/ansible.cfg")
    enter = f'mount --bind "$0" /etc; cd {project.folder}; exec "$@"'
    project.enter = (*podman.prefix, "unshare", "--mount", "--propagation", "private", "sh", "-ec", enter, str(etc))
    cases.vaulted(project, "ids")
    cases.of_many_kinds(project)
    project.configure(defaults={"forks": 17})
    project.playbook = "settings_and_checked"
    expected = project.by_hand()
    assert (expected["file"], expected["base"][0]) == ("/etc/ansible/ansible.cfg", 17)
    assert expected["secrets"] == ["secret of the vault", "other_secret of the vault"]
    assert expected["hosts"] == ["node-a", "node-s"]
    assert (expected["would"], expected["there"], expected["did"]) == (True, False, True)
    assert contained() == at_home(expected, tmp_path / "home")


def test_what_is_in_the_folder_s_ansible_cfg(project: Project, contained: Callable[..., Any], tmp_path: Path) -> None:
    """Callbacks, strategies, caches of facts, become by a password file, ssh's settings."""
    cases.much_configured(project)
    project.configure(defaults={"callback_plugins": "noted:/opt/callbacks", "callbacks_enabled": "noted, of_image"})
    of_image = project.write("../image/of_image.py", cases.CALLBACK.replace('"noted"', '"of_image"'))
    project.patch.delenv("ANSIBLE_COLLECTIONS_PATH")
    seen = contained(f"{of_image.parent}:/opt/callbacks", become=True)
    expected = project.by_hand(become=True)
    assert (seen.pop("remembered"), expected.pop("remembered")) == ("-", "of an earlier run")
    assert expected["asked"] == "yes"
    assert seen == at_home(expected, tmp_path / "home")
    assert (project.folder / "noted/noted.py.noted").read_text() == "xx"
    assert of_image.with_name("of_image.py.noted").read_text() == "x"


def test_over_ssh_through_a_jump_host_to_root(
    project: Project, contained: Callable[..., Any], tmp_path: Path, control: Path
) -> None:
    """A person's account behind a second sshd, by a key in an agent, and a real sudo; ssh's shared connections and the
    password's file by an ansible.cfg in the home folder.
    """
    project.configuration = "../home/.ansible.cfg"
    bastion = tmp_path / "bastion"
    with (
        person.serving(tmp_path, PASSWORD) as reach,
        sshd.serving(bastion, PermitOpen=f"127.0.0.1:{reach.port}") as port,
        sshd.agent(tmp_path / "agent", reach.key),
    ):
        project.patch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        cases.becoming_root(project, reach, PASSWORD, control)
        project.write("known", f"[127.0.0.1]:{port} {(bastion / 'host_key.pub').read_text()}")
        config = f"Host bastion\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {bastion / 'key'}\n"
        project.write("ssh_config", f"{config}  UserKnownHostsFile known\n  GlobalKnownHostsFile /dev/null\n")
        common = "-F ssh_config -o ProxyJump=bastion"
        host = {**project.place.host, "ansible_ssh_common_args": common}
        # In the agent.
        del host["ansible_ssh_private_key_file"]
        project.place.inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node-a": host}}}))
        project.playbook = "become"
        expected = project.by_hand()
        assert expected == [person.NAME, ["root", person.NAME], True], reach.log.read_text()
        (connection,) = control.iterdir()
        subprocess.run(["ssh", "-o", f"ControlPath={connection}", "-O", "exit", "node-a"], check=True)
        assert contained(bastion / "key", tmp_path / "home", control) == expected
        assert (bastion / "sshd.log").read_text().count("Accepted publickey") == 2
        assert reach.log.read_text().count("auth succeeded") == 2, "one connection for all tasks of a run"
