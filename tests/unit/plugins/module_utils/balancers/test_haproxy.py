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

Answers = dict[str, str]


class Listening:
    """A HAProxy that answers from a table, by a real socket. Recorded answers, no HAProxy: its name says so."""

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
                connection.sendall(self._answers.get(command, "\n").encode())

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def recorded_haproxy(tmp_path: Path, recorded: Callable[[str], str]):
    listening: list[Listening] = []

    def start(version: str = "3.2", **changes: str) -> Listening:
        answers = {
            "show stat": recorded(f"haproxy_{version}_stat.csv"),
            "show servers state llm": recorded(f"haproxy_{version}_servers_state.txt"),
        }
        listening.append(Listening(tmp_path, {**answers, **changes}))
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
        Haproxy(recorded_haproxy(**{"show servers state llm": answer}).path, "llm").members()


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
