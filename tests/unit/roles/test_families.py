# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role takes from the family of the system is known for those that molecule cannot boot here too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLES = Path(__file__).parents[3] / "roles"
OF_FAMILY = re.compile(r"ansible_facts\[.os_family.\]")
RELEASES = (("RedHat", "9"), ("RedHat", "10"), ("Suse", "15"), ("Archlinux", "rolling"))


def variables(role: Path) -> dict[str, Any]:
    """Return a role's defaults, and above them its own variables, as Ansible reads them."""
    read: dict[str, Any] = {}
    files = (
        role / "defaults/main.yml",
        *sorted((role / "vars").glob("main.yml")),
        *sorted(role.glob("vars/main/*.yml")),
    )
    for file in files:
        if file.exists():
            read |= DataLoader().load_from_file(str(file), trusted_as_template=True) or {}
    return read


def of_families(role: Path) -> list[str]:
    """Name the variables whose text asks for the family."""
    return [name for name, text in variables(role).items() if isinstance(text, str) and OF_FAMILY.search(text)]


ASKED = [(role.name, name) for role in sorted(ROLES.iterdir()) for name in of_families(role)]
each_variable = pytest.mark.parametrize(("role", "name"), ASKED)


def on(family: str, release: str, role: str, name: str) -> Any:
    """Return what a variable is on a host of this family."""
    facts = {"os_family": family, "distribution_major_version": release}
    known = variables(ROLES / role) | {"ansible_facts": facts}
    return Templar(loader=DataLoader(), variables=known).template(known[name])


def test_roles_ask_for_it() -> None:
    """Else the others would hold whatever roles do."""
    assert ASKED


@each_variable
def test_the_family_that_molecule_boots_has_something(role: str, name: str) -> None:
    assert on("Debian", "12", role, name)


@pytest.mark.parametrize(("family", "release"), RELEASES)
@each_variable
def test_any_other_has_something_of_the_same_kind(role: str, name: str, family: str, release: str) -> None:
    """A preflight refuses nothing of that kind in a sentence; a name that a mapping lacks only ends the play."""
    assert type(on(family, release, role, name)) is type(on("Debian", "12", role, name))


def test_the_receiver_gets_a_python_that_is_new_enough() -> None:
    """RHEL 9 has an older one."""
    nine, ten = (on("RedHat", release, "receiver", "__receiver_packages") for release in ("9", "10"))
    assert (nine, ten) == (["python3.11", "openssh-clients"], ["python3", "openssh-clients"])


def test_the_node_exporter_of_epel_is_called_as_fedora_calls_it() -> None:
    """Fedora renamed the package, and not what is in it: node-exporter.spec of src.fedoraproject.org."""
    nine, ten = (on("RedHat", release, "node_exporter", "__node_exporter_family") for release in ("9", "10"))
    assert (nine["package"], ten["package"]) == ("golang-github-prometheus-node-exporter", "node-exporter")
    for family in (nine, ten):
        assert family["unit"] == "prometheus-node-exporter.service"
        assert family["program"] == "/usr/bin/prometheus-node-exporter"


def test_nothing_is_guessed_of_a_family_whose_packages_are_not_known() -> None:
    """The preflights of these roles ask for what is empty then."""
    assert on("Suse", "15", "node_exporter", "__node_exporter_package") == ""
    assert on("RedHat", "9", "blackbox_exporter", "__blackbox_exporter_package") == ""
