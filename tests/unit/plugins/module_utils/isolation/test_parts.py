# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules, how they are read back, who belongs to a service, what a thread may do, and the note: all pure."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation import cutting, note, reading
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.note import IsolationNote
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.plan import NET_ADMIN
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.reading import ProcessEntry
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import Ownership
from hypothesis import given
from hypothesis import strategies as st

GROUP = "/system.slice/vllm.service"


def listing(right: str = "lo", **policies: str) -> str:
    """An answer of nft 1.0.6, as it gave it of our rules here, shortened to what is looked at."""
    chains = [
        {
            "chain": {
                "family": "inet",
                "table": cutting.TABLE,
                "name": hook,
                "hook": hook,
                "prio": -500,
                "policy": policy,
            }
        }
        for hook, policy in {**dict.fromkeys(("input", "output", "forward"), "drop"), **policies}.items()
    ]
    match = {"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": right}}
    rule = {"rule": {"family": "inet", "table": cutting.TABLE, "chain": "output", "expr": [match, {"accept": None}]}}
    return json.dumps({"nftables": [{"metainfo": {}}, *chains, rule]})


def test_rules_are_there_only_where_each_chain_drops_and_nothing_but_the_loopback_is_let_through() -> None:
    assert cutting.missing_in(listing()) == ""
    assert cutting.missing_in(listing(output="accept")) == "no chain drops at output"
    assert cutting.missing_in(listing(right="eth0")) == "there is a rule that is not ours"
    assert cutting.missing_in('{"nftables": []}') == "no chain drops at input"


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.dictionaries(st.sampled_from(["nftables", "chain", "rule", "expr", "x"]), x | st.lists(x)),
    ).map(json.dumps)
)
def test_an_answer_that_is_not_understood_is_no_proof(text: str) -> None:
    assert cutting.missing_in(text) != ""


def test_bare_packets_are_kept_from_each_interface() -> None:
    line = '\t\ttype filter hook {} device "{}" priority -500; policy drop;\n'
    text = "".join(line.format(hook, name) for hook in ("ingress", "egress") for name in ("eth0", "eth1"))
    assert cutting.open_at(text, ["eth0", "eth1"]) == ""
    assert cutting.open_at(text, ["eth2"]) == "no chain drops at ingress of eth2"
    assert cutting.open_at(text.replace("drop", "accept"), ["eth0"]) != ""
    assert cutting.open_at(f"{text}\t\taccept\n", ["eth0"]) == "there is a rule that is not ours"


@given(st.text(max_size=20))
def test_an_interface_never_becomes_a_rule_by_its_name(name: str) -> None:
    try:
        rules = cutting.ruleset([name])
    except ValueError:
        return
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
    assert rules.count(f'device "{name}"') == 2


def entry(pid: int, parent: int = 1, **more: Any) -> ProcessEntry:
    return ProcessEntry(**{"pid": pid, "parent": parent, "session": pid, "groups": ("/",), "pid_namespace": "", **more})


def belonging(*entries: ProcessEntry, ownership: Ownership | None = None) -> set[int]:
    known = {each.pid: each for each in entries}
    return set(reading.belonging(known, ownership or Ownership(unit_group=GROUP), 7))


def test_whoever_has_left_the_group_or_the_environment_belongs_to_it_all_the_same() -> None:
    grouped, session, child = entry(8, groups=(f"{GROUP}/x",)), entry(9, session=7), entry(10, parent=8)
    stranger, init = entry(11), entry(1, parent=0)
    assert belonging(init, entry(7), grouped, session, child, entry(12, parent=10), stranger) == {7, 8, 9, 10, 12}
    marked = Ownership(mark="/run/a.pid:7")
    assert belonging(entry(7), entry(8, mark="/run/a.pid:7"), entry(9, mark="x"), ownership=marked) == {7, 8}


def test_all_of_a_pid_namespace_belong_to_it_and_the_monitor_outside_does_not() -> None:
    main = entry(7, parent=6, pid_namespace="4:70", groups=(f"{GROUP}/payload",))
    monitor, another = entry(6, groups=(GROUP,), monitor=True), entry(20, pid_namespace="4:70")
    assert belonging(monitor, main, another, entry(21, pid_namespace="4:71")) == {7, 20}
    # In the namespace anybody may be called so.
    assert belonging(entry(1), main, entry(8, parent=7, pid_namespace="4:70", monitor=True)) == {7, 8}


@pytest.mark.parametrize(
    ("uid", "effective", "bounding", "may"),
    [
        ("1000", 0, 1 << NET_ADMIN, False),
        ("1000", 1 << NET_ADMIN, 0, True),
        ("0", 0, 1 << NET_ADMIN, True),  # the next program that root starts has it again
        ("0", 0, 0, False),
    ],
)
def test_what_a_thread_may_do_is_also_what_it_gets_back(uid: str, effective: int, bounding: int, may: bool) -> None:
    none = f"{0:016x}"
    told = {"CapInh": none, "CapPrm": none, "CapEff": f"{effective:016x}", "CapBnd": f"{bounding:016x}", "CapAmb": none}
    assert (NET_ADMIN in reading.capabilities_of({**told, "Uid": f"{uid}\t{uid}\t{uid}\t{uid}"})) is may


def test_a_thread_that_does_not_tell_is_unread() -> None:
    with pytest.raises(Unread):
        reading.capabilities_of({"Uid": "1000"})


NOTE = IsolationNote("unit vllm.service", "cut", "4:7", 7, 1795888800.5, "alice", "a shell", "a-7")


def test_a_note_says_what_was_written_and_anything_else_is_unreadable(tmp_path: Path) -> None:
    path = note.path_of(str(tmp_path / "notes"), "systemd", "../../etc/passwd")
    assert Path(path).parent == tmp_path / "notes"
    assert note.read(path) is None
    note.put(path, NOTE)
    assert note.read(path) == NOTE
    assert NOTE.said().startswith("cut off from the network since 2026-")
    for wrong in ("", "{}", "[]", json.dumps({**asdict(NOTE), "pid": True}), json.dumps({**asdict(NOTE), "how": "x"})):
        Path(path).write_text(wrong)
        with pytest.raises(note.IsolationNoteUnreadable):
            note.read(path)
    note.remove(path)
    assert note.read(path) is None
