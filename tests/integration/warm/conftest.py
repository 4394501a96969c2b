# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place for runs, and a warm process for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoglm_recovery.receiver import launch
from autoglm_recovery.receiver.warm.warmer import Warmer
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
    made = Warmer(launch.spawn, place.root / "warm.log")
    ready(made)
    yield made
    made.stop()


@pytest.fixture
def own_warmer(place: Place, tmp_path: Path) -> Iterator[Warmer]:
    """One that a test may break."""
    assert place.inventory.exists()
    made = Warmer(launch.spawn, tmp_path / "warm.log")
    ready(made)
    yield made
    made.stop()
