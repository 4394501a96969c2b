# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service manager is told, and by whom: a loop that hangs gives no sign of life."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from autoglm_recovery.receiver.loop import loop as loop_module
from autoglm_recovery.receiver.loop.loop import Loop
from autoglm_recovery.receiver.process.service_manager import ServiceManager


@pytest.fixture
def listening(tmp_path):
    """Return the socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)
        yield server


def heard(server):
    """Return all that was told so far."""
    told = []
    while True:
        try:
            told.append(server.recv(4096).decode())
        except BlockingIOError:
            return told


def test_it_is_told_in_the_words_of_the_protocol(listening, tmp_path):
    manager = ServiceManager(str(tmp_path / "notify"))
    manager.ready()
    manager.reading()
    manager.stopping()
    ready, reading, stopping = heard(listening)
    assert (ready, stopping) == ("READY=1", "STOPPING=1")
    first, second = reading.split("\n")
    assert first == "RELOADING=1"
    assert second.startswith("MONOTONIC_USEC=")


def test_a_name_without_a_file_is_reached():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0autoglm-test-{os.getpid()}")
        ServiceManager(f"@autoglm-test-{os.getpid()}").ready()
        assert server.recv(100) == b"READY=1"


def test_the_environment_is_read_once_and_handed_on_to_nobody():
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    manager = ServiceManager.of(environment, 7)
    assert (manager.address, manager.hung_after_s) == ("/run/x", 60.0)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "relative", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"},
    ],
)
def test_who_was_not_asked_tells_nothing(environment):
    manager = ServiceManager.of(environment, 7)
    assert (manager.address, manager.hung_after_s) == (None, None)
    assert manager.longest_silence_s == float("inf")
    manager.ready()
    manager.alive()


def test_a_manager_that_is_gone_ends_nothing(tmp_path):
    ServiceManager(str(tmp_path / "none")).ready()


def test_signs_of_life_are_as_many_as_needed_and_no_more(listening, tmp_path):
    now = [100.0]
    manager = ServiceManager(str(tmp_path / "notify"), 60.0, lambda: now[0])
    for now[0] in (100.0, 100.1, 114.9, 115.0, 129.0, 130.0):
        manager.alive()
    assert heard(listening) == ["WATCHDOG=1"] * 3
    assert manager.longest_silence_s == 30.0


def loop(manager, turn):
    """Return a loop of which only the turn is of interest."""
    metrics = SimpleNamespace(turned=lambda **_how: None)
    made = Loop(None, None, metrics, None, None, manager=manager)
    made.turn = turn
    return made


def test_a_turn_that_hangs_is_not_alive_and_one_that_fails_is(listening, tmp_path):
    manager = ServiceManager(str(tmp_path / "notify"), 60.0)
    entered, end = threading.Event(), threading.Event()

    def hangs():
        entered.set()
        end.wait()
        return 0.0

    hanging = threading.Thread(target=loop(manager, hangs).worker.attempt)
    hanging.start()
    assert entered.wait(60)
    assert heard(listening) == []
    end.set()
    hanging.join()
    assert heard(listening) == ["WATCHDOG=1"]

    def fails():
        raise OSError("no database")

    loop(ServiceManager(str(tmp_path / "notify"), 60.0), fails).worker.attempt()
    assert heard(listening) == ["WATCHDOG=1"]


def test_a_turn_of_many_is_alive_after_each_of_them(listening, tmp_path, monkeypatch):
    now = [100.0]

    def takes_long(*_given):
        now[0] += 40.0

    def follows(_config, after_each):
        for _run in range(2):
            takes_long()
            after_each()
        return 2

    monkeypatch.setattr(loop_module, "absorb", lambda *_given: 0)
    monkeypatch.setattr(loop_module, "tell_of_refusals", lambda *_given: False)
    monkeypatch.setattr(loop_module.store, "decide_again", lambda *_given: None)
    monkeypatch.setattr(loop_module.store, "due", lambda *_given: [1, 2, 3])
    database = SimpleNamespace(reading=nullcontext, noting=nullcontext)
    config = SimpleNamespace(now=SimpleNamespace(policy=None, fleet=None))
    manager = ServiceManager(str(tmp_path / "notify"), 60.0, lambda: now[0])
    dispatcher, follower = SimpleNamespace(step=takes_long), SimpleNamespace(step=follows)
    Loop(database, config, None, dispatcher, follower, manager=manager).turn()
    assert heard(listening) == ["WATCHDOG=1"] * 5


def test_the_loop_sleeps_no_longer_than_it_may_be_silent():
    assert loop(ServiceManager(None, 4.0), None)._longest_sleep_s == 2.0
    assert loop(ServiceManager(), None)._longest_sleep_s == 5.0
