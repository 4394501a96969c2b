# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake AWX with a fleet, and a launcher that speaks with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from tests.integration.awx.driving import settings
from tests.support.fake_awx import FakeAwx, running
from tests.support.fake_awx.server import Running


@pytest.fixture
def awx() -> Iterator[Running]:
    """A server whose clock is far ahead of ours."""
    fake = FakeAwx(clock_ahead_s=7200.0)
    fake.fleet("node-a", "node-b")
    with running(fake) as server:
        yield server


@pytest.fixture
def make_launcher(awx: Running) -> Iterator[Callable[..., AwxLauncher]]:
    made: list[AwxLauncher] = []

    def make(**changes: Any) -> AwxLauncher:
        made.append(AwxLauncher(settings(awx.url, **changes)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def launcher(make_launcher: Callable[..., AwxLauncher]) -> AwxLauncher:
    return make_launcher()
