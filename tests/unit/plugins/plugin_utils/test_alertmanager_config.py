# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ours is put into configurations of others, however people and programs write them, and taken out again."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.autoglm.recovery.plugins.filter.alertmanager_route import alertmanager_route
from ansible_collections.autoglm.recovery.plugins.plugin_utils.alertmanager_config import (
    CannotEdit,
    with_ours,
    without_ours,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tooling.prometheus_tools import tool

FIXTURES = Path(__file__).parents[1] / "fixtures/alertmanager"
# As they are: with the line breaks that they have, and with none at the end where there is none.
SPECIMENS = {path.stem: path.read_bytes().decode() for path in sorted(FIXTURES.glob("*.txt"))}
SPECIMENS["commented_in_windows"] = SPECIMENS["commented"].replace("\n", "\r\n")
SPECIMENS["commented_and_cut"] = SPECIMENS["commented"].rstrip("\n")

WATCHDOG, OURS, CLASSIFIED = (
    ['alertname="Watchdog"'],
    ['failure_class=~".+"'],
    ['severity="critical"', "team!~web|shop"],
)
ROUTES = [
    {"receiver": "autoglm", "matchers": matchers, "group_wait": "0s"} for matchers in (WATCHDOG, OURS, CLASSIFIED)
]
RECEIVER = {"name": "autoglm", "webhook_configs": [{"url": "http://192.0.2.1:9470/api/v1/alerts", "max_alerts": 0}]}
FALLBACK = [OURS, CLASSIFIED]


def add(text: str) -> str:
    return with_ours(text, ROUTES, RECEIVER, FALLBACK)


@pytest.fixture(params=SPECIMENS)
def specimen(request: pytest.FixtureRequest) -> str:
    return SPECIMENS[request.param]


# --- what is added, and nothing else ---------------------------------------------------------------------------------


def test_every_byte_stays_and_comes_back(specimen: str) -> None:
    added = add(specimen)
    assert added != specimen
    assert without_ours(added) == specimen
    rest = iter(added)
    assert all(letter in rest for letter in specimen)  # in this order
    assert ("\r\n" in added) == ("\r\n" in specimen)
    assert added.count("\r\n") in (0, added.count("\n"))


def test_adding_again_changes_nothing_and_a_change_replaces_what_was_added(specimen: str) -> None:
    added = add(specimen)
    assert add(added) == added
    other = {**RECEIVER, "name": "elsewhere"}
    assert with_ours(added, ROUTES[1:2], other) == with_ours(specimen, ROUTES[1:2], other)


def test_ours_come_first_and_let_others_have_their_alerts(specimen: str) -> None:
    document = yaml.safe_load(add(specimen))
    assert document["route"]["routes"][:3] == [{**route, "continue": True} for route in ROUTES]
    assert document["receivers"][0] == RECEIVER


def test_what_nobody_wrote_for_us_stays_byte_for_byte_where_nothing_is_to_be_taken_out(specimen: str) -> None:
    assert without_ours(specimen) == specimen


def test_what_is_added_has_no_anchors_which_a_text_may_have_already() -> None:
    assert "&" not in add(SPECIMENS["continuing"])


@pytest.mark.parametrize("name", SPECIMENS)
def test_alertmanager_takes_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_bytes(add(SPECIMENS[name]).encode())
    done = subprocess.run([tool("amtool"), "check-config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- who gets what ---------------------------------------------------------------------------------------------------

LABELS = (
    {"failure_class": "oom", "host": "node-a"},
    {"failure_class": "oom", "severity": "critical", "team": "7"},
    {"failure_class": "oom", "severity": "warning", "team": "7"},
    {"severity": "critical", "team": "ops", "service": "mysql"},
    {"failure_class": "crash", "team": "web", "env": "prod"},
    {"alertname": "Other", "severity": "warning", "team": "7"},
)


def amtools_receivers(path: Path, labels: Mapping[str, str]) -> list[str]:
    """Ask Alertmanager's own tool who gets an alert."""
    words = [f"{name}={value}" for name, value in labels.items()]
    command = [tool("amtool"), "config", "routes", "test", f"--config.file={path}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return sorted(set(done.stdout.strip().split(",")) - {"autoglm", "autoglm_nobody"})


@pytest.mark.parametrize("name", ["commented", "continuing", "catch_all", "empty_brackets"])
def test_whoever_got_an_alert_gets_it_still_says_amtool(name: str, tmp_path: Path) -> None:
    before, after = tmp_path / "before.yml", tmp_path / "after.yml"
    before.write_text(SPECIMENS[name])
    after.write_text(add(SPECIMENS[name]))
    for labels in LABELS:
        assert amtools_receivers(after, labels) == amtools_receivers(before, labels)
        assert receivers(after.read_text(), labels) - {"autoglm", "autoglm_nobody"} == receivers(
            before.read_text(), labels
        )


def matches(route: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a route takes an alert; these tests write matchers that compare, and one kind of expression."""
    for name, value in (route.get("match") or {}).items():
        if labels.get(name, "") != str(value):
            return False
    for name, value in (route.get("match_re") or {}).items():
        if labels.get(name, "") not in value.strip("^$()").split("|"):
            return False
    for matcher in route.get("matchers") or []:
        operator = next(each for each in ("=~", "!~", "!=", "=") if each in matcher)
        name, value = (part.strip().strip('"') for part in matcher.split(operator, 1))
        there = labels.get(name, "")
        found = bool(there) if value == ".+" else there in value.split("|") if "~" in operator else there == value
        if found is operator.startswith("!"):
            return False
    return True


def taken(route: Mapping[str, Any], labels: Mapping[str, str], inherited: str = "") -> list[str]:
    """Walk the tree as Alertmanager's documentation says: the receivers of an alert."""
    receiver = route.get("receiver", inherited)
    found: list[str] = []
    for child in route.get("routes") or []:
        if matches(child, labels):
            found += taken(child, labels, receiver)
            if not child.get("continue"):
                break
    return found or [receiver]


def receivers(text: str, labels: Mapping[str, str]) -> set[str]:
    return set(taken(yaml.safe_load(text)["route"], labels))


VALUES = st.sampled_from(["oom", "critical", "web", "shop"])
NAMES = st.sampled_from(["failure_class", "severity", "team"])
CONDITIONS = st.one_of(
    st.just({}),
    st.builds(lambda name, value: {"match": {name: value}}, NAMES, VALUES),
    st.builds(lambda name, one, other: {"match_re": {name: f"{one}|{other}"}}, NAMES, VALUES, VALUES),
    st.lists(
        st.builds(lambda n, o, v: f'{n}{o}"{v}"', NAMES, st.sampled_from(["=", "!=", "=~", "!~"]), VALUES), max_size=2
    ).map(lambda found: {"matchers": found}),
)


def routes(children: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return routes with these below them."""
    parts = st.fixed_dictionaries(
        {"receiver": st.sampled_from(["one", "two", "three"])},
        optional={"continue": st.booleans(), "routes": children},
    )
    return st.builds(lambda route, condition: {**route, **condition}, parts, CONDITIONS)


@settings(max_examples=100, deadline=None)
@given(
    tree=st.lists(routes(st.lists(routes(st.just([])), max_size=3)), max_size=4),
    labels=st.dictionaries(NAMES, VALUES),
    indent=st.integers(2, 8),
    style=st.sampled_from([False, None]),
)
def test_whoever_got_an_alert_gets_it_still_whatever_the_tree(
    tree: Sequence[dict[str, Any]], labels: dict[str, str], indent: int, style: bool | None
) -> None:
    document = {
        "route": {"receiver": "default", "routes": list(tree)},
        "receivers": [{"name": name} for name in ("default", "one", "two", "three")],
    }
    text = yaml.safe_dump(document, indent=indent, default_flow_style=style, sort_keys=False)
    try:
        added = add(text)
    except CannotEdit as refusal:
        assert "within brackets" in str(refusal)
        return
    assert without_ours(added) == text
    found = taken(yaml.safe_load(added)["route"], labels)
    assert set(found) - {"autoglm", "autoglm_nobody"} == receivers(text, labels)
    assert ("autoglm" in found) == any(matches(route, labels) for route in ROUTES)


# --- what is refused -------------------------------------------------------------------------------------------------

RECEIVERS = "receivers: [{name: everyone}]\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a mapping"),
        ("route: {}\nsecret: 'hunter2", "not one YAML document: found unexpected end of stream (line 2)"),
        (f"route: {{receiver: everyone}}\n{RECEIVERS}---\n{RECEIVERS}", "not one YAML document"),
        (RECEIVERS, "has no route"),
        ("route: {receiver: everyone}\n", "receivers are no list"),
        (f"route: {{receiver: everyone, routes: 7}}\n{RECEIVERS}", "routes are no list"),
        (f"route:\n  receiver: everyone\n  routes: null\n{RECEIVERS}", "routes are no list"),
        ('{"route": {"receiver": "everyone"}, "receivers": [{"name": "everyone"}]}', "as JSON is"),
        ("route:\n  receiver: autoglm\nreceivers:\n- name: autoglm\n", "has a receiver 'autoglm' already"),
        (
            f"route: {{receiver: everyone, routes: [{{receiver: everyone, match: {{a: b}}}}]}}\n{RECEIVERS}",
            "within brackets",
        ),
        ("receivers: &r [{name: everyone}]\nroute:\n  receiver: everyone\n  routes: *r\n", "routes is an alias"),
        (
            "receivers:\n- &one\n  name: everyone\n  webhook_configs: &hooks\n  - url: http://192.0.2.1/\n- *one\n"
            "route:\n  receiver: everyone\n  routes: &again\n  - match: {a: b}\n    routes: *again\n",
            "not one YAML document",
        ),
        (
            "route:\n  receiver: everyone\n  routes: &same\n  - match: {a: b}\n  group_by: *same\n" + RECEIVERS,
            "would change more",
        ),
        (f"# BEGIN autoglm.recovery\nroute:\n  receiver: everyone\n{RECEIVERS}", "not pairs any more (line 1)"),
        (f"route:\n  receiver: everyone\n{RECEIVERS}# END autoglm.recovery\n", "not pairs any more (line 4)"),
        (f"route: # BEGIN autoglm.recovery\n  receiver: everyone\n{RECEIVERS}# END autoglm.recovery\n", "(line 1)"),
        (f"# BEGIN autoglm.recovery\n# BEGIN autoglm.recovery\n# END autoglm.recovery\n{RECEIVERS}", "(line 1)"),
    ],
)
def test_what_cannot_be_edited_without_a_doubt_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(CannotEdit) as refusal:
        add(text)
    assert why in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_the_filter_adds_takes_out_and_refuses() -> None:
    text = SPECIMENS["commented"]
    added = alertmanager_route(text, ROUTES, RECEIVER, FALLBACK)
    assert added == add(text)
    assert alertmanager_route(added) == text
    with pytest.raises(AnsibleFilterError, match="left as it is: it has no route"):
        alertmanager_route(RECEIVERS, ROUTES, RECEIVER)
    with pytest.raises(AnsibleFilterError, match="without a receiver that has a name"):
        alertmanager_route(text, ROUTES)
