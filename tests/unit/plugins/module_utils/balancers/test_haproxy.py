# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy: what its tables mean, in two versions, and what its sentences mean."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.haproxy import Haproxy
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.judging import judge_growth
from tests.fuzz.target import Target

Answers = dict[str, str]


# As src/cli.c and src/server.c of HAProxy have them.
UNKNOWN_COMMAND = "Unknown command: '{}'. Please enter one of the following commands only:\n"
NO_SUCH_SERVER = "No such server.\n"


class FakeHaproxy:
    """A HAProxy that answers from a table, by a real socket: recorded answers, no HAProxy.  See tests/FAKES.md.

    An order for a server of the table is taken, which an empty line says, and nothing comes of it: one that changes
    something is in tests/integration/balancers.  What is in no table is refused.
    """

    def __init__(self, folder: Path, answers: Answers) -> None:
        self.path = str(folder / "recorded.sock")
        self.asked: list[str] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection:
                command = connection.makefile().readline().strip()
                self.asked.append(command)
                connection.sendall(self._answer(command).encode())

    def _answer(self, command: str) -> str:
        if command in self._answers:
            return self._answers[command]
        if not command.startswith("set server "):
            return UNKNOWN_COMMAND.format(command.split(" ", maxsplit=1)[0])
        backend, _, name = command.split(" ")[2].partition("/")
        rows = [row.split(" ") for row in self._answers["show servers state"].splitlines()]
        return "\n" if any(row[1:4:2] == [backend, name] for row in rows) else NO_SUCH_SERVER

    def close(self) -> None:
        # Whoever waits in accept() is not woken by a close, and goes on accepting.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def recorded_haproxy(tmp_path: Path, recorded: Callable[[str], str]):
    listening: list[FakeHaproxy] = []

    def start(version: str = "3.2", **changes: str) -> FakeHaproxy:
        answers = {
            "show stat": recorded(f"haproxy_{version}_stat.csv"),
            "show servers state": recorded(f"haproxy_{version}_servers_state.txt"),
        }
        answers |= changes
        listening.append(FakeHaproxy(tmp_path, {"show servers state llm": answers["show servers state"], **answers}))
        return listening[-1]

    yield start
    for each in listening:
        each.close()


@pytest.mark.parametrize("version", ["2.6", "3.2"])
def test_the_pool_is_read_alike_in_both_versions(recorded_haproxy, version: str) -> None:
    pool = Haproxy(recorded_haproxy(version).path, "llm").members()
    assert [(member.name, member.admin, member.health, member.backup) for member in pool] == [
        ("p1", "drained", "down", False),  # of which show stat alone says DOWN and no more
        ("p2", "active", "unknown", False),  # UP, and its first check is not over
        ("p3", "active", "unknown", False),  # no check
        ("p4", "active", "unknown", True),
        ("p5", "drained", "unknown", False),
        ("p6", "active", "unknown", False),
        ("p7", "maintenance", "down", False),
    ]
    assert {member.weight for member in pool} == {100}


@pytest.mark.parametrize(
    ("status", "check", "health"),
    [
        ("UP 1/2,", "INI", "unknown"),
        ("UP,", "L7OK", "up"),
        ("UP 1/3,", "* L4CON", "up"),  # it is going down, and gets traffic until it is
        ("DOWN 1/2,", "L7OK", "down"),
        ("NOLB,", "L7OKC", "down"),
    ],
)
def test_what_a_status_means(
    recorded_haproxy, recorded: Callable[[str], str], status: str, check: str, health: str
) -> None:
    lines = recorded("haproxy_3.2_stat.csv").splitlines()
    lines[3] = lines[3].replace("UP 1/2,", status).replace("INI", check)
    listening = recorded_haproxy(**{"show stat": "\n".join(lines)})
    assert Haproxy(listening.path, "llm").state("p2").health == health


def test_what_waits_in_the_queue_of_a_server_is_in_flight(recorded_haproxy, recorded: Callable[[str], str]) -> None:
    stat = recorded("haproxy_3.2_stat.csv").replace("llm,p2,0,0,0,", "llm,p2,2,5,3,")
    assert Haproxy(recorded_haproxy(**{"show stat": stat}).path, "llm").in_flight("p2").value == 5


def test_a_count_that_is_not_there_is_not_zero(recorded_haproxy, recorded: Callable[[str], str]) -> None:
    stat = recorded("haproxy_3.2_stat.csv").replace("llm,p2,0,0,0,", "llm,p2,0,0,,")
    haproxy = Haproxy(recorded_haproxy(**{"show stat": stat}).path, "llm")
    assert haproxy.in_flight("p2").value is None
    assert haproxy.in_flight("p9").value is None
    assert Haproxy("/nowhere.sock", "llm").in_flight("p2").value is None


def table(*rows: str) -> str:
    """``show servers state`` as version 2.6 has it: NAME ADDRESS ADMIN FQDN PORT SRV, in a backend each."""
    head = (
        "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
        "srv_agent_state srv_fqdn srv_port srvrecord\n"
    )
    lines = []
    for number, row in enumerate(rows, 1):
        place, address, admin, fqdn, port, record = row.split()
        backend, name = place.split("/")
        state = 0 if address == "-" else 2
        lines.append(f"3 {backend} {number} {name} {address} {state} {admin} 100 100 0 {fqdn} {port} {record}\n")
    return head + "".join(lines)


@pytest.mark.parametrize(
    ("bits", "admin"),
    [
        (0x00, "active"),
        (0x01, "maintenance"),
        (0x02, "maintenance"),  # because of another one that it tracks
        (0x04, "active"),  # began disabled, and somebody has made it ready
        (0x05, "maintenance"),
        (0x08, "drained"),
        (0x10, "drained"),
        (0x20, "maintenance"),  # its name does not resolve
        (0x40, "active"),  # its name was changed at run time
        (0x48, "drained"),
        (0x64, "maintenance"),
    ],
)
def test_the_admin_mask_is_that_of_haproxys_source(recorded_haproxy, bits: int, admin: str) -> None:
    listening = recorded_haproxy(**{"show servers state": table(f"llm/a 127.0.0.1 {bits} - 80 -")})
    assert Haproxy(listening.path, "llm").state("a").admin == admin


def test_slots_of_a_template_that_nothing_fills_are_no_members(recorded_haproxy) -> None:
    by_name = [f"llm/v{number} {'127.0.0.' + str(number) if number < 4 else '-'} " for number in range(1, 11)]
    rows = [f"{row}{32 if ' - ' in row else 0} vllm.internal 80 -" for row in by_name]
    by_record = ["llm/s1 127.0.0.9 0 one.internal 81 _llm._tcp.x", "llm/s2 - 32 - 0 _llm._tcp.x"]
    lone = ["llm/node-c - 32 host-c.invalid 80 -"]
    listening = recorded_haproxy(**{"show servers state": table(*rows, *by_record, *lone)})
    names = [member.name for member in Haproxy(listening.path, "llm").members()]
    assert names == ["v1", "v2", "v3", "s1", "node-c"], "one that has a name of its own is a server that is missing"


def test_a_template_that_nothing_fills_is_no_pool(recorded_haproxy) -> None:
    rows = table("llm/v1 - 32 x.internal 80 -", "llm/v2 - 32 x.internal 80 -")
    listening = recorded_haproxy(**{"show servers state": rows})
    with pytest.raises(BalancerError, match="2 slots that resolution has not filled"):
        Haproxy(listening.path, "llm").members()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("No such server.\n", "unknown_server"),
        ("No such backend.\n", "unknown_backend"),
        ("Permission denied\n", "denied"),
        ("Something new.\n", "refused"),
        ("\n", "unproven"),  # it says yes and does not do it
    ],
)
def test_no_answer_is_believed(recorded_haproxy, monkeypatch: pytest.MonkeyPatch, answer: str, kind: str) -> None:
    monkeypatch.setattr(
        "ansible_collections.autoglm.recovery.plugins.module_utils.balancers.haproxy._SETTLE_SECONDS", 0.1
    )
    haproxy = Haproxy(recorded_haproxy(**{"set server llm/p2 state drain": answer}).path, "llm")
    with pytest.raises(BalancerError) as caught:
        haproxy.drain("p2")
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "answer", ["", "Unknown command: 'show servers state'\n", "2\n# new format\n", "1\n# a b\n1 2\n"]
)
def test_a_table_of_another_form_is_not_guessed_at(recorded_haproxy, answer: str) -> None:
    with pytest.raises(BalancerError):
        Haproxy(recorded_haproxy(**{"show servers state": answer}).path, "llm").members()


@given(st.text())
def test_a_name_never_becomes_a_second_command(name: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9_.:-]+", name):
        return
    with pytest.raises(ValueError, match="is no name"):
        Haproxy("/nowhere.sock", "llm").drain(name)


@pytest.mark.parametrize("address", ["admin.sock", "host", "host:port", ":9999"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(BalancerError, match=r"absolute path or HOST:PORT"):
        Haproxy(address, "llm").members()


def many(servers: int) -> bytes:
    """So many servers at one address in each of two backends: drained in the one, active in the other."""
    columns = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_port"
    rows = [
        f"{number} {backend} {server} s{server} 192.0.2.1 2 {admin} 100 80"
        for number, (backend, admin) in enumerate((("llm", 8), ("other", 0)))
        for server in range(servers)
    ]
    return "\n".join(["1", f"# {columns}", *rows, ""]).encode()


def test_time_and_words_are_in_proportion_to_the_servers(recorded: Callable[[str], str]) -> None:
    class Recorded(Haproxy):
        """Answers from a table, without a socket between."""

        def _send(self, command: str) -> str:
            return recorded("haproxy_3.2_stat.csv") if command == "show stat" else self.states

    def read(data: bytes) -> object:
        balancer = Recorded("/nowhere", "llm")
        balancer.states = data.decode()
        return [*balancer.members(), balancer.in_flight("s1")]

    judge_growth(Target("haproxy", read, lambda: [many(1)]), many(500), many(2000))
    first = read(many(500))[0]
    assert first.pending
    assert first.says.endswith("other/s7 and 492 more")


@pytest.mark.parametrize("level", ["operator", "user", ""])
def test_a_level_below_admin_is_an_obstacle(recorded_haproxy, level: str) -> None:
    haproxy = recorded_haproxy(**{"show cli level": f"{level}\n\n"})
    (obstacle,) = Haproxy(haproxy.path, "llm").obstacles()
    assert f"has level {level}, and a drain needs level admin" in obstacle.what
    assert haproxy.asked == ["show cli level"]


def test_level_admin_is_no_obstacle(recorded_haproxy) -> None:
    assert Haproxy(recorded_haproxy(**{"show cli level": "admin\n\n"}).path, "llm").obstacles() == []


def test_a_haproxy_that_knows_no_levels_says_so(recorded_haproxy) -> None:
    with pytest.raises(BalancerError, match="Unknown command"):
        Haproxy(recorded_haproxy().path, "llm").obstacles()
