# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may run beside what, where `-n2` has a process for each core.

A file's tests stay together, so that its fixtures are made once.  Whatever works with what a machine has only once, its
kernel log, its control groups, its container engine, the host lock below /run/autoglm, is one group: never two of them
at a time.
"""

from __future__ import annotations

import signal

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

HERE = "tests/integration/"
OF_THE_MACHINE = (
    "balancers/",
    "checkpoints/",
    "engines/",
    "exporter/",
    "playbooks/",
    "privilege/",
    "receiver/test_execution_environment.py",
    "receiver/test_host_lock.py",
    "services/",
    "warm/test_contained.py",
)


class ByMachineAndFile(LoadScopeScheduling):
    """Gives a process whole groups, the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        """Name the group of a test."""
        file = nodeid.partition("::")[0]
        return "machine" if file.removeprefix(HERE).startswith(OF_THE_MACHINE) else file


def pytest_configure() -> None:
    """Take Ctrl-C again: what a shell starts in the background ignores it, and hands that on to all that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByMachineAndFile:
    """Answer xdist: not by marks, whose groups xdist 3.8 writes into what pytest 9 does not read."""
    return ByMachineAndFile(config, log)
