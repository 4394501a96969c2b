# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments that people build: ansible-builder takes what we write, and hears of all that the modules need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.servers.plays import load

CHECKOUT = Path(__file__).parents[3]
BUILDER = Path(sys.executable).with_name("ansible-builder")
DEFINITIONS = sorted((CHECKOUT / "examples/environments").glob("*.yml"))
# ansible-builder leaves it out of every image's list, because ansible-core brings it.
OF_ANSIBLE = "PyYAML"
NEEDED = {
    line
    for line in (CHECKOUT / "meta/ee-requirements.txt").read_text("utf-8").splitlines()
    if line[:1] not in ("", "#")
}


def builder(*words: str) -> str:
    """Run ansible-builder, and return what it says."""
    done = subprocess.run([BUILDER, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda path: path.stem)
def test_ansible_builder_makes_a_context_of_it(definition: Path, tmp_path: Path) -> None:
    builder("create", "--file", str(definition), "--context", str(tmp_path))
    containerfile = (tmp_path / "Containerfile").read_text("utf-8")
    assert "ansible-galaxy collection install" in containerfile
    (collection,) = yaml.safe_load((tmp_path / "_build/requirements.yml").read_text("utf-8"))["collections"]
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text("utf-8"))
    assert collection["name"] == f"{galaxy['repository']}.git"
    # Neither base image has it, and both the collection and the package come out of git.
    assert "install -y git-core" in containerfile


def test_there_is_one_for_playbooks_and_one_for_rulebooks(tmp_path: Path) -> None:
    assert [path.stem for path in DEFINITIONS] == ["decision-environment", "execution-environment"]
    builder("create", "--file", str(DEFINITIONS[0]), "--context", str(tmp_path))
    python = (tmp_path / "_build/requirements.txt").read_text("utf-8")
    system = (tmp_path / "_build/bindep.txt").read_text("utf-8")
    assert "ansible-rulebook" in python
    assert "autoglm-recovery @ git+https://" in python
    assert "java-17-openjdk-headless" in system


def test_the_collection_tells_ansible_builder_what_its_modules_need(tmp_path: Path) -> None:
    """That the list has all of it, tests/unit/plugins/modules/test_requirements.py holds."""
    (tmp_path / "ansible_collections/autoglm").mkdir(parents=True)
    (tmp_path / "ansible_collections/autoglm/recovery").symlink_to(CHECKOUT)
    told = builder("introspect", str(tmp_path))
    found = yaml.safe_load(told.partition("---\n")[2])
    assert OF_ANSIBLE in NEEDED
    assert {entry.partition("  #")[0].strip() for entry in found["python"]} == NEEDED - {OF_ANSIBLE}


PROJECT = CHECKOUT / "examples/awx"


def test_awx_finds_the_playbooks_of_the_example_and_ansible_understands_them() -> None:
    found = sorted((PROJECT / "playbooks").glob("*.yml"))
    (play,) = load(CHECKOUT / "playbooks/awx_setup.yml")
    ours = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")} - set(play["vars"]["awx_not_launched"])
    # AWX refuses a template whose playbook is not there, and the set-up makes one of each.
    assert ours | {"rolling_restart"} < {path.stem for path in found}
    playbook = str(BUILDER.with_name("ansible-playbook"))
    check = [playbook, "--syntax-check", "-i", "inventory.yml", "-e", "target=node-a", "-e", "pool=chat"]
    done = subprocess.run(
        [*check, *map(str, found)], cwd=PROJECT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (needed,) = yaml.safe_load((PROJECT / "collections/requirements.yml").read_text("utf-8"))["collections"]
    assert needed["name"] == "https://github.com/autoglm/recovery.git"
