# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile input over HTTP: the one right host or a refusal with a reason; never evaluated; the server stays up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.servers.waiting import until

from .running import alert, now, payload, serving

TOKEN = "correct-horse-battery-staple"


def outcome(receiver, body):
    """Post one alert and return what became of it."""
    assert receiver.post(body).status_code == 200
    return until("the alert to be judged", lambda: _judged(receiver))


def _judged(receiver):
    newest = receiver.get("/api/v1/alerts?limit=1")["alerts"][0]
    return newest if newest["outcome"] != "new" else None


@pytest.fixture(scope="module")
def watching(tmp_path_factory):
    """Return a receiver that decides and never acts."""
    with serving(tmp_path_factory.mktemp("watch"), policy="recovery: {autonomy: watch}") as receiver:
        yield receiver


@pytest.mark.parametrize(
    "word",
    [
        "{{ lookup('pipe', 'touch evaluated') }}",
        "all",
        "*",
        "!node-a",
        "node-a,node-b",
        "~.*",
        "../x",
        "$(touch evaluated)",
        "node-a\nnode-b",
        "x" * 65536,
        "inference",
        "localhost",
    ],
)
def test_a_hostile_host_is_refused_with_a_reason(watching, word):
    before = len(watching.incidents())
    judged = outcome(watching, payload(alert(word, start=now())))
    assert judged["outcome"] == "refused"
    assert "host" in judged["reason"]
    assert len(watching.incidents()) == before
    assert not list(watching.directory.rglob("evaluated"))


@pytest.mark.parametrize(("word", "host"), [("node-a:9400", "node-a"), ("[fd00::1]:9400", "node-b")])
def test_a_host_with_a_port_is_the_one_right_host(watching, word, host):
    judged = outcome(watching, payload(alert(None, instance=word, start=now())))
    assert judged["outcome"] == "joined"
    assert watching.get(f"/api/v1/incidents/{judged['incident_id']}")["host"] == host


def test_missing_labels_are_refused_with_a_reason(watching):
    judged = outcome(watching, payload(alert(None, start=now())))
    assert (judged["outcome"], judged["failure_class"]) == ("refused", "oom")
    assert "no label says which host" in judged["reason"]


def test_a_malformed_alert_does_not_take_the_good_one_with_it(watching):
    bad = {**alert("node-a"), "labels": {"host": 5}}
    answer = watching.post(payload(bad, alert("node-b", start=now())))
    assert answer.status_code == 200
    assert (answer.json()["committed"], answer.json()["rejected"]) == (1, 1)
    newest = watching.get("/api/v1/rejects?limit=1")["rejects"][0]
    assert "labels.host" in newest["reason"].replace('"', "")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"[]", 400, "JSON object"),
        (b"\x00\xff", 400, "not JSON"),
        (b"[" * 200_000, 400, "nested too deeply"),
        ({"version": "3", "alerts": []}, 400, 'version is "3"'),
        ({"alerts": []}, 400, "version is null"),
        ({"version": "4", "alerts": "x"}, 400, "alerts must be a list"),
        (payload({"labels": 7}), 422, "no alert of 1 could be read"),
        (b'{"version": "4", "pad": "' + b"x" * (9 << 20) + b'"}', 413, "larger than 8388608 bytes"),
    ],
)
def test_what_can_never_succeed_is_a_4xx_problem_that_says_why(watching, body, status, said):
    answer = watching.post(body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert watching.client.get(f"{watching.url}/readyz").status_code == 200


def test_another_media_type_is_refused(watching):
    answer = watching.post(payload(), **{"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/v1/incidents/x", "/api/v1/incidents/99", "/../etc/passwd", "/api/v1/alerts/"]
)
def test_what_is_not_there_is_a_404_problem(watching, path):
    answer = watching.client.get(watching.url + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "limit=99999999999999999999", "state=burning"])
def test_a_wrong_query_is_a_400_problem(watching, query):
    assert watching.client.get(f"{watching.url}/api/v1/incidents?{query}").status_code == 400


def test_an_incident_number_that_no_database_holds_is_a_404(watching):
    for number in (2**63, 10**30):
        assert watching.client.get(f"{watching.url}/api/v1/incidents/{number}").status_code == 404


def test_without_the_token_nothing_is_taken_and_nothing_is_told(tmp_path):
    with serving(tmp_path, tokens=(TOKEN,), policy="recovery: {autonomy: watch}") as receiver:
        for wrong in ("", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            answer = receiver.post(payload(alert(start=now())), Authorization=wrong)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert receiver.client.get(f"{receiver.url}/api/v1/incidents").status_code == 401
        assert receiver.post(payload(alert(start=now()))).json()["committed"] == 1


def test_what_alertmanager_left_out_is_told_and_counted(watching):
    answer = watching.post(payload(alert("node-a", start=now()), truncatedAlerts=4))
    assert "left out 4 alerts" in answer.json()["warning"]
    assert "autoglm_alerts_left_out_total 4.0" in watching.client.get(f"{watching.url}/metrics").text


def test_metrics_count_what_happened(watching):
    text = watching.client.get(f"{watching.url}/metrics").text
    for line in (
        'autoglm_alerts_total{failure_class="oom",outcome="refused",status="firing"}',
        'autoglm_incidents{state="held"}',
        'autoglm_webhook_requests_total{status="400"}',
        "autoglm_alerts_rejected_total",
        "autoglm_alert_to_commit_seconds_count",
        "autoglm_alert_to_launch_seconds_count",
        "autoglm_alert_to_verified_seconds_count",
    ):
        assert line in text


def test_the_watchdog_is_heard_and_opens_nothing(watching):
    always = alert(None, start=now(), alertname="Watchdog")
    del always["labels"]["failure_class"]
    before = len(watching.client.get(f"{watching.url}/api/v1/incidents").json()["incidents"])
    sent = datetime.now(UTC).timestamp()
    for _ in range(2):  # the second delivery is no news, and proves the way here all the same
        assert watching.post(payload(always)).status_code == 200
    text = watching.client.get(f"{watching.url}/metrics").text
    (line,) = (line for line in text.splitlines() if line.startswith("autoglm_watchdog_seen_timestamp_seconds "))
    assert float(line.split()[1]) >= sent
    assert len(watching.client.get(f"{watching.url}/api/v1/incidents").json()["incidents"]) == before
    until(
        "the alert to be set aside",
        lambda: any(
            found["labels"]["alertname"] == "Watchdog"
            for found in watching.client.get(f"{watching.url}/api/v1/alerts?outcome=ignored").json()["alerts"]
        ),
    )
