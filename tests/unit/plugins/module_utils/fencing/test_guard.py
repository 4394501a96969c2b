# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module acts only for a run that no newer one has followed, and that still has the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import guard, mark
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.holding import Holder

OURS: dict[str, Any] = {
    "host": "node-a",
    "service": "llama",
    "token": 7,
    "run": "run-7",
    "incident": "incident 1",
    "seconds": 120,
    "who": "incident 1 (ops)",
    "holder": "ours",
    "process": {"pid": 1},
}


class Host:
    """The directories of a host in which marks and lock are kept."""

    def __init__(self, root: Path) -> None:
        self.fences, self.locks = root / "fence", root / "locks"

    def check(self, given: dict[str, Any] | None, check_mode: bool = False) -> None:
        guard.check(given, check_mode, str(self.fences), str(self.locks))

    def take(self, run: str, token: int | None = 7, seconds: float = 60) -> None:
        until = host_lock.now() + seconds
        host_lock.take(
            Holder(run, "ann on ops-1", "node-a", token, 1.0, until, host_lock.boot(), {}), None, str(self.locks)
        )

    def show(self, token: int, run: str) -> None:
        mark.show(self.fences, mark.ShownToken("node-a", "llama", token, run))

    def refused(self, given: dict[str, Any], check_mode: bool = False) -> guard.GuardRefused:
        with pytest.raises(guard.GuardRefused, match="nothing was changed by this step") as caught:
            self.check(given, check_mode)
        return caught.value


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_run_that_has_the_host_goes_on_and_keeps_it_for_what_follows(host: Host) -> None:
    host.take("ours", seconds=1)
    host.check({**OURS, "seconds": 3600})
    with pytest.raises(host_lock.HostHeld, match="incident 1"):
        host.take("another", None)


def test_a_run_after_which_a_newer_one_has_been_here_is_refused_with_the_newer_token(host: Host) -> None:
    host.take("ours")
    host.show(9, "run-9")
    assert host.refused(OURS).answer == {"fence": {"token": 7, "refused_by": 9}}


def test_the_same_token_of_another_run_is_refused(host: Host) -> None:
    host.take("ours")
    host.show(7, "run of another database")
    assert host.refused(OURS).answer["fence"]["refused_by"] == 7


def test_a_run_that_has_lost_the_host_is_refused_and_told_to_whom(host: Host) -> None:
    host.take("another", 8)
    assert host.refused(OURS).answer["holder"]["who"] == "ann on ops-1"


def test_a_run_whose_lock_is_gone_is_refused(host: Host) -> None:
    host.take("ours")
    host_lock.release("ours", str(host.locks))
    assert host.refused(OURS).answer["holder"] is None


def test_a_run_by_hand_has_no_token_and_still_needs_the_host(host: Host) -> None:
    by_hand = {**OURS, "token": None}
    host.show(9, "run-9")
    host.refused(by_hand)
    host.take("ours", None)
    host.check(by_hand)


def test_without_seconds_the_lock_is_not_asked(host: Host) -> None:
    host.check({**OURS, "seconds": None})
    assert not host.locks.exists()
    host.show(9, "run-9")
    host.refused({**OURS, "seconds": None})


def test_check_mode_asks_the_fence_and_writes_nothing(host: Host) -> None:
    host.check(OURS, check_mode=True)
    assert not host.fences.exists()
    assert not host.locks.exists()
    host.show(9, "run-9")
    host.refused(OURS, check_mode=True)


def test_without_a_guard_nothing_is_asked(host: Host) -> None:
    host.show(9, "run-9")
    host.check(None)


@pytest.mark.parametrize(
    "nonsense", [{"token": 0}, {"token": mark.HIGHEST + 1}, {"seconds": 0}, {"seconds": -5}, {"holder": ""}]
)
def test_nonsense_is_refused(host: Host, nonsense: dict[str, Any]) -> None:
    host.take("ours")
    host.refused({**OURS, **nonsense})


def test_marks_and_locks_that_cannot_be_read_refuse(host: Host) -> None:
    host.fences.write_text("no directory")
    host.refused({**OURS, "seconds": None})
    host.locks.write_text("no directory")
    host.refused({**OURS, "token": None})
