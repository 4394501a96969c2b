# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading Alertmanager's webhook."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.intake.payload import PayloadError, parse_webhook, redelivery_key

CAPTURED = Path(__file__).parents[3] / "fixtures" / "alertmanager"
ALERTS = CAPTURED.parent / "alerts"


def alert(**changes):
    """Return one alert as the wire carries it."""
    return {
        "status": "firing",
        "labels": {"alertname": "X", "host": "node-a"},
        "annotations": {},
        "startsAt": "2026-11-22T19:58:07.553Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "ece3801cde4f8aaa",
        **changes,
    }


def body(*alerts, **changes):
    """Return a payload as bytes."""
    return json.dumps({"version": "4", "groupKey": "{}:{}", "receiver": "r", "alerts": alerts, **changes}).encode()


@pytest.mark.parametrize("name", ["firing", "resolved", "grouped", "truncated", "group_partly_resolved"])
def test_payloads_captured_from_a_real_alertmanager_are_read(name):
    raw = (CAPTURED / f"{name}.json").read_bytes()
    webhook = parse_webhook(raw)
    assert len(webhook.alerts) == len(json.loads(raw)["alerts"])
    assert not webhook.rejected


def test_grafanas_webhook_is_read_though_its_version_is_another():
    webhook = parse_webhook((ALERTS / "grafana-v1.json").read_bytes())
    (one,) = webhook.alerts
    assert (one.status, one.labels["host"], one.ends_at) == ("firing", "gpu-node-1", None)
    assert webhook.group_key == '{}:{alertname="vLLM down"}'


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bare-list-vmalert", "the body must be a JSON object"),
        ("no-version", "version is null"),
        ("v3", 'version is "3"'),
        ("empty-endsat", '"endsAt": Input should be a valid datetime'),
        ("int-label", '"labels"."gpu": Input should be a valid string, got 0'),
        ("null-annotations", '"annotations": Input should be a valid dictionary'),
    ],
)
def test_odd_payloads_are_refused_or_set_aside_in_clear_words(name, said):
    raw = (ALERTS / f"odd-{name}.json").read_bytes()
    try:
        (rejected,) = parse_webhook(raw).rejected
    except PayloadError as error:
        assert said in str(error)
    else:
        assert said in rejected.reason


def test_what_alertmanager_left_out_is_counted():
    assert parse_webhook((CAPTURED / "truncated.json").read_bytes()).truncated == 4


def test_the_year_one_means_not_ended():
    assert parse_webhook(body(alert())).alerts[0].ends_at is None


@pytest.mark.parametrize("key", ["startsAt", "endsAt"])
def test_a_moment_before_the_year_one_of_utc_is_set_aside(key):
    payload = parse_webhook(body(alert(**{key: "0001-01-01T00:00:00+14:00"}), alert()))
    assert len(payload.alerts) == 1
    assert "is not between the years 1970 and 9998" in payload.rejected[0].reason


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"version": "4", "alerts": ' + b"9" * 10_000 + b"}", "not JSON"),
        (
            b'{"alerts": []}',
            'version is null; this receiver reads Alertmanager\'s version "4" and Grafana\'s version "1"',
        ),
        (b'{"version": 4, "alerts": []}', "version is 4"),
        (b'{"version": "5", "alerts": []}', 'version is "5"'),
        (b'{"version": "4"}', "alerts must be a list, not null"),
        (b'{"version": "4", "alerts": {}}', "alerts must be a list"),
        (b'{"version": "4", "alerts": [], "groupKey": 7}', "groupKey must be text"),
        (b'{"version": "4", "alerts": [], "groupKey": "\\u0000"}', "groupKey holds a NUL"),
        (b'{"version": "4", "alerts": [], "groupKey": "\\ud800"}', "groupKey is not valid Unicode"),
    ],
)
def test_what_can_never_be_used_is_refused_with_the_reason(raw, said):
    with pytest.raises(PayloadError, match="(?s).*" + said.replace("(", r"\(")) as caught:
        parse_webhook(raw)
    assert 400 <= caught.value.status < 500


@pytest.mark.parametrize(
    "bad",
    [
        7,
        None,
        "x",
        [],
        {},
        alert(status="on fire"),
        alert(labels=None),
        alert(labels={"host": 5}),
        alert(labels={"host": None}),
        alert(labels={"host": ["node-a"]}),
        alert(labels={"host": "a\x00b"}),
        alert(labels={"host": "\ud800"}),
        alert(labels=dict.fromkeys(map(str, range(300)), "x")),
        alert(annotations={"a": {}}),
        alert(startsAt="yesterday"),
        alert(startsAt="2026-11-22T19:58:07"),
        alert(fingerprint=7),
        alert(fingerprint="x" * 1000),
    ],
)
def test_a_malformed_alert_is_set_aside_and_the_others_count(bad):
    webhook = parse_webhook(body(bad, alert()))
    assert len(webhook.alerts) == 1
    assert len(webhook.rejected) == 1
    assert webhook.rejected[0].reason
    assert json.loads(webhook.rejected[0].raw) == bad


def test_an_alert_without_fingerprint_gets_one_from_its_labels():
    first, second, other = (
        parse_webhook(body(a)).alerts[0].fingerprint
        for a in (alert(fingerprint=""), alert(fingerprint=""), alert(fingerprint="", labels={"host": "b"}))
    )
    assert first == second != other


def test_redelivery_is_known_by_group_fingerprint_labels_start_and_status():
    key = redelivery_key("g", parse_webhook(body(alert())).alerts[0])
    assert key == redelivery_key("g", parse_webhook(body(alert(annotations={"a": "b"}))).alerts[0])
    for changed in (
        alert(fingerprint="aaaa"),
        alert(startsAt="2026-11-22T19:58:07.554Z"),
        alert(status="resolved"),
        alert(labels={"alertname": "Another"}),
    ):
        assert key != redelivery_key("g", parse_webhook(body(changed)).alerts[0])
    assert key != redelivery_key("h", parse_webhook(body(alert())).alerts[0])


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries(
        {"version": st.just("4"), "alerts": st.lists(_json | st.fixed_dictionaries(dict.fromkeys(alert(), _json)))},
        optional={"groupKey": _json, "truncatedAlerts": _json},
    )
    | _json
)
def test_no_json_breaks_the_reader(data):
    try:
        webhook = parse_webhook(json.dumps(data).encode())
    except PayloadError as error:
        assert str(error)
        return
    assert len(webhook.alerts) + len(webhook.rejected) == len(data["alerts"])


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw):
    with pytest.raises(PayloadError):
        parse_webhook(raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"startsAt": "9999-12-31T23:59:59-10:00"},
        {"startsAt": "1969-12-31T23:59:59Z"},
        {"startsAt": 1e308},
        {"startsAt": float("nan")},
        {"startsAt": float("inf")},
        {"startsAt": "2026-11-22T19:58:07"},
        {"endsAt": "9999-12-31T23:59:59-10:00"},
        {"labels": {"x" * 2000: "y"}},
        {"labels": {"x": "y" * 200_000}},
        {"labels": {str(n): "y" for n in range(257)}},
        {"annotations": {"x": 10**400}},
    ],
)
def test_an_alert_that_nothing_later_could_hold_or_show_is_set_aside(changes):
    webhook = parse_webhook(body(alert(**changes), alert()))
    assert (len(webhook.alerts), len(webhook.rejected)) == (1, 1)


def test_a_count_that_no_metric_holds_is_cut():
    assert parse_webhook(body(alert(), truncatedAlerts=10**400)).truncated == 10**9


@pytest.mark.parametrize("depth", [100, 900, 950, 980])
def test_what_is_nested_just_short_of_too_deeply_is_set_aside_and_not_our_fault(depth):
    deep = b"[" * depth + b"]" * depth
    raw = body("@").replace(b'"@"', b'{"status": "firing", "labels": %s}' % deep)
    try:
        assert len(parse_webhook(raw).rejected) == 1
    except PayloadError as error:
        assert "nested too deeply" in str(error)


def test_secrets_that_others_write_into_alerts_are_not_kept():
    said = {"summary": "see https://bob:hunter2pass@grafana/d/1?token=abcdef123456", "plain": "nothing to hide"}
    webhook = parse_webhook(
        body(
            alert(annotations=said, generatorURL="http://admin:hunter2pass@prom:9090/graph"),
            {"labels": "password: hunter2pass"},
            groupKey='{}:{instance="http://bob:hunter2pass@node"}',
        )
    )
    assert "hunter2pass" not in repr(webhook)
    assert "abcdef123456" not in repr(webhook)
    assert webhook.alerts[0].annotations["plain"] == "nothing to hide"
    assert "grafana/d/1" in webhook.alerts[0].annotations["summary"]


def test_a_group_key_is_bounded_and_still_tells_groups_apart():
    """It is stored with every alert of a delivery."""
    keys = {parse_webhook(body(groupKey="x" * 600_000 + end)).group_key for end in ("a", "b")}
    assert len(keys) == 2
    assert all(len(key) < 400 for key in keys)
