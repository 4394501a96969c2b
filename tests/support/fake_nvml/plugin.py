# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for whoever tests against GPUs, imported by a conftest.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_nvml.build import compiler
from tests.support.fake_nvml.driver import FakeNvml
from tests.support.fake_nvml.host import HostTree

__all__ = ["fake_gpu_host", "fake_nvml", "make_fake_nvml"]


@pytest.fixture
def make_fake_nvml(tmp_path: Path) -> Iterator[Callable[..., FakeNvml]]:
    """Make the GPUs of a host: ``make_fake_nvml("a100", gpus=4)``. Skips where there is no C compiler."""
    if compiler() is None:
        pytest.skip("no C compiler (gcc or clang) to build the fake NVML library with")
    made: list[FakeNvml] = []

    def make(profile: str = "h100", **options: Any) -> FakeNvml:
        made.append(FakeNvml(tmp_path / f"nvml{len(made)}", profile, **options))
        return made[-1]

    yield make
    for fake in made:
        fake.close()


@pytest.fixture
def fake_nvml(make_fake_nvml: Callable[..., FakeNvml]) -> FakeNvml:
    """Eight H100."""
    return make_fake_nvml()


@pytest.fixture
def fake_gpu_host(tmp_path: Path) -> Callable[..., HostTree]:
    """Make the /dev, /proc and /sys of a host with GPUs: ``fake_gpu_host(gpus=8)``."""
    return lambda **options: HostTree(tmp_path / "host", **options)
