# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository is an AWX project as it is: what AWX does with one is done here, with the programs that it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.playbooks.fleet import Fleet
from tests.lab.places import CHECKOUT, PROGRAMS
from tests.support.fake_awx import projects
from tests.support.servers.asked import RECEIVERS


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> projects.Updated:
    if not (CHECKOUT / ".git").exists():
        pytest.skip("AWX clones a git repository, which an unpacked archive is not")
    return projects.updated(CHECKOUT, tmp_path_factory.mktemp("awx"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    one = Fleet(tmp_path)
    one.add("p1")
    yield one
    one.end()


def launch(project: projects.Updated, fleet: Fleet, playbook: str, extra: dict[str, Any]) -> tuple[int, str]:
    """Run a playbook of the repository as a job of AWX; return its exit code and what it said."""
    variables = json.dumps(extra)
    done = project.run(
        str(PROGRAMS / "ansible-playbook"), "-i", str(fleet.inventory()), "-l", "p1", "-e", variables, playbook
    )
    return done.returncode, done.stdout + done.stderr


def test_awx_offers_every_playbook_of_ours(project: projects.Updated) -> None:
    ours = {f"playbooks/{path.name}" for path in (CHECKOUT / "playbooks").glob("*.yml")}
    assert len(ours) > 5
    assert ours <= projects.playbooks(project.project)


def test_a_repair_s_own_check_runs_by_the_collection_of_the_same_commit(
    project: projects.Updated, fleet: Fleet
) -> None:
    """With what the receiver gives: that is refused where the project's ansible.cfg does not count."""
    code, said = launch(project, fleet, "playbooks/check_service.yml", RECEIVERS)
    assert code != 0, "nothing serves there yet"
    assert "llama" in said
    fleet.start("p1")
    code, said = launch(project, fleet, "playbooks/check_service.yml", RECEIVERS)
    assert code == 0, said
    assert "for p1 => (item=llama)" in said


def test_no_other_copy_of_the_collection_was_used(project: projects.Updated) -> None:
    listed = project.run(str(PROGRAMS / "ansible-galaxy"), "collection", "list", "--format", "json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)
    assert [place for place, held in found.items() if "autoglm.recovery" in held] == [
        str(project.job / "requirements_collections/ansible_collections")
    ]


@pytest.mark.parametrize("name", ["ansible.cfg", "collections"])
def test_what_makes_it_a_project_does_not_ship(project: projects.Updated, name: str) -> None:
    assert (project.project / name).exists()
    assert not (project.job / "requirements_collections/ansible_collections/autoglm/recovery" / name).exists()
