# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is there whole or as it was, with the mode that was asked for, and nothing unfinished stays."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import timer_install
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.timer import File
from ansible_collections.autoglm.recovery.plugins.module_utils.host import whole_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)


@pytest.mark.usefixtures("strict_umask")
@pytest.mark.parametrize(("asked", "found"), [(0o644, 0o644), (0o600, 0o600), (0o755, 0o755), (None, 0o600)])
def test_the_mode_is_what_was_asked_for_or_what_the_umask_leaves(tmp_path: Path, asked: int | None, found: int) -> None:
    whole_file.write(tmp_path / "f", "content", asked)
    assert ((tmp_path / "f").read_text(), mode(tmp_path / "f")) == ("content", found)


def test_what_was_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old, and longer")
    whole_file.write(tmp_path / "f", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f", b"new")]


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "f").symlink_to("target")
    whole_file.write(tmp_path / "f", "new")
    assert not (tmp_path / "f").is_symlink()
    assert (tmp_path / "target").read_text() == "mine"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_old_file_alone_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    with pytest.raises(OSError, match="No space left") as failure:
        whole_file.write(tmp_path / "f", "new")
    assert failure.value.filename == str(tmp_path / "f")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_what_is_no_file_is_not_replaced_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        whole_file.write(tmp_path / "f", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.usefixtures("full_disk")
def test_a_schedule_that_cannot_be_written_leaves_no_parameters_beside_their_file(tmp_path: Path) -> None:
    wanted = File(str(tmp_path / "llm.json"), b'{"secret": "key"}', 0o600, secret=True)
    with pytest.raises(CheckpointError, match="No space left"):
        timer_install.install("llm", [wanted], check_mode=False)
    assert not list(tmp_path.iterdir())
