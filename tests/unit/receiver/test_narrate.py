# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.narrate import LONGEST_LINE, narrate, without_a_task


def event(kind: str, **data):
    """Return an event as ansible-runner reports it."""
    return {
        "event": kind,
        "created": "2026-11-22T20:00:00.5+00:00",
        "event_data": {"task": "Start", "host": "a", **data},
    }


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (event("runner_on_ok", duration=0.84, res={}), "Start: ok (0.8 s)"),
        (event("runner_on_ok", duration=2, res={"changed": True}), "Start: changed (2.0 s)"),
        (event("runner_on_failed", res={"msg": "no\nsuch   unit"}), "Start: failed: no such unit"),
        (
            event("runner_on_failed", ignore_errors=True, res={"msg": "x"}),
            "Start: failed, and the playbook goes on: x",
        ),
        (event("runner_on_unreachable", res={"msg": "timed out"}), "Start: unreachable: timed out"),
        (event("runner_retry", res={}), "Start: not yet, trying again"),
    ],
)
def test_a_step_is_one_line(said, text):
    assert [(line.kind, line.text) for line in narrate(said)] == [("task", text)]


def test_a_verdict_is_told_as_proof_with_its_reasons():
    lines = narrate(event("runner_on_ok", res={"verdict": "healthy", "reasons": ["generated 4 tokens", "live"]}))
    assert [(line.kind, line.text) for line in lines][1] == ("proof", "a is healthy: generated 4 tokens; live")


def test_a_verdict_that_is_asked_for_again_is_no_proof():
    lines = narrate(event("runner_retry", res={"verdict": "unhealthy", "reasons": []}))
    assert [line.kind for line in lines] == ["task"]


@pytest.mark.parametrize("kind", ["playbook_on_start", "runner_on_start", "runner_on_skipped", "verbose", None])
def test_what_says_nothing_new_is_left_out(kind):
    assert narrate(event(kind)) == []


def test_where_no_task_was_begun_the_end_of_the_output_says_why():
    output = "\x1b[1;35m[WARNING]: so it is\x1b[0m\r\n\r\nERROR! the playbook x\ncould not be found\n"
    line = without_a_task(output, 7.0)
    assert (line.at, line.kind) == (7.0, "task")
    assert line.text == "no task was begun: [WARNING]: so it is ERROR! the playbook x could not be found"
    assert without_a_task("", 7.0).text == "no task was begun: nothing was printed"
    long = without_a_task("x" * 10_000 + " the reason", 7.0).text
    assert long.endswith("the reason")
    assert len(long) <= LONGEST_LINE


_anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["msg", "verdict", "reasons", "changed", "x"]), inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from(["runner_on_ok", "runner_on_failed"]), _anything, _anything)
def test_whatever_a_module_returns_the_lines_are_short_and_single(kind, result, duration):
    for line in narrate(event(kind, res=result, duration=duration)):
        assert len(line.text) <= LONGEST_LINE
        assert "\n" not in line.text
