# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX is asked, and when it is not asked at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from autoglm_recovery.receiver.runs.awx import launch_request
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings, Template
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunRecord, RunSpec

RUN = RunRecord(7, 3, "node-a", "restart_process", 1, 11, Path("/runs/7"), 1.0)
ORDER = RunSpec(
    "restart_process",
    "node-a",
    Path("/inventory"),
    60.0,
    {"autoglm_incident": {"id": 3, "reason": "{{ lookup('pipe', 'id') }}"}, "autoglm_target": {"host": "node-a"}},
)
ASKS = {"ask_limit_on_launch": True, "ask_variables_on_launch": True}


def test_the_limit_is_the_one_host_and_the_run_is_marked() -> None:
    body = launch_request.launch_body(ORDER, launch_request.mark("east", RUN))
    assert body["limit"] == "node-a"
    assert body["extra_vars"]["autoglm_run"] == "east:3:7"
    assert body["extra_vars"]["autoglm_target"] == {"host": "node-a"}
    assert set(body) == {"limit", "extra_vars"}


def test_runs_of_other_installations_have_other_marks() -> None:
    marks = {launch_request.mark(*each) for each in (("east", RUN), ("west", RUN), ("east", replace(RUN, id=8)))}
    assert len(marks) == 3


@given(st.text(alphabet="{}%# a1", max_size=20), st.text(max_size=20))
def test_no_text_is_a_template_whatever_awx_is_set_to(braces: str, other: str) -> None:
    text = braces + other + braces
    made = launch_request.neutralised({"a": [text, {text: text}]})
    inner = made["a"][0]
    lexed = Environment(autoescape=False, keep_trailing_newline=True).lex(inner)  # noqa: S701 - nothing is rendered
    assert {kind for _line, kind, _value in lexed} <= {"data"}
    assert inner.replace(" ", "") == text.replace(" ", "")


def test_plain_texts_and_numbers_stay_as_they_are() -> None:
    value = {"text": "a {b} c", "json": '{"a": 1}', "number": 3, "none": None, "yes": True}
    assert launch_request.neutralised(value) == value


@pytest.mark.parametrize("key", ["host", "service", "gpu", "pool"])
def test_a_name_that_is_a_template_is_refused(key: str) -> None:
    order = replace(ORDER, variables={"autoglm_target": {"host": "node-a", key: "{{ x }}"}})
    with pytest.raises(LaunchRefused, match="name of the target"):
        launch_request.launch_body(order, "m")


@pytest.mark.parametrize("host", ["all", "a*", "a,b", "!a", "&a", "~a", "@a", "a:b", "a[0]", "", "-a", "*"])
def test_a_host_that_is_a_pattern_is_refused(host: str) -> None:
    with pytest.raises(LaunchRefused, match="pattern"):
        launch_request.check_limit(host)


def test_a_template_must_be_there_exactly_once() -> None:
    wanted = Template("autoglm x", "ops")
    one = {"name": "autoglm x", "id": 1}
    assert launch_request.only_template([one, {"name": "autoglm xy"}], wanted) is one
    with pytest.raises(LaunchRefused, match="no job template 'autoglm x' in organization 'ops'"):
        launch_request.only_template([{"name": "AUTOGLM X"}], wanted)
    with pytest.raises(LaunchRefused, match="2 workflow job templates"):
        launch_request.only_template([one, one], replace(wanted, workflow=True))


@pytest.mark.parametrize(
    ("launch", "words"),
    [
        ({"ask_variables_on_launch": True}, "switch on 'Prompt on launch' for Limit "),
        ({"ask_limit_on_launch": True, "ask_variables_on_launch": False}, "for Variables "),
        ({}, "for Limit and Variables"),
        (ASKS | {"inventory_needed_to_start": True}, "has no inventory"),
        (ASKS | {"passwords_needed_to_start": ["ssh_password"]}, "ssh_password"),
        (ASKS | {"variables_needed_to_start": ["ticket"]}, "ticket"),
        (ASKS | {"credential_needed_to_start": True}, "no credential"),
    ],
)
def test_what_a_template_lacks_is_said(launch: dict[str, object], words: str) -> None:
    with pytest.raises(LaunchRefused, match=words):
        launch_request.check_prompts(launch, "t")


def test_a_template_that_asks_for_all_is_taken() -> None:
    launch_request.check_prompts(ASKS | {"passwords_needed_to_start": []}, "t")


SENT = {"limit": "node-a", "extra_vars": {"autoglm_run": "x:1:2"}}
LAUNCHED = {"type": "job", "limit": "node-a", "extra_vars": '{"autoglm_run": "x:1:2", "fleet": "blue"}'}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, None),
        ({"ignored_fields": {"extra_vars": {}}}, None),
        ({"ignored_fields": {"limit": "node-a"}}, "for Limit "),
        ({"type": "workflow_job"}, "slices"),
        ({"limit": ""}, "the limit ''"),
        ({"limit": None}, "the limit 'None'"),
        ({"extra_vars": '{"autoglm_run": "$encrypted$"}'}, "out of its survey"),
        ({"extra_vars": None}, "out of its survey"),
    ],
)
def test_what_was_launched_is_what_awx_shows_of_it(answer: dict[str, Any], words: str | None) -> None:
    found = launch_request.check_launched({**LAUNCHED, **answer}, SENT, "job", "t")
    assert (found is None) if words is None else (words in str(found))


def test_sliced_templates_are_refused() -> None:
    launch_request.check_slicing({"job_slice_count": 1})
    with pytest.raises(LaunchRefused, match="slices"):
        launch_request.check_slicing({"job_slice_count": 2, "name": "t"})


@pytest.mark.parametrize(
    ("hosts", "groups", "words"),
    [
        ([], [], "not in the inventory"),
        ([{"name": "NODE-A"}], [], "not in the inventory"),
        ([{"name": "node-a", "enabled": False}], [], "disabled"),
        ([{"name": "node-a", "enabled": True}], [{"name": "node-a"}], "group"),
    ],
)
def test_the_host_must_be_there_enabled_and_no_group(hosts: list, groups: list, words: str) -> None:
    with pytest.raises(LaunchRefused, match=words):
        launch_request.check_host(hosts, groups, "node-a")


def _node(kind: str = "job", template: int = 5) -> dict[str, object]:
    return {"summary_fields": {"unified_job_template": {"id": template, "unified_job_type": kind, "name": "w"}}}


def test_every_job_of_a_workflow_must_keep_to_the_limit() -> None:
    good = {5: ASKS | {"name": "w", "inventory": 9}}
    launch_request.check_nodes([_node(), _node("project_update"), _node("workflow_approval")], good, 9)
    launch_request.check_nodes([_node()], {5: good[5] | {"inventory": 1, "ask_inventory_on_launch": True}}, 9)
    with pytest.raises(LaunchRefused, match="Limit"):
        launch_request.check_nodes([_node()], {5: good[5] | {"ask_limit_on_launch": False}}, 9)
    with pytest.raises(LaunchRefused, match="another inventory"):
        launch_request.check_nodes([_node()], good, 8)
    with pytest.raises(LaunchRefused, match="another workflow"):
        launch_request.check_nodes([_node("workflow_job")], good, 9)
    with pytest.raises(LaunchRefused, match="without a template"):
        launch_request.check_nodes([{"summary_fields": {}}], good, 9)


@pytest.mark.parametrize(
    ("shown", "carried"),
    [
        (json.dumps({"autoglm_run": "m"}), True),
        ("---\nautoglm_run: m\n", True),
        ({"autoglm_run": "m"}, True),
        ('{"autoglm_run": "m2"}', False),
        ("", False),
        (": : not yaml [", False),
        ("just a text with m in it", False),
        (None, None),
    ],
)
def test_jobs_are_known_by_their_mark(shown: object, carried: bool | None) -> None:
    assert launch_request.carries({"extra_vars": shown}, "m") is carried


@pytest.mark.parametrize(
    "url", ["awx.example.com", "ftp://awx", "http://awx.example.com", "https://u:p@awx", "https://", "https://a/?b=c"]
)
def test_addresses_that_are_none_or_unsafe_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"AWX|the token"):
        AwxSettings(url, Path("/token"), Template)
