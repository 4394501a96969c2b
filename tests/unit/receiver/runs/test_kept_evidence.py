# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a host answers, so much of it is kept and no more, under our names, as text."""

from __future__ import annotations

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from autoglm_recovery.receiver.runs.kept_evidence import (
    MOST_BUNDLES,
    MOST_CHARACTERS,
    as_text,
    given,
    keep,
    kept,
    kept_at,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def event(excerpts, kind="runner_on_ok", **res):
    """Return an event as ansible-runner reports it."""
    data = {"task_action": "autoglm.recovery.crash_snapshot", "host": "a", "res": {"excerpts": excerpts, **res}}
    return {"event": kind, "event_data": data}


@examples(ANYTHING, ANYTHING)
def test_nonsense_is_kept_as_nothing_or_as_text(excerpts, path):
    found = given(event(excerpts, path=path))
    assert found is None or as_text([found]).replace("\n", "").replace("\t", "").isprintable()


def test_more_than_so_much_is_cut_and_said(tmp_path):
    keep(tmp_path, event([{"name": "x", "text": "y" * (2 * MOST_CHARACTERS)}, {"name": "z", "text": "late"}]))
    (found,) = kept(tmp_path)
    assert [(len(one.text), one.cut) for one in found.excerpts] == [(MOST_CHARACTERS, True), (0, True)]
    assert "===== x (cut; the whole is on the host)" in as_text([found])


def test_a_host_that_answers_again_and_again_fills_no_disk(tmp_path):
    for number in range(10):
        keep(tmp_path, event([{"name": str(number), "text": "t"}]))
    assert len(list(tmp_path.iterdir())) == MOST_BUNDLES
    assert [one.excerpts[0].name for one in kept(tmp_path)] == ["0", "1", "2", "3"]


def test_the_same_that_is_told_again_is_kept_once_and_its_directory_is_made(tmp_path):
    run = tmp_path / "runs" / "1-0f"
    keep(run, event([]))
    assert not run.exists()
    for _ in range(3):
        keep(run, event([{"name": "x", "text": "t"}]))
    keep(run, event([{"name": "x", "text": "t"}], path="/another"))
    assert [one.path for one in kept(run)] == ["None", "/another"]
    assert kept_at(tmp_path) is None
    assert kept_at(run) == (run / "evidence-2.json").stat().st_mtime


def test_names_of_the_host_are_no_paths(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    keep(run, event([{"name": "../../x", "text": "t"}], path="/etc/passwd"))
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "evidence-1.json"]


@pytest.mark.parametrize(
    "said",
    [
        event([], path="/e"),
        event([{"name": "x", "text": "t"}], kind="runner_on_failed"),
        {"event": "runner_on_ok", "event_data": {"task_action": "debug", "res": {"excerpts": [{"text": "t"}]}}},
        {"event": "runner_on_ok"},
    ],
)
def test_what_is_no_evidence_leaves_nothing(tmp_path, said):
    keep(tmp_path, said)
    assert kept(tmp_path) == []
