# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible quotes of an inventory is not kept: with ansible-core's own words, as it is installed."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.receiver.fleet.ansible import playbooks_folder
from autoglm_recovery.receiver.fleet.fleet import InventoryError, read_fleet
from autoglm_recovery.receiver.process import cleaned
from tests.support.servers import planted
from tests.support.servers.planted import secret

S = secret("inventory")
HOST = "all:\n  hosts:\n    node-a:\n      ansible_connection: local\n"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - {name: Ask for it, ansible.builtin.debug: {msg: "{{ bad }}"}, ignore_errors: true}
    - {name: Tell it, ansible.builtin.debug: {msg: "postgresql://me:SECRET@db/x and api_key=SECRET"}}
""".replace("SECRET", S)
BROKEN = {
    "alias.yml": f"{HOST}      ansible_password: {S}\n      ansible_become_password: *{S}\n",
    "tag.yml": f"{HOST}      ansible_password: !{S}\n",
    "quotation.yml": f'{HOST}      ansible_become_password: {S}\n      ansible_password: "{S}\n',
    "kind.yml": f"all:\n  hosts:\n    node-a: [{S}]\n",
    "hosts.ini": f'[all]\nnode-a ansible_password={S} ansible_password="{S}\n',
    "words.ini": f"[all]\nnode-a x={S} {S}\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_inventory_that_cannot_be_read_is_told_without_what_is_in_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BROKEN[name])
    with pytest.raises(InventoryError) as refused:
        read_fleet(tmp_path / name, playbooks_folder())
    assert name in str(refused.value)
    assert "arse" in str(refused.value)
    assert S not in str(refused.value)


@pytest.mark.parametrize("colour", ["true", "false"])
def test_what_a_task_quotes_is_not_kept(tmp_path: Path, colour: str) -> None:
    (tmp_path / "hosts.yml").write_text(f'{HOST}      words: [--api-key, {S}, {S}]\n      bad: "{{{{ nosuch }}}}"\n')
    (tmp_path / "play.yml").write_text(PLAY)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.yml", "play.yml"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": colour},
        capture_output=True,
        text=True,
        check=True,
    )
    printed = done.stdout + done.stderr
    assert printed.count(S) > 2
    assert "words:" in printed
    for text in (printed, printed.replace("\n", "\r\n")):
        kept = cleaned.output(text)
        assert S not in kept
        # Where it is wrong is still told, and all that is no quotation.
        assert f"Origin: {tmp_path}/hosts.yml:6:12" in kept
        assert "'nosuch' is undefined" in kept
        assert "PLAY RECAP" in kept
        event = {"stdout": text, "event_data": {"host": "node-a", "res": {"msg": text, "token": S, "rc": 0}}}
        cleaned.clean(event)
        assert S not in json.dumps(event)
        assert event["event_data"]["host"] == "node-a"
        assert event["event_data"]["res"]["rc"] == 0


def test_every_variable_in_which_ansible_takes_a_password_or_a_key_has_one_planted() -> None:
    taken = set()
    for name in ("connection.ssh", "become.su", "become.sudo"):
        options = yaml.safe_load(importlib.import_module(f"ansible.plugins.{name}").DOCUMENTATION)["options"]
        taken |= {variable["name"] for option in options.values() for variable in option.get("vars", ())}
    secrets = {name for name in taken if re.search(r"pass(word|phrase)?$|private_key$", name)}
    assert len(secrets) > 5
    assert secrets <= set(planted.CONNECTION)


def test_other_lines_with_numbers_stay() -> None:
    text = "Origin: unknown\nmore\n5 apples\n6 pears\n"
    assert cleaned.output(text) == text
    assert cleaned.output("1 a\n2 b\n^ column 3\n") == "1 a\n2 b\n^ column 3\n"
