# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A moment is written in one way for each reader, always in UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import clocks

MOMENT = 1798761599.25


@pytest.fixture(autouse=True)
def far_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_moment_is_told_in_utc_wherever_the_host_is() -> None:
    assert clocks.in_words(MOMENT) == "2026-12-31 23:59:59 UTC"
    assert clocks.time_of_day(MOMENT) == "23:59:59 UTC"
    assert clocks.iso(MOMENT) == "2026-12-31T23:59:59.250Z"
    assert clocks.iso_second(MOMENT) == "2026-12-31T23:59:59Z"
    assert clocks.stamp(MOMENT) == "20261231T235959Z"


@pytest.mark.parametrize(("moment", "told"), [(1e20, "1" + "0" * 20), (float("inf"), "inf"), (float("nan"), "nan")])
def test_a_moment_of_no_calendar_is_told_as_the_number_it_is(moment: float, told: str) -> None:
    assert clocks.in_words(moment) == told


def test_a_boot_that_the_kernel_does_not_name_has_no_name(tmp_path: Path) -> None:
    assert clocks.boot_id(tmp_path) is None
    assert clocks.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
