# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a new machine several processes want the lab's image at once: one builds it, and nobody spoils that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab import image


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("LAB_IMAGE", raising=False)
    monkeypatch.setattr(image, "CACHE", tmp_path)
    monkeypatch.setattr(image, "succeeds", lambda *_: (tmp_path / "built").exists())
    return tmp_path


def test_of_several_that_want_it_one_builds_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[int] = []

    def build(_: image.Image) -> None:
        builds.append(1)
        (cache / "built").touch()

    monkeypatch.setattr(image, "_build", build)
    with ThreadPoolExecutor(4) as processes:
        assert set(processes.map(lambda _: image.ensure(), range(4))) == {image.tag()}
    assert builds == [1]


def test_a_build_that_goes_on_is_not_taken_for_an_interrupted_one(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished = cache / "build-1"

    def build(_: image.Image) -> None:
        unfinished.mkdir()
        image.discard_unfinished()
        assert unfinished.exists()

    monkeypatch.setattr(image, "_build", build)
    image.ensure()
    image.discard_unfinished()
    assert not unfinished.exists()
