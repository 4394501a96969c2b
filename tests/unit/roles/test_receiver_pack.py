# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory goes to the host as one archive: the same files give the same bytes, so that a play sees no change."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

PACK = Path(__file__).parents[3] / "roles/receiver/files/pack.py"


def pack(tmp_path: Path, path: Path, name: str = "out.tar") -> Path:
    """Pack as the role does, and return the archive."""
    archive = tmp_path / name
    done = subprocess.run([sys.executable, PACK, archive, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return archive


def members(archive: Path) -> dict[str, str]:
    """Names of an archive's members, each with its mode."""
    with tarfile.open(archive) as tar:
        return {member.name: oct(member.mode) for member in tar}


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A folder as sites have them."""
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text("all: {}\n")
    (folder / "group_vars/all.yml").write_text("a: 1\n")
    (folder / "dynamic.sh").write_text("#!/bin/sh\n")
    (folder / "dynamic.sh").chmod(0o700)
    return folder


def test_the_same_files_give_the_same_archive_whenever_they_were_written(tmp_path: Path, inventory: Path) -> None:
    before = pack(tmp_path, inventory, "before.tar").read_bytes()
    os.utime(inventory / "hosts.yml", (1, 1))
    (inventory / "hosts.yml").chmod(0o600)
    assert pack(tmp_path, inventory, "after.tar").read_bytes() == before
    (inventory / "hosts.yml").write_text("all: {hosts: {a: }}\n")
    assert pack(tmp_path, inventory, "changed.tar").read_bytes() != before


def test_a_folder_is_packed_without_what_no_inventory_is(tmp_path: Path, inventory: Path) -> None:
    (inventory / ".git").mkdir()
    (inventory / "group_vars/__pycache__").mkdir()
    assert members(pack(tmp_path, inventory)) == {
        "dynamic.sh": "0o755",
        "group_vars": "0o755",
        "group_vars/all.yml": "0o644",
        "hosts.yml": "0o644",
    }


def test_of_a_file_the_variables_beside_it_go_with_it_and_nothing_else(tmp_path: Path, inventory: Path) -> None:
    assert set(members(pack(tmp_path, inventory / "hosts.yml"))) == {"hosts.yml", "group_vars", "group_vars/all.yml"}


def test_a_link_is_what_it_leads_to(tmp_path: Path, inventory: Path) -> None:
    (inventory / "more.yml").symlink_to(inventory / "hosts.yml")
    with tarfile.open(pack(tmp_path, inventory)) as tar:
        assert tar.getmember("more.yml").isfile()


def test_what_is_no_file_is_refused(tmp_path: Path, inventory: Path) -> None:
    os.mkfifo(inventory / "pipe")
    command = [sys.executable, PACK, tmp_path / "out.tar", inventory]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pipe is no file and no folder" in done.stderr
