# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""promtool and amtool for the tests of the rules. They are needed: without them these tests fail, never skip."""

from __future__ import annotations

import pytest

from autoglm_recovery.policy import Policy, parse_policy
from tests.support.tooling.prometheus_tools import tool

DESIGN_POLICY = """\
monitoring:
  interval: 2s
  metrics: [gpu_memory, cpu_load, request_queue]
recovery:
  strategies:
    oom:
      action: restart_process
      delay: 1s
    deadlock:
      action: clear_queue_and_reset
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave a fleet that is played to promtool out of `make quick`: it is most of what the rules' tests take."""
    for item in items:
        if "timeline" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def promtool() -> str:
    return tool("promtool")


@pytest.fixture(scope="session")
def amtool() -> str:
    return tool("amtool")


@pytest.fixture(scope="session")
def policy() -> Policy:
    return parse_policy(DESIGN_POLICY)
