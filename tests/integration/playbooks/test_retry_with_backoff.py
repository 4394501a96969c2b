# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""retry_with_backoff on a real server that comes back by itself, one that does not, and one that cannot."""

from __future__ import annotations

import os
import signal
import threading
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.servers.asked import RECEIVERS
from tests.support.servers.freezing import freeze
from tests.support.servers.waiting import until

from .fleet import Fleet, told


@pytest.fixture
def frozen(fleet: Fleet) -> Fleet:
    """p1, whose server takes connections and answers none."""
    fleet.add("p1")
    freeze(fleet.start("p1"))
    return fleet


def asks(port: int) -> bool:
    """Whether somebody waits for an answer of the server."""
    return any(
        each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
        for each in psutil.net_connections("tcp")
    )


def thaw_after_a_question_in_vain(pid: int, port: int) -> None:
    until("it to be asked", lambda: asks(port))
    until("whoever asked to have given up", lambda: not asks(port))
    os.kill(pid, signal.SIGCONT)


def test_a_server_that_becomes_ready_by_itself_is_waited_for_and_not_touched(frozen: Fleet) -> None:
    pid, port = frozen.pid("p1"), urlsplit(frozen.service("p1")["url"]).port
    assert pid
    assert port
    nature = threading.Thread(target=thaw_after_a_question_in_vain, args=(pid, port))
    nature.start()
    done = frozen.run("retry_with_backoff", RECEIVERS)
    nature.join()
    assert done.returncode == 0, told(done)
    assert "llama on p1 generates, at try" in told(done)
    assert "generates, at try 1:" not in told(done)
    assert "changed=0" in told(done)
    assert frozen.pid("p1") == pid


def test_one_that_does_not_is_left_to_the_next_rung(frozen: Fleet) -> None:
    pid = frozen.pid("p1")
    done = frozen.run("retry_with_backoff", {**RECEIVERS, "ready_timeout": 1})
    assert done.returncode != 0
    assert "llama on p1 is unhealthy after" in told(done)
    assert "Nothing was changed" in told(done)
    assert frozen.pid("p1") == pid
    assert pid
    assert psutil.pid_exists(pid)


def test_one_that_has_died_for_good_is_not_waited_for(fleet: Fleet) -> None:
    fleet.add("p1", ready_timeout=600)
    os.kill(fleet.start("p1"), signal.SIGKILL)
    done = fleet.run("retry_with_backoff", RECEIVERS)
    assert done.returncode != 0
    assert "after 1 try:" in told(done)
