# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on an incident: the same facts in every format, and a stranger's text is never markup."""

from __future__ import annotations

import html.parser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.report import report_on, to_html, to_markdown, to_text

T = "2026-11-22T20:00:{:09.6f}+00:00"


def incident(**changes: Any) -> dict[str, Any]:
    lines = [(0, "alert"), (1.3, "committed"), (1.3, "classified"), (1.4, "decided"), (2, "run_started"), (3, "task")]
    return {
        "id": 7,
        "failure_class": "oom",
        "fault_mode": "transient",
        "root_cause": "InferenceOOMKilled",
        "host": "node-a",
        "service": "llama",
        "pool": "chat",
        "gpu": None,
        "state": "resolved",
        "reason": "restart_process proved its repair",
        "first_starts_at": T.format(0),
        "opened_at": T.format(1.3),
        "ended_at": T.format(8.5),
        "alerts": [
            {
                "labels": {"alertname": "InferenceOOMKilled"},
                "annotations": {"summary": "killed"},
                "status": "resolved",
                "starts_at": T.format(0),
            }
        ],
        "runs": [{"id": 3, "action": "restart_process", "host": "node-a", "state": "succeeded", "reason": "rung 1"}],
        "timeline": [
            *({"at": T.format(at), "kind": kind, "text": f"{kind} text"} for at, kind in lines),
            {"at": T.format(8.5), "kind": "resolved", "text": "done"},
        ],
        **changes,
    }


EARLIER = {
    "id": 2,
    "incident_id": 5,
    "action": "restart_process",
    "state": "failed",
    "started_at": T.format(0),
    "cause": "failed to load model",
    "directory": "/state/runs/2",
}


@pytest.mark.parametrize("write", [to_markdown, to_html, to_text])
def test_every_format_tells_what_was_tried_when_and_where_its_output_and_evidence_are(write: Any) -> None:
    told = incident()
    run = {**told["runs"][0], "started_at": T.format(2), "directory": "/state/runs/3"}
    saved = {"at": T.format(3), "kind": "evidence", "text": "node:/bundles/7"}
    told |= {"runs": [run], "earlier_runs": [EARLIER], "timeline": [*told["timeline"], saved]}
    text = write(report_on(told)).replace("\\", "")
    for fact in (
        "20:00:02.00",
        "/state/runs/3",
        "What earlier incidents tried",
        "failed to load model",
        "node:/bundles/7",
    ):
        assert fact in text
    without = write(report_on(incident()))
    assert "earlier incidents" not in without


def test_stages_are_told_with_their_times() -> None:
    stages = {stage.name: stage.since_alert.total_seconds() for stage in report_on(incident()).stages}
    assert stages["committed by the receiver"] == pytest.approx(1.3)
    assert stages["first playbook started"] == 2
    assert stages["resolved"] == 8.5


@pytest.mark.parametrize("write", [to_markdown, to_html, to_text])
def test_every_format_tells_what_happened(write: Any) -> None:
    text = write(report_on(incident()))
    for fact in ("InferenceOOMKilled", "succeeded", "node", "8.5 s", "Timeline"):
        assert fact in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"state": "escalated", "reason": "the ladder has ended", "ended_at": None}, "still escalated"),
        ({"runs": [{"id": 3, "action": "reset_gpu", "host": "n", "state": "lost", "reason": ""}]}, "cut off"),
        ({"runs": [{"id": 3, "action": "reset_gpu", "host": "n", "state": "unverified", "reason": ""}]}, "went on"),
        ({"runs": [{"id": 3, "action": "reset_gpu", "host": "n", "state": "not_launched", "reason": ""}]}, "never"),
        ({"runs": []}, "resolved by itself"),
    ],
)
def test_what_is_left_for_a_person_is_said(changes: dict[str, Any], told: str | None) -> None:
    ends = report_on(incident(**changes)).open_ends
    assert not ends if told is None else any(told in text for text in ends)


class Elements(html.parser.HTMLParser):
    """Counts what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, len(attrs)))


def elements(text: str) -> list[tuple[str, int]]:
    parser = Elements()
    parser.feed(text)
    return parser.seen


@given(st.text(max_size=60))
def test_a_strangers_text_is_never_markup(text: str) -> None:
    plain, hostile = report_on(incident(root_cause="x", reason="x")), report_on(incident(root_cause=text, reason=text))
    assert elements(to_html(hostile)) == elements(to_html(plain))
    assert to_markdown(hostile).count("\n") == to_markdown(plain).count("\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a](javascript:x)", r"\[a\]\(javascript:x\)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("# head", r"\# head"),
        ("@everyone", "@\u2060everyone"),
        ("two\nlines", "two lines"),
    ],
)
def test_markdown_escapes_what_would_be_markup(text: str, told: str) -> None:
    assert f"**resolved: {told}**" in to_markdown(report_on(incident(reason=text)))


@pytest.mark.parametrize("write", [to_markdown, to_html, to_text])
def test_what_turns_or_hides_writing_is_spelled_in_every_format(write: Any) -> None:
    text = write(report_on(incident(reason="a\u202eb\u2066c\u200bd\x1b[31m", root_cause="\u202e", host="n\u202e")))
    for spelled in ("u202e", "u2066", "u200b", "x1b"):
        assert spelled in text
    assert not set(text) & set("\u202e\u2066\u200b\x1b")


def test_plain_text_is_read_as_it_stands() -> None:
    said = "failed to load *model_a* [x](y) <b> | `z`"
    text = to_text(report_on(incident(reason=said)))
    assert f"  resolved: {said}" in text
    assert text.startswith("Incident 7: oom on llama on node-a\n==================================\n")
    assert "run 3: restart_process on node-a: succeeded" in text
    assert "Root cause:" in text


@given(st.text(max_size=300))
def test_no_strangers_text_fakes_a_line_of_plain_text(text: str) -> None:
    told = to_text(report_on(incident(reason=text, root_cause=text)))
    assert [line for line in told.split("\n") if line.startswith("What was done")] == ["What was done"]
    assert all(line.isprintable() for line in told.split("\n"))
    assert told.count("\n=") == 1
