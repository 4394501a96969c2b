# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that a warm start has given: known by a descriptor, whatever its number is."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from autoglm_recovery.receiver.runs.warm.warmer import WarmProcess

BEYOND_SELECT = 1100


@pytest.fixture
def _many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] <= BEYOND_SELECT:
        pytest.skip("this machine allows few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], BEYOND_SELECT + 100), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_many_files")
def test_its_end_is_seen_where_a_thousand_connections_are_open():
    """Under a flood of connections select() raised, and runs that had ended were never taken for ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        low = os.pidfd_open(child.pid)
        process = WarmProcess(child.pid, fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, BEYOND_SELECT))
        os.close(low)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        child.kill()
        assert process.wait(60) == 0
        assert process.poll() == 0
