# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module that reboots a host: the note is there before the order, and a host is rebooted once for each order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting import reading
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting.plan import HostSeen
from ansible_collections.autoglm.recovery.plugins.modules import host_reboot

ORDERED = {"reason": "the driver asks for it", "gpus": ["GPU-1"], "gpu_count": 2, "services": ["chat"], "who": "alice"}


class RebootingHost:
    """A host of which the test says what is read; what is ordered is kept with the note as it was then."""

    def __init__(self, place: Path, act: Callable[..., dict[str, Any]]) -> None:
        self.seen = HostSeen("boot-1", systemd=True)
        self.note = place / "reboot/note.json"
        self.orders: list[dict[str, Any]] = []
        self.answer = CommandResult(0, b"", b"")
        self._act = act

    def order(self, *_given: Any) -> CommandResult:
        self.orders.append(json.loads(self.note.read_text()))
        return self.answer

    def act(self, state: str, check: bool = False, **options: Any) -> dict[str, Any]:
        told = {**(ORDERED if state == "ordered" else {}), "controller_boot": "boot-of-ops-1", **options}
        return self._act(host_reboot, check, state=state, note=str(self.note), **told)


@pytest.fixture
def host(run_module: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RebootingHost:
    one = RebootingHost(tmp_path, run_module)
    monkeypatch.setattr(reading, "look", lambda *_given: one.seen)
    monkeypatch.setattr(reading, "boot", lambda: one.seen.boot)
    monkeypatch.setattr(reading, "order", one.order)
    return one


def test_a_host_is_rebooted_once_proven_and_not_again_soon(host: RebootingHost) -> None:
    assert host.act("planned")["outcome"] == "order"
    assert host.orders == []
    ordered = host.act("ordered")
    assert (ordered["changed"], ordered["outcome"], ordered["boot"]) == (True, "order", "boot-1")
    (noted,) = host.orders
    assert (noted["boot"], noted["gpus"], noted["gpu_count"], noted["who"]) == ("boot-1", ["GPU-1"], 2, "alice")

    host.seen = HostSeen("boot-2", systemd=True)
    assert host.act("planned")["outcome"] == "go_on"
    again = host.act("ordered")
    assert (again["changed"], again["outcome"], again["note"]["boot"]) == (False, "go_on", "boot-1")
    assert host.act("proven")["note"]["state"] == "proven"
    refused = host.act("ordered")
    assert refused["failed"]
    assert "it was well then" in refused["msg"]
    assert len(host.orders) == 1
    assert host.act("ordered", force=True)["outcome"] == "order"


def test_check_mode_says_it_and_neither_notes_nor_orders_it(host: RebootingHost) -> None:
    told = host.act("ordered", check=True)
    assert (told["changed"], told["outcome"]) == (True, "order")
    assert "the driver asks for it" in told["diff"]["after"]
    assert not host.note.exists()
    assert host.orders == []


def test_an_order_that_systemd_does_not_take_leaves_the_note_as_it_was(host: RebootingHost) -> None:
    host.answer = CommandResult(1, b"", b"")
    refused = host.act("ordered")
    assert "could not be ordered: exit status 1" in refused["msg"]
    assert not host.note.exists()


def test_an_order_of_which_nobody_knows_stays_noted(host: RebootingHost) -> None:
    host.answer = CommandResult(None, b"", b"", "systemd-run did not end within 10 s")
    refused = host.act("ordered")
    assert "it may reboot all the same" in refused["msg"]
    host.seen = HostSeen("boot-2", systemd=True)
    assert host.act("planned")["outcome"] == "go_on"


def test_a_host_that_has_not_gone_down_is_noted_as_neither(host: RebootingHost) -> None:
    host.act("ordered")
    assert host.act("proven")["note"]["state"] == "ordered"
    host.seen = HostSeen("boot-2", systemd=True)
    unproven = host.act("unproven", reason="GPU-1 is missing")
    assert (unproven["changed"], unproven["note"]["words"]) == (True, "GPU-1 is missing")
    assert "it did not cure: GPU-1 is missing" in host.act("planned")["msg"]


@pytest.mark.parametrize("state", ["planned", "ordered", "queried", "proven"])
def test_a_note_that_cannot_be_read_is_a_refusal(host: RebootingHost, state: str) -> None:
    host.act("ordered")
    host.note.write_text("{}")
    refused = host.act(state, force=True)
    assert refused["failed"]
    assert "Look when the host was rebooted, then remove it" in refused["msg"]
    assert len(host.orders) == 1


def test_nothing_is_ordered_without_a_reason_nor_from_the_host_itself(host: RebootingHost) -> None:
    assert "say why" in host.act("ordered", reason=" ")["msg"]
    assert "would end its own controller" in host.act("ordered", controller_boot="boot-1")["msg"]
    assert host.orders == []
