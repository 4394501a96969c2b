# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets that end with their test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.balancers.running import Haproxy, started

from .fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """No host yet."""
    one = Fleet(tmp_path)
    try:
        yield one
    finally:
        one.end()


@pytest.fixture
def pool(fleet: Fleet) -> Iterator[Fleet]:
    """p1 and p2, which serve behind a real HAProxy."""
    ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
    for name in ports:
        fleet.start(name)
    with started(Haproxy({name: SimpleNamespace(port=port) for name, port in ports.items()})) as haproxy:  # type: ignore[misc]
        fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": haproxy.pool()}}
        yield fleet
