# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories in each other, of more levels than Python's stack has frames."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import hook, local_store
from ansible_collections.autoglm.recovery.plugins.module_utils.host.walking import walk

LEVELS = sys.getrecursionlimit() + 200


@pytest.fixture
def deep(tmp_path: Path):
    """A tree with a file at its deepest, removed by what can."""
    root = tmp_path / "deep"
    root.mkdir()
    inside = os.open(root, os.O_RDONLY)
    for _ in range(LEVELS):
        os.mkdir("d", dir_fd=inside)
        below = os.open("d", os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=inside))
    os.close(inside)
    yield root
    for directory, _names, files in reversed(list(walk(root))):
        for name in files:
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)


def test_each_level_is_seen(deep: Path) -> None:
    seen = list(walk(deep))
    assert len(seen) == LEVELS + 1
    assert seen[0] == (str(deep), ["d"], [])
    assert (seen[-1][1], seen[-1][2]) == ([], ["file"])


def test_it_yields_what_the_standard_library_does_but_for_links(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").touch()
    (tmp_path / "a/link").symlink_to("b")
    (tmp_path / "c").mkdir()
    told = {directory: (sorted(names), sorted(files)) for directory, names, files in walk(tmp_path)}
    assert told == {
        str(tmp_path): (["a", "c"], []),
        str(tmp_path / "a"): (["b"], ["file", "link"]),
        str(tmp_path / "a/b"): ([], []),
        str(tmp_path / "c"): ([], []),
    }
    assert list(walk(tmp_path / "nowhere")) == []


def test_a_save_goes_through_what_a_trainer_has_nested(deep: Path) -> None:
    local_store.sync_tree(deep)
    hook.write(["true"], deep, 60.0)
