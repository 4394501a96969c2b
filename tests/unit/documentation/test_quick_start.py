# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the quick start are right together: the program checks policy and inventory, Ansible the plays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs/quick-start.md").read_text("utf-8")
INVENTORY, POLICY, FLEET, JOIN = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(cwd)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the page, by the names that it gives them."""
    fleet = tmp_path_factory.mktemp("quick-start") / "fleet"
    fleet.mkdir()
    for name, text in {
        "inventory.yml": INVENTORY,
        "auto-recovery.yaml": POLICY,
        "fleet.yml": FLEET,
        "join.yml": JOIN,
    }.items():
        (fleet / name).write_text(text)
    return fleet.parent


def test_what_is_made_in_the_checkout_does_not_leave_it_by_accident() -> None:
    """The receiver's key is there: neither a commit nor an archive takes it along."""
    assert "\nmkdir fleet\n" in PAGE
    assert "-f fleet/receiver_key" in PAGE
    assert "/fleet/" in (CHECKOUT / ".gitignore").read_text("utf-8").splitlines()
    assert "fleet" in yaml.safe_load((CHECKOUT / "galaxy.yml").read_text("utf-8"))["build_ignore"]


@pytest.mark.slow
def test_policy_and_inventory_have_no_mistake(folder: Path) -> None:
    done = run(str(BIN / "autoglm"), "check", "fleet/auto-recovery.yaml", "-i", "fleet/inventory.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_ansible_understands_the_plays_and_each_finds_its_hosts(folder: Path) -> None:
    command = [str(BIN / "ansible-playbook"), "-i", "fleet/inventory.yml", "fleet/fleet.yml", "--list-hosts"]
    done = run(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"hosts \((\d+)\)", done.stdout) == ["2", "1", "1"]


def roles() -> list[dict[str, Any]]:
    return [role for text in (FLEET, JOIN) for play in yaml.safe_load(text) for role in play["roles"]]


@pytest.mark.parametrize("role", roles(), ids=lambda role: role["role"])
def test_each_role_is_there_and_knows_what_it_is_told(role: dict[str, Any]) -> None:
    specs = CHECKOUT / "roles" / role["role"].removeprefix("autoglm.recovery.") / "meta/argument_specs.yml"
    options = yaml.safe_load(specs.read_text("utf-8"))["argument_specs"]["main"]["options"]
    assert role.keys() - {"role"} <= options.keys()
    required = {name for name, option in options.items() if option.get("required")}
    assert required <= role.keys()
