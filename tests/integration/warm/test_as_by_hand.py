# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run sees what ansible-playbook would, started in the receiver's folder; cold, warm, and who reads the inventory.

Each test lays out a project as people have one, has the real ansible-playbook tell what it sees there, and compares.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.receiver.fleet.site_config import read_config
from autoglm_recovery.receiver.runs.local import run_directory
from tests.integration.warm import cases
from tests.integration.warm.project import Project

# Set for the one test that has an /etc of its own.
OWN_ETC = os.environ.get("AUTOGLM_TEST_OWN_ETC", "").split()


@pytest.mark.parametrize("found", ["variable", "relative", "folder", "home", "nowhere", *OWN_ETC])
def test_ansible_cfg_is_found_as_by_hand(project: Project, found: str) -> None:
    names = {"home": "../home/.ansible.cfg", "variable": "etc/a.cfg", "relative": "etc/a.cfg"}
    if found not in ("nowhere", "etc"):
        project.configuration = names.get(found, "ansible.cfg")
        file = project.configure(defaults={"forks": 17, "roles_path": "roles"})
    if found == "variable":
        project.patch.setenv("ANSIBLE_CONFIG", str(file))
    if found == "relative":
        project.patch.setenv("ANSIBLE_CONFIG", "etc/a.cfg")
    expected = project.by_hand()
    assert (expected["base"][0] == 17) is (found != "nowhere")
    assert project.by_receiver("cold") == expected
    assert project.by_receiver("warm") == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root, as the lab does")
def test_ansible_cfg_of_the_machine_is_found_as_by_hand(tmp_path: Path) -> None:
    """With an /etc of its own, in a mount namespace: the machine's is left as it is."""
    etc = tmp_path / "etc"
    subprocess.run(["cp", "-a", "/etc", str(etc)], check=True)
    (etc / "ansible").mkdir(exist_ok=True)
    (etc / "ansible/ansible.cfg").write_text("[defaults]\nforks = 17\nroles_path = roles\n")
    inside = f"{__file__}::test_ansible_cfg_is_found_as_by_hand[etc]"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path}/inside", inside]
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount --bind "$0" /etc; exec "$@"']
    done = subprocess.run(
        [*enter, str(etc), *words],
        env={**os.environ, "AUTOGLM_TEST_OWN_ETC": "etc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_in_a_folder_that_everybody_can_write_to_it_is_ignored_as_by_hand(project: Project) -> None:
    project.configure(defaults={"forks": 17})
    project.folder.chmod(0o777)
    expected = project.by_hand()
    assert expected["base"][0] != 17
    assert project.by_receiver("cold") == expected
    assert project.by_receiver("warm") == expected


def test_what_is_in_ansible_cfg_counts_as_by_hand(project: Project) -> None:
    cases.much_configured(project)
    project.patch.delenv("ANSIBLE_COLLECTIONS_PATH")
    first = project.by_hand(become=True)
    assert first["remembered"] == "-"
    expected = project.by_hand(become=True)
    assert (expected["remembered"], expected["asked"]) == ("of an earlier run", "yes")
    assert (project.folder / "noted/noted.py.noted").read_text() == "xx"
    assert project.by_receiver("cold", become=True) == expected
    assert project.by_receiver("warm", become=True) == expected
    assert (project.folder / "noted/noted.py.noted").read_text() == "xxxx"


def test_check_mode_is_as_by_hand(project: Project) -> None:
    """A receiver asks for none by itself: a playbook has it, of a play or a task, and a person's --check sees the same
    settings."""
    seen = project.by_hand()
    assert project.by_hand("--check") == {**seen, "checked": True}
    project.playbook = "checked"
    expected = project.by_hand()
    assert expected == {"would": True, "there": False, "did": True, "forced": True}
    assert project.by_receiver("cold") == expected
    assert project.by_receiver("warm") == expected


@pytest.mark.parametrize("vault", cases.VAULTS)
def test_vaults_open_as_by_hand_for_runs_and_for_who_reads_the_inventory(project: Project, vault: str) -> None:
    cases.vaulted(project, vault)
    expected = project.by_hand()
    assert expected["secrets"] == ["secret of the vault", "other_secret of the vault"]
    assert project.by_receiver("cold") == expected
    assert project.by_receiver("warm") == expected
    fleet = read_config(None, project.place.inventory).fleet
    (service,) = fleet.hosts["node-a"].services
    assert [service.name] == expected["services"] == ["llama"]
    assert service.pool == "chat"


def test_inventories_of_many_kinds_are_read_as_by_hand(project: Project) -> None:
    """A directory with files, a script, and a plugin with a cache."""
    cases.of_many_kinds(project)
    # What a plugin has in its cache is not asked for again.
    expected = project.by_hand()
    assert expected["hosts"] == ["node-a", "node-s"]
    assert project.by_receiver("cold") == expected
    assert project.by_receiver("warm") == expected
    read = read_config(None, project.place.inventory).fleet
    assert sorted(read.hosts) == expected["hosts"]
    assert "made" in read.groups


def test_who_reads_the_inventory_sees_the_variables_that_runs_see(project: Project) -> None:
    """ansible-inventory by itself takes those of the current folder, and not those beside the playbooks."""
    project.patch.chdir(project.folder)
    for where, name in ((project.place.playbooks, "of-playbooks"), (project.folder, "of-folder")):
        file = where / "group_vars/all.yml"
        file.write_text(file.read_text() + yaml.safe_dump({"autoglm_services": [{"name": name}]}))
    (project.place.root / "fleet/host_vars/node-a.yml").write_text("secret: x\nother_secret: x\n")
    (service,) = read_config(None, project.place.inventory).fleet.hosts["node-a"].services
    assert [service.name] == project.by_hand()["services"] == project.by_receiver("cold")["services"]
    assert service.name == "of-playbooks"


def test_beside_a_link_to_an_inventory_is_where_variables_are_as_by_hand(project: Project) -> None:
    fleet = project.place.root / "fleet"
    link = project.write("inventory/hosts.yml", "")
    link.unlink()
    link.symlink_to(fleet / "hosts.yml")
    project.write("inventory/group_vars/all.yml", "of_inventory: beside the link\n")
    project.write("inventory/host_vars/node-a.yml", "secret: x\nother_secret: x\nautoglm_services: [{name: linked}]\n")
    project.place.inventory_name = str(link)
    expected = project.by_hand()
    assert (expected["from"][0], expected["services"]) == ("beside the link", ["linked"])
    project.patch.chdir(project.folder)
    config = read_config(None, Path("inventory/hosts.yml"))
    (service,) = config.fleet.hosts["node-a"].services
    assert service.name == "linked"
    project.place.inventory_name = str(config.inventory)
    assert project.by_receiver("cold") == expected


def test_a_folder_that_is_gone_is_said(project: Project) -> None:
    gone = project.folder / "gone"
    gone.mkdir()
    project.patch.chdir(gone)
    gone.rmdir()
    with pytest.raises(run_directory.LaunchRefused, match="was started is gone"):
        project.place.start(run_directory.spawn, "settings")
