# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: one lab for the whole session, users that never rest, and a receiver of its own for each test."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.servers.traffic import Traffic

from . import laboratory
from .errors import LabError
from .laboratory import Lab
from .receiver import Receiver
from .steady import wait_until_steady


@pytest.fixture(scope="session")
def running_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Boot the lab, with its progress shown (the first time on a machine takes a minute or two)."""
    signal.signal(signal.SIGTERM, _interrupt)  # pytest would die of it, and leave the lab up
    shown = request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    try:
        with shown():
            print()
            lab = laboratory.up()
        yield lab
    except LabError as error:
        pytest.fail(f"the lab did not come up: {error}", pytrace=False)
    finally:
        if laboratory.is_ours():
            laboratory.down()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def running_traffic(running_lab: Lab) -> Iterator[Traffic]:
    """Send requests through the balancer during all tests."""
    users = Traffic(running_lab.balancer)
    users.start()
    yield users
    users.stop()


@pytest.fixture
def lab(running_lab: Lab, running_traffic: Traffic) -> Lab:
    """The lab in good health: both nodes serve, and no alert of the test before is left."""
    wait_until_steady(running_lab, running_traffic)
    return running_lab


@pytest.fixture
def traffic(lab: Lab, running_traffic: Traffic) -> Traffic:  # noqa: ARG001
    """The users, while the lab is in good health."""
    return running_traffic


@pytest.fixture
def receiver(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Receiver]:
    """A receiver with an empty memory."""
    it = Receiver(lab, name=request.node.name)
    try:
        it.start()
        yield it
    finally:
        it.stop()
