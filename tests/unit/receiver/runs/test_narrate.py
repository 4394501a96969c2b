# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.runs.narrate import LONGEST_LINE, narrate, without_a_task


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
    assert [(line.kind, line.text) for line in narrate(said) if line.kind != "cause"] == [("task", text)]


WORDS = ["load_model: failed to load model '/var/lib/m.gguf'", "exiting due to model loading error"]
SAID = "load_model: failed to load model '/var/lib/m.gguf'; exiting due to model loading error"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            event("runner_on_failed", res={"msg": "unhealthy: no process", "last_words": WORDS}),
            ("cause", f"Start: {SAID}"),
        ),
        (event("runner_on_failed", res={"msg": "no\nsuch   unit", "last_words": []}), ("cause", "Start: no such unit")),
        (event("runner_on_unreachable", res={"msg": "timed out"}), ("cause", "Start: timed out")),
        (event("runner_on_failed", res={}), ("cause", "Start: failed")),
        (event("runner_on_ok", res={"verdict": "unhealthy", "last_words": WORDS}), ("last words", SAID)),
        (event("runner_on_ok", res={"verdict": "healthy", "last_words": WORDS}), None),
        (event("runner_on_failed", ignore_errors=True, res={"msg": "x"}), None),
        (event("runner_retry", res={"msg": "x", "last_words": WORDS}), None),
        (event("runner_on_failed", res={"msg": 7, "last_words": "no list"}), ("cause", "Start: failed")),
    ],
)
def test_the_cause_is_the_failed_task_and_the_servers_last_words(said, cause):
    found = [(line.kind, line.text) for line in narrate(said) if line.kind in ("cause", "last words")]
    assert found == ([] if cause is None else [cause])


def test_a_verdict_is_told_as_proof_with_its_reasons():
    lines = narrate(event("runner_on_ok", res={"verdict": "healthy", "reasons": ["generated 4 tokens", "live"]}))
    assert [(line.kind, line.text) for line in lines][1] == ("proof", "a is healthy: generated 4 tokens; live")


def test_a_verdict_that_is_asked_for_again_is_no_proof():
    lines = narrate(event("runner_retry", res={"verdict": "unhealthy", "reasons": []}))
    assert [line.kind for line in lines] == ["task"]


@pytest.mark.parametrize("module", ["fence", "inference_service", "clean_leftovers", "service_environment"])
def test_a_refusal_of_the_host_is_told_with_the_mark_that_was_higher(module):
    res = {"msg": "Refused: a newer run has been here", "fence": {"refused_by": 9, "token": 7}}
    task, refusal, _ = narrate(event("runner_on_failed", task_action=f"autoglm.recovery.{module}", res=res))
    assert refusal.as_dict() == {
        "at": task.at,
        "kind": "fenced",
        "text": "a: Refused: a newer run has been here",
        "mark": 9,
    }
    assert "mark" not in task.as_dict()


LOCK = "autoglm.recovery.host_lock"


@pytest.mark.parametrize("action", [LOCK, "autoglm.recovery.inference_service"])
def test_a_refusal_of_the_hosts_lock_is_told_with_who_is_at_work_there(action):
    res = {"msg": "Refused, nothing was changed", "holder": {"who": "ann\n on ops-1", "run": "x", "token": None}}
    task, refusal, _ = narrate(event("runner_on_failed", task_action=action, res=res))
    said = {"kind": "kept_out", "text": "a is held by ann on ops-1", "holder": "ann on ops-1"}
    assert refusal.as_dict() == {"at": task.at, **said}


@pytest.mark.parametrize(
    "said",
    [
        # A lock that nobody holds, or that cannot be read, is a failure.
        event("runner_on_failed", task_action=LOCK, res={"holder": None}),
        event("runner_on_failed", task_action=LOCK, res={"holder": {"who": ["ann"]}}),
        event("runner_on_failed", task_action=LOCK, res={"holder": {"who": "  "}}),
        event("runner_on_failed", task_action="ansible.builtin.command", res={"holder": {"who": "ann"}}),
        event("runner_on_failed", task_action=LOCK, ignore_errors=True, res={"holder": {"who": "ann"}}),
        event("runner_on_ok", task_action=LOCK, res={"holder": {"who": "ann"}}),
    ],
)
def test_nothing_else_is_a_refusal_of_the_hosts_lock(said):
    assert not [line for line in narrate(said) if line.kind == "kept_out" or line.holder is not None]


@pytest.mark.parametrize("mark", [None, "9", True, [9], 9.5])
def test_a_failure_of_the_fence_without_a_mark_is_no_refusal(mark):
    said = event("runner_on_failed", task_action="autoglm.recovery.fence", res={"fence": {"refused_by": mark}})
    assert [line.kind for line in narrate(said)] == ["task", "cause"]


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


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (event("runner_on_ok", res={"path": "/e/3f-1-a"}), ["a:/e/3f-1-a"]),
        (
            event("runner_on_failed", ignore_errors=True, res={"msg": "/e has 0 bytes free"}),
            ["a: no evidence was saved: /e has 0 bytes free"],
        ),
        (event("runner_on_failed", res={}), ["a: no evidence was saved: it is not known why"]),
        (
            event(
                "runner_on_ok",
                res={
                    "path": "/e/x",
                    "unreadable": [
                        {"name": "gpu.json", "reason": "there is no NVIDIA driver"},
                        {"name": "host.txt", "reason": "not collected: the bundle's size limit was reached"},
                        {"name": "sockets.txt", "reason": "could not be written: No space left on device"},
                    ],
                },
            ),
            ["a:/e/x", "a: not saved: host.txt, sockets.txt: not collected: the bundle's size limit was reached"],
        ),
    ],
)
def test_where_the_evidence_is_and_what_was_not_saved_is_told(said, lines):
    said["event_data"]["task_action"] = "autoglm.recovery.crash_snapshot"
    assert [line.text for line in narrate(said) if line.kind == "evidence"] == lines
