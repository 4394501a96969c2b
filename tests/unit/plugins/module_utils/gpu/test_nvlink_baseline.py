# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline: rates over hours, and a file that may hold anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink import baseline
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.baseline import Baseline, CounterSample
from hypothesis import given, settings
from hypothesis import strategies as st

BOOT = {"boot_id": "a", "driver": "570", "driver_started": 5}
WINDOW = 3600


def sample(at: float, replay: int = 0) -> CounterSample:
    return CounterSample(at, {"GPU-0/0": {"replay": replay}})


def test_nothing_to_compare_with() -> None:
    assert baseline.deltas(None, sample(10)) == {}
    assert baseline.deltas(sample(10), sample(10)) == {}


@pytest.mark.parametrize(
    ("seconds", "grown", "per_hour"),
    [(3600, 6, 6), (7200, 6, 3), (1, 1, 60), (60, 1, 60)],
)
def test_rates_are_not_extrapolated_from_moments(seconds: float, grown: int, per_hour: float) -> None:
    told = baseline.deltas(sample(100, 7), sample(100 + seconds, 7 + grown))
    assert told == {"GPU-0/0": {"replay": {"delta": grown, "per_hour": per_hour}}}


def test_what_went_backwards_is_no_delta() -> None:
    assert baseline.deltas(sample(0, 7), sample(3600, 3)) == {"GPU-0/0": {}}


def test_the_reference_is_between_one_and_two_windows_old() -> None:
    kept, ages = Baseline(BOOT), []
    for at in range(0, 5 * WINDOW, 600):
        if kept.reference is not None and at >= WINDOW:
            ages.append(at - kept.reference.at)
        kept = baseline.advance(kept, sample(at), {}, WINDOW)
    assert min(ages) >= WINDOW
    assert max(ages) <= 2 * WINDOW


def test_kept_and_found(tmp_path: Path) -> None:
    kept = baseline.advance(Baseline(BOOT), sample(10, 3), {"GPU-0/0": {"remote": "0000:c0:00.0"}}, WINDOW)
    baseline.save(tmp_path / "new", kept)
    found = baseline.load(tmp_path / "new", BOOT, 20)
    assert found == kept
    assert [path.name for path in (tmp_path / "new").iterdir()] == [baseline.FILE]


@pytest.mark.parametrize("change", [{"boot_id": "b"}, {"driver": "580"}, {"driver_started": 6}])
def test_of_another_boot_or_driver_load(tmp_path: Path, change: dict) -> None:
    baseline.save(tmp_path, baseline.advance(Baseline(BOOT), sample(10), {}, WINDOW))
    found = baseline.load(tmp_path, {**BOOT, **change}, 20)
    assert found.reference is None
    assert "another boot" in found.note


def test_of_the_future(tmp_path: Path) -> None:
    baseline.save(tmp_path, baseline.advance(Baseline(BOOT), sample(1000), {}, WINDOW))
    assert "no use" in baseline.load(tmp_path, BOOT, 20).note


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\0\xff", b"[]", b"{}", b'{"format": 2}', b"[" * 100_000, b'{"format":1,"identity":{},"reference":3}'],
)
def test_rubbish(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / baseline.FILE).write_bytes(rubbish)
    found = baseline.load(tmp_path, BOOT, 20)
    assert found.reference is None
    assert found.note


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / baseline.FILE).mkdir()
    assert baseline.load(tmp_path, BOOT, 20).note


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_in_the_right_place(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("any")
    for key in ("reference", "next", "up"):
        stored = {"format": 1, "identity": BOOT, "reference": None, "next": None, "up": {}, key: value}
        (folder / baseline.FILE).write_text(json.dumps(stored))
        assert baseline.load(folder, BOOT, 20).identity == BOOT
