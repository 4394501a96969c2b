# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores of both kinds with a checkpoint or two."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.store import Store
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.stores import open_store


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A directory, and fsspec's store in memory, which has what all its stores have in common."""
    if request.param == "directory":
        yield open_store(str(tmp_path / "store"))
        return
    url = f"memory://{uuid.uuid4().hex}"
    yield open_store(url)
    fsspec.filesystem("memory").store.clear()
