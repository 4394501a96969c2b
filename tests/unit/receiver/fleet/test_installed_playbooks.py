# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions that can be run are the playbooks of the copy of the collection that ansible-playbook would take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autoglm_recovery.receiver.fleet import ansible
from autoglm_recovery.receiver.fleet.ansible import AnsibleError, installed_playbooks


def install(root: Path, *playbooks: str) -> Path:
    """Install a collection of these playbooks, each of which prints its place, in a folder."""
    folder = root / "ansible_collections/autoglm/recovery/playbooks"
    folder.mkdir(parents=True)
    for name in playbooks:
        told = f"- {{hosts: localhost, gather_facts: false, tasks: [{{ansible.builtin.debug: {{msg: '{root}'}}}}]}}"
        (folder / f"{name}.yml").write_text(told)
    return root


# Places in alphabetical order are a different thing, and which comes first there depends on where people install.
@pytest.mark.parametrize("order", [("aa", "zz"), ("zz", "aa")])
def test_the_first_place_of_the_search_path_counts(tmp_path, monkeypatch, order):
    for name in order:
        install(tmp_path / name, name, "restart_process")
    first, second = (tmp_path / name for name in order)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{first}:{second}")
    assert installed_playbooks() == {first.name, "restart_process"}

    program = Path(sys.executable).with_name("ansible-playbook")
    run = subprocess.run([program, "autoglm.recovery.restart_process"], capture_output=True, text=True, check=False)
    assert f'"msg": "{first}"' in run.stdout, run.stderr


def test_a_configured_place_comes_before_the_one_beside_the_interpreter(tmp_path, monkeypatch):
    # Below / and below ~ the alphabet has either of them first.
    monkeypatch.setenv("PYTHONPATH", str(install(tmp_path / "aa", "packaged")))
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(install(tmp_path / "zz", "configured")))
    assert installed_playbooks() == {"configured"}


def test_the_current_folder_is_no_place(tmp_path, monkeypatch):
    install(tmp_path, "planted")
    monkeypatch.chdir(tmp_path)
    assert "planted" not in installed_playbooks()


def test_a_collection_that_is_nowhere_is_an_error_that_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(ansible, "COLLECTION", "autoglm.nowhere")
    with pytest.raises(AnsibleError, match=r"finds no collection autoglm\.nowhere; install it with"):
        installed_playbooks()
