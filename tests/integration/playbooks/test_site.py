# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml says at its end, and what uninstall.yml does without the word; both without a host."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from tests.lab.laboratory import environment
from tests.support.servers.plays import PLAYBOOKS

EXAMPLE = PLAYBOOKS.parent / "examples/fleet"


def play(playbook: str, inventory: Path, *options: str) -> tuple[int, str]:
    """Run a playbook, and return its exit code and what it said."""
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), f"autoglm.recovery.{playbook}", "-i", str(inventory), *options]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**environment(), "ANSIBLE_LOCALHOST_WARNING": "false"},
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def site(directory: Path, hosts: dict[str, object]) -> str:
    """Return what site.yml says of an inventory once all is installed; nothing is."""
    inventory = directory / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": hosts}}))
    return play("site", inventory, "--tags", "what-to-open")[1]


def test_the_example_is_what_its_roles_take_and_is_told_where_its_pages_are(tmp_path: Path) -> None:
    """Ansible validates the arguments of each role on each host whatever tags are asked for."""
    fleet = shutil.copytree(EXAMPLE, tmp_path / "fleet")
    (fleet / "secrets").mkdir()
    for name in ("receiver-key", "known_hosts"):  # as its README says
        (fleet / "secrets" / name).write_text("stands for a key\n")
    checked = CliRunner().invoke(app, ["check", str(fleet / "auto-recovery.yaml"), "-i", str(fleet / "inventory.yml")])
    assert checked.exit_code == 0, checked.output
    code, said = play("site", fleet / "inventory.yml", "--tags", "what-to-open")
    assert code == 0, said
    assert said.count("Validating arguments") == 6
    assert "Console (ops): http://127.0.0.1:9470/, on ops alone: ssh -L 9470:127.0.0.1:9470 ops" in said
    assert "Prometheus (ops): http://127.0.0.1:9090/, on ops alone" in said
    assert "Alertmanager (ops): http://127.0.0.1:9093/, on ops alone" in said
    assert "autoglm doctor" in said


def test_pages_are_where_browsers_reach_them(tmp_path: Path) -> None:
    receivers = {
        "one": {"ansible_host": "2001:db8::1", "receiver_listen": "0.0.0.0:9470", "receiver_tls_cert": "cert.pem"},
        "two": {"receiver_listen": "[::]:9471", "receiver_ready_url": "https://autoglm.example.org/readyz"},
    }
    said = site(tmp_path, {"autoglm_receiver": {"hosts": receivers}})
    assert "Console (one): https://[2001:db8::1]:9470/" in said
    assert "Console (two): https://autoglm.example.org/" in said
    assert "Prometheus" not in said.partition("What to open")[2]


def test_a_page_that_was_not_installed_is_not_told_of_as_one_that_was(tmp_path: Path) -> None:
    """A host that failed in an earlier play is passed over by its own, and the last one is played all the same."""
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("autoglm_receiver: {hosts: {ops: {}}}")
    said = play("site", inventory, "--tags", "always")[1]
    assert "Console (ops)" in said
    assert "NOT INSTALLED by this run" in said.partition("Console (ops)")[2]
    assert "NOT INSTALLED" not in play("site", inventory, "--tags", "what-to-open")[1]


def test_an_inventory_without_any_of_the_groups_is_an_error(tmp_path: Path) -> None:
    said = site(tmp_path, {"autoglm_monitorin": {"hosts": {"ops": {}}}})
    assert "has no host in any of the groups" in said
    assert "autoglm_monitoring" in said.partition("has no host in any of the groups")[2]


def test_nothing_is_touched_without_the_word() -> None:
    code, said = play("uninstall", EXAMPLE / "inventory.yml", "-e", "autoglm_remove_data=yes")
    assert code != 0
    assert "Nothing was touched." in said
    assert "-e autoglm_uninstall=yes" in said
    # Not on another host, and before anything is asked of one, which there is not.
    assert "UNREACHABLE" not in said
    assert said.count("PLAY [") == 1
