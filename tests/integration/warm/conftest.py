# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place for runs, and a warm process for all tests of a module."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from tests.integration.warm.project import Project
from tests.integration.warm.running import Place, ready


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The environment is set for the module: it is one of the conditions of being warm."""
    made = Place(tmp_path_factory.mktemp("warm"))
    made.build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_COLLECTIONS_PATH", str(made.root / "collections"))
        patch.setenv("ANSIBLE_LOCAL_TEMP", str(made.root / "temporary"))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield made


@pytest.fixture(scope="module")
def warmer(place: Place) -> Iterator[Warmer]:
    made = Warmer(run_directory.spawn, place.root / "warm.log")
    ready(made)
    yield made
    made.stop()


@pytest.fixture
def own_warmer(place: Place, tmp_path: Path) -> Iterator[Warmer]:
    """One that a test may break."""
    assert place.inventory.exists()
    made = Warmer(run_directory.spawn, tmp_path / "warm.log")
    ready(made)
    yield made
    made.stop()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with an inventory elsewhere, whose variables lie beside it, beside the playbooks and in the folder."""
    place = Place(tmp_path / "place", inventory_name="fleet/hosts.yml")
    (tmp_path / "place/fleet").mkdir(parents=True)
    place.build()
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(place.root / "collections"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    made = Project(place, tmp_path / "work", monkeypatch)
    for where, name in ((place.root / "fleet", "inventory"), (place.playbooks, "playbooks"), (made.folder, "folder")):
        (where / "group_vars").mkdir()
        (where / "group_vars/all.yml").write_text(f"of_{name}: {name}\n")
    (place.root / "fleet/host_vars").mkdir()
    services = "autoglm_services: [{name: llama, pool: chat}]\nsecret: plain\nother_secret: plain\n"
    (place.root / "fleet/host_vars/node-a.yml").write_text(f"of_host: host\n{services}")
    return made


@pytest.fixture
def control() -> Iterator[Path]:
    """Where ssh's shared connections are, by a path that is short enough for a socket; they end with the test."""
    folder = Path(tempfile.mkdtemp(prefix="autoglm-"))
    yield folder
    for path in folder.iterdir():
        words = ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "anywhere"]
        subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)  # an ssh that ends removes its socket by itself, at any moment
