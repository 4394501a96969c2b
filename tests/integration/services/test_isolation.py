# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service is cut off in a real network namespace, or frozen, and comes back as it was."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import run as run_here
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation import acting, cutting, freezing
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting as services
from ansible_collections.autoglm.recovery.plugins.module_utils.services.containers import Container
from ansible_collections.autoglm.recovery.plugins.module_utils.services.process import state_of
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service
from ansible_collections.autoglm.recovery.plugins.modules import service_isolation

from tests.support.servers.containers import LABEL, Runtime
from tests.support.servers.in_process import run_in_process
from tests.support.servers.own_network import OwnNetwork, own_network
from tests.support.servers.waiting import until

PROC = Path("/proc")
PORT = 8080
# Says back what it hears, and has a child, as engines have.
ECHO = f"""
import os, signal, socket, threading
child = os.fork()
if child == 0:
    while True:
        signal.pause()
def serve(one):
    while heard := one.recv(100):
        one.sendall(heard)
with socket.create_server(("", {PORT})) as server:
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def network() -> Iterator[OwnNetwork]:
    with own_network() as one:
        yield one


class Isolated:
    """A service with a PID file, what the module does to it, and where its note is."""

    def __init__(self, pid_file: str, notes: Path, module: Callable[..., dict[str, Any]]) -> None:
        self.pid_file, self.notes, self._module = pid_file, notes, module

    def start(self, *command: str) -> int:
        service = open_service({"pid_file": self.pid_file, "start_command": list(command)}, 5.0)
        pid = services.start(service, 30).main_pid
        assert pid is not None
        return pid

    def act(self, state: str, check: bool = False, **more: Any) -> dict[str, Any]:
        why = {"reason": "a shell was started in it"} if state == "isolated" else {}
        options = {
            "pid_file": self.pid_file,
            "state": state,
            "note_dir": str(self.notes),
            "who": "alice",
            **why,
            **more,
        }
        return self._module(service_isolation, check, **options)

    def note(self) -> dict[str, Any] | None:
        found = list(self.notes.iterdir()) if self.notes.exists() else []
        return json.loads(found[0].read_text()) if found else None


@pytest.fixture
def isolated(
    pid_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Isolated:
    monkeypatch.setattr(services, "SETTLE_SECONDS", 0.3)
    return Isolated(pid_path, tmp_path / "notes", partial(run_in_process, monkeypatch, capsys))


def connected(network: OwnNetwork) -> socket.socket:
    """A connection to the service, once it takes one."""

    def ask() -> socket.socket | None:
        try:
            return socket.create_connection((network.address, PORT), timeout=60)
        except OSError:
            return None

    return until("the service to take connections", ask)


def says_back(connection: socket.socket) -> bool:
    connection.sendall(b"?")
    return connection.recv(1) == b"?"


def unheard(connection: socket.socket) -> bool:
    """Whether the kernel sends again what nobody has acknowledged (struct tcp_info of linux/tcp.h)."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    return bool(struct.unpack("8B", told)[2])


def states(pids: list[int]) -> set[str | None]:
    return {state_of(PROC, pid) for pid in pids}


@pytest.mark.parametrize("without", ["-net_admin,-sys_admin,-net_raw", "-net_admin,-sys_admin"])
def test_a_service_with_a_network_of_its_own_is_cut_off_and_gets_it_back(
    isolated: Isolated, network: OwnNetwork, without: str
) -> None:
    pid = isolated.start(*network.command(sys.executable, "-c", ECHO, without=without))
    network.nft("add table inet theirs")
    with connected(network) as connection:
        assert says_back(connection)
        planned = isolated.act("isolated", check=True)
        assert (planned.get("changed"), planned["outcome"], planned["isolated"]) == (True, "cut", None), planned
        assert (isolated.note(), says_back(connection)) == (None, True)

        done = isolated.act("isolated")
        assert (done["outcome"], done["isolated"], done["changed"]) == ("cut", True, True), done
        note = isolated.note()
        assert note is not None
        assert (note["how"], note["pid"], note["who"], note["why"]) == (
            "cut",
            pid,
            "alice",
            "a shell was started in it",
        )
        connection.sendall(b"?")
        until("the connection to be cut", partial(unheard, connection))
        assert states(done["processes"]) <= {"S", "R"}, "it goes on, for whoever looks into it"
        assert len(done["processes"]) == 2
        assert ("device" in network.rules()) is ("net_raw" not in without)

        again = isolated.act("isolated", who="bob")
        assert (again["changed"], again["isolated"], again["note"]) == (False, True, note)
        assert isolated.act("queried")["isolated"] is True
        network.nft(f"delete table inet {cutting.TABLE}")
        assert isolated.act("queried")["isolated"] is False
        assert isolated.act("isolated", who="bob")["note"]["who"] == "alice"

        back = isolated.act("connected")
        assert (back["changed"], back["outcome"], back["isolated"]) == (True, "connected", False), back
        assert connection.recv(1) == b"?", "what was sent while it was cut off"
        assert "theirs" in network.rules()
        assert cutting.TABLE not in network.rules()
        assert isolated.note() is None
        assert isolated.act("connected")["changed"] is False


def test_rules_stay_for_another_service_in_the_same_network(isolated: Isolated, network: OwnNetwork) -> None:
    """As two containers of one pod are."""
    another = Isolated(f"{isolated.pid_file}.another", isolated.notes, isolated._module)
    for one in (isolated, another):
        one.start(*network.command("/bin/sleep", "1000"))
        assert one.act("isolated")["isolated"] is True
    first = isolated.act("connected")
    assert (first["isolated"], cutting.TABLE in network.rules()) == (True, True), first
    assert "it stays cut off with another service" in first["words"]
    assert another.act("queried")["isolated"] is True
    last = another.act("connected")
    assert (last["isolated"], last["words"], cutting.TABLE in network.rules()) == (
        False,
        "its rules are removed",
        False,
    )


def test_what_has_lost_its_main_process_is_not_called_isolated(isolated: Isolated) -> None:
    pid = isolated.start("/bin/sleep", "1000")
    assert isolated.act("isolated")["isolated"] is True
    os.kill(pid, signal.SIGKILL)
    until("it to be gone", lambda: state_of(PROC, pid) in (None, "Z"))
    left = isolated.act("queried")
    assert left["isolated"] is None
    assert "whether another of it talks was not read" in left["words"]


@pytest.mark.parametrize("place", ["host", "mighty"])
def test_one_that_rules_would_not_hold_is_frozen_and_goes_on(
    isolated: Isolated, network: OwnNetwork, place: str
) -> None:
    sleeper = ("/bin/sh", "-c", "sleep 1000 & sleep 1000")
    isolated.start(*(sleeper if place == "host" else network.command(*sleeper, without="")))
    refused = isolated.act("isolated", may_freeze=False)
    assert refused["failed"]
    assert ("the host's network" if place == "host" else "undo that by CAP_NET_ADMIN") in refused["msg"]
    assert isolated.note() is None

    done = isolated.act("isolated")
    assert (done["outcome"], done["isolated"]) == ("freeze", True), done
    assert (states(done["processes"]), len(done["processes"])) == ({"T"}, 3)
    assert isolated.act("isolated")["changed"] is False
    back = isolated.act("connected")
    assert back["outcome"] == "connected", back
    until("all to go on", lambda: "T" not in states(done["processes"]))


def test_one_with_a_process_elsewhere_is_frozen(isolated: Isolated, network: OwnNetwork) -> None:
    """A child that somebody has brought into the host's network, with an environment without our mark."""
    outside = f"{sys.executable} -c 'import time; time.sleep(1000)'"
    enter = f"nsenter --net=/proc/{os.getpid()}/ns/net env -i {outside} &"
    drop = "setpriv --bounding-set=-net_admin,-sys_admin --inh-caps=-all sleep 1000"
    isolated.start(*network.command("/bin/sh", "-c", f"{enter} exec {drop}", without=""))

    def frozen() -> bool:
        done = isolated.act("isolated")
        return "more than one network namespace" in done["words"] and done["outcome"] == "freeze"

    assert until("both to be there", frozen)
    assert states(isolated.act("queried")["processes"]) == {"T"}


@pytest.mark.parametrize("killed_in", ["cut", "complaint"])
def test_a_run_that_was_killed_is_gone_on_with(
    isolated: Isolated, network: OwnNetwork, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    """Between the note and the rules, and between the rules and what they were read to be."""
    isolated.start(*network.command(sys.executable, "-c", ECHO))

    class Killed(BaseException):
        pass

    def kill(*_given: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(cutting.Namespace, killed_in, kill)
        service = open_service({"pid_file": isolated.pid_file}, 5.0)
        path = service_isolation.notes.path_of(str(isolated.notes), service.kind, service.name)
        subject = acting.IsolationSubject(service, path, 10.0)
        with pytest.raises(Killed):
            acting.isolate(subject, acting.IsolationOrder("alice", "why", "a-7"), check_mode=False)
    left = isolated.note()
    assert left is not None
    assert isolated.act("queried")["isolated"] is (killed_in == "complaint")
    done = isolated.act("isolated")
    assert (done["isolated"], done["note"]["incident"], done["changed"]) == (True, "a-7", killed_in == "cut")
    isolated.act("connected")
    assert (isolated.note(), cutting.TABLE in network.rules()) == (None, False)


def test_rules_that_do_not_hold_when_they_are_tried_freeze_it(
    isolated: Isolated, network: OwnNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolated.start(*network.command(sys.executable, "-c", ECHO))
    real = cutting.ruleset
    monkeypatch.setattr(cutting, "ruleset", lambda devices=(): real(devices).replace("policy drop", "policy accept"))
    done = isolated.act("isolated")
    assert (done["outcome"], done["isolated"]) == ("freeze", True), done
    assert "no chain drops at input" in done["words"]
    isolated.act("connected")
    assert cutting.TABLE not in network.rules(), "rules that did not hold are removed with the others"


def test_what_was_not_stopped_is_not_called_isolated(isolated: Isolated, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = isolated.start("/bin/sh", "-c", "sleep 1000 & sleep 1000")
    monkeypatch.setattr(freezing, "_signal", lambda *_given: None)
    monkeypatch.setattr(freezing, "_ROUNDS", 2)
    done = isolated.act("isolated")
    assert done["failed"]
    assert done["isolated"] is False
    assert f"these do not stop: process {pid}" in done["msg"]
    assert isolated.note() is not None


def test_a_step_that_cannot_be_read_after_the_note_is_not_told_as_nothing(
    isolated: Isolated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_given: Any) -> None:
        raise Unread("process 7: Operation not permitted")

    isolated.start("/bin/sleep", "1000")
    monkeypatch.setattr(freezing, "_signal", unreadable)
    done = isolated.act("isolated")
    assert done["msg"] == "NOT as it was ordered: process 7: Operation not permitted; what was begun is noted"
    assert isolated.note() is not None
    monkeypatch.undo()


def test_a_service_without_a_process_is_refused_and_a_note_that_cannot_be_read_too(isolated: Isolated) -> None:
    refused = isolated.act("isolated")
    assert refused["failed"]
    assert "it has no process" in refused["msg"]
    isolated.start("/bin/sleep", "1000")
    assert isolated.act("isolated")["isolated"] is True
    (path,) = isolated.notes.iterdir()
    path.write_text("{}")
    for state in ("isolated", "connected", "queried"):
        assert "cannot be read" in isolated.act(state)["msg"]


@pytest.mark.thorough
@pytest.mark.parametrize("network", ["none", "bridge"])
def test_a_container_as_its_runtime_makes_it_is_cut_off(runtime: Runtime, tmp_path: Path, network: str) -> None:
    """What podman and Docker let a container do does not undo the rules, and their monitors do not count."""
    name = f"{LABEL}-isolated"
    words = ("--detach", "--name", name, f"--label={LABEL}=1", f"--network={network}", *runtime.options)
    runtime("run", *words, runtime.image, "sh", "-c", "sleep 1000 & sleep 1000")
    one = Container(name, runtime.kind, 30.0, lambda argv, seconds: run_here([*runtime.prefix, *argv], seconds))
    subject = acting.IsolationSubject(one, str(tmp_path / "notes/note"), 30.0)
    done = acting.isolate(subject, acting.IsolationOrder("alice", "a shell", ""), check_mode=False)
    assert (done.outcome, done.holds, done.words) == ("cut", True, "all of it is in a network namespace of its own")
    assert one.status().state == "running"
    assert acting.query(subject).holds is True
    back = acting.connect(subject, check_mode=False)
    assert (back.words, acting.query(subject).note) == ("its rules are removed", None)
