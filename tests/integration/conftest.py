# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may run beside what, where `-n` has several processes.

A file's tests stay together, so that its fixtures are made once.  Whatever works with what a machine has only once, its
kernel log, its control groups, its container engine, the host lock below /run/autoglm, is one group: never two of them
at a time.  Groups that take long begin first, so that no process is left alone with one in the end.
"""

from __future__ import annotations

import signal

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

HERE = "tests/integration/"
GROUPS = {
    "machine": (
        "checkpoints/test_systemd.py",
        "exporter/",
        "privilege/",
        "receiver/test_execution_environment.py",
        "receiver/test_host_lock.py",
        "services/",
        "warm/test_contained.py",
    ),
    # What starts long: a vLLM, and receivers that have seen a bad night.
    "engines": ("engines/",),
    "console": ("console/",),
}
LONGEST = (
    "machine",
    "engines",
    "playbooks/test_compromised_host.py",
    "receiver/test_recovery.py",
    "roles/test_serving.py",
    "console",
)


def group(nodeid: str) -> str:
    """Name the group of a test."""
    file = nodeid.partition("::")[0].removeprefix(HERE)
    return next((name for name, places in GROUPS.items() if file.startswith(places)), file)


class ByGroup(LoadScopeScheduling):
    """Gives a process whole groups, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_configure() -> None:
    """Take Ctrl-C again: what a shell starts in the background ignores it, and hands that on to all that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the groups that take longest first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(group(item.nodeid), len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    """Answer xdist: not by marks, whose groups xdist 3.8 writes into what pytest 9 does not read."""
    config.option.loadscopereorder = False  # by the number of tests, which says little about how long they take
    return ByGroup(config, log)
