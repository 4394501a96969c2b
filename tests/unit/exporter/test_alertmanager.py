# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender of fast alerts, with an Alertmanager whose answers a test decides."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from email.message import Message
from typing import Any

import pytest

from autoglm_recovery.exporter import alertmanager
from autoglm_recovery.exporter.alertmanager import MOST, AlertSender, FastAlert
from autoglm_recovery.exporter.alerts import alert_of, labels_of
from tests.support.servers.authority import Authority
from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.support.servers.waiting import until


class FakeAlertmanager:
    """Answers POSTs with what ``status`` says, and keeps what came.  What the API's schema refuses it refuses as well.

    api/v2/openapi.yaml (postableAlerts), api/v2/api.go (postAlertsHandler) of Alertmanager 0.34.  See tests/FAKES.md.
    """

    def __init__(self) -> None:
        self.url = ""
        self.status: Callable[[list[Any]], int] = lambda _alerts: 200
        self.date: str | None = None
        self.came: list[list[dict[str, Any]]] = []
        self.headers: list[Message] = []
        self.changed = threading.Condition()

    def __call__(self, asked: Asked) -> Reply:
        date = {"Date": self.date} if self.date else {}
        if (asked.method, asked.path) == ("GET", "/api/v2/status"):
            return Reply(200, b"{}", {"Content-Type": "application/json", **date})
        if (asked.method, asked.path) != ("POST", "/api/v2/alerts"):
            return Reply(404, headers=date)
        if asked.headers["Content-Type"] != "application/json":
            return Reply(415, headers=date)
        alerts = asked.json()
        if refused := _why_not(alerts):
            return Reply(422, refused.encode(), date)
        # Kept before it is answered: whoever sees the answer counted finds what came.
        with self.changed:
            self.came.append(alerts)
            self.headers.append(asked.headers)
            self.changed.notify_all()
        return Reply(self.status(alerts), headers=date)

    def wait(self, number: int) -> None:
        """Until so many requests came."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.came) >= number, 180), self.came


def _why_not(alerts: list[Any]) -> str:
    for each in alerts:
        if not isinstance(each.get("labels"), dict) or not all(isinstance(v, str) for v in each["labels"].values()):
            return "labels in body is required"
        for moment in (each["startsAt"], each["endsAt"]):
            if datetime.fromisoformat(moment).tzinfo is None:
                return "startsAt in body must be of type date-time"
    return ""


@pytest.fixture
def fake() -> Iterator[FakeAlertmanager]:
    made = FakeAlertmanager()
    with answering_http(made) as server:
        made.url = server.url
        yield made


@pytest.fixture
def sender(fake: FakeAlertmanager) -> Iterator[AlertSender]:
    made = AlertSender(fake.url, headers=lambda: {"Authorization": "Bearer secret"})
    yield made
    made.stop()


def alert(xid: str = "48", *, lasts: float = 180.0, starts: float | None = None) -> FastAlert:
    begun = time.time() if starts is None else starts
    return FastAlert({"alertname": "GPUKernelFault", "xid": xid}, {"summary": "x"}, begun, begun + lasts)


def test_an_alert_is_sent_with_the_token(fake: FakeAlertmanager, sender: AlertSender) -> None:
    sender.start()
    sender.put(alert())
    fake.wait(1)
    assert fake.came[0][0]["labels"] == {"alertname": "GPUKernelFault", "xid": "48"}
    assert fake.headers[0]["Authorization"] == "Bearer secret"
    until("the alert to be sent", lambda: sender.counts.sent == 1 and sender.pending == 0)


def test_it_is_tried_again_and_only_the_newest_state_is_sent(
    fake: FakeAlertmanager, sender: AlertSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertmanager, "_FIRST_PAUSE", 0.01)
    # The first state is refused whenever it comes: a request may be under way while the newer state is put.
    fake.status = lambda alerts: 200 if alerts[0]["endsAt"] > fake.came[0][0]["endsAt"] else 503
    first = alert()
    sender.put(first)
    sender.start()
    fake.wait(3)
    newer = alert(lasts=500)
    sender.put(newer)
    until("the alert to be sent", lambda: sender.counts.sent)
    (sent,) = fake.came[-1]
    assert sent["endsAt"] > fake.came[0][0]["endsAt"]
    assert sent["startsAt"] == fake.came[0][0]["startsAt"]
    assert sender.counts.failed >= 3


def test_an_alert_that_is_refused_does_not_hold_up_others(fake: FakeAlertmanager, sender: AlertSender) -> None:
    fake.status = lambda alerts: 400 if any(one["labels"]["xid"] == "bad" for one in alerts) else 200
    for xid in ("48", "bad", "79"):
        sender.put(alert(xid))
    sender.start()
    until("the alerts to be sent and refused", lambda: (sender.counts.sent, sender.counts.refused) == (2, 1))
    assert sender.pending == 0


def test_memory_is_bounded_and_the_oldest_goes(sender: AlertSender) -> None:
    for number in range(MOST + 3):
        sender.put(alert(str(number)))
    assert (sender.pending, sender.counts.dropped) == (MOST, 3)
    for _again in range(10):
        sender.put(alert(str(MOST)))
    assert (sender.pending, sender.counts.dropped) == (MOST, 3)


def test_what_is_over_before_it_could_be_sent_is_dropped(fake: FakeAlertmanager, sender: AlertSender) -> None:
    sender.put(alert("old", starts=time.time() - 500))
    sender.put(alert("new"))
    sender.start()
    fake.wait(1)
    assert [one["labels"]["xid"] for one in fake.came[0]] == ["new"]
    until("the alert to be dropped", lambda: sender.counts.dropped == 1)


def test_a_burst_is_not_sent_line_by_line(fake: FakeAlertmanager, sender: AlertSender) -> None:
    sender.start()
    sender.put(alert())
    until("the alert to be sent", lambda: sender.counts.sent == 1)
    for _line in range(200):
        sender.put(alert())
    assert sender.counts.sent == 1
    assert len(fake.came) == 1


def test_a_sent_alert_is_renewed(fake: FakeAlertmanager, sender: AlertSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "_RENEWED_EVERY", 0.05)
    sender.start()
    sender.put(alert())
    fake.wait(3)
    assert fake.came[0] == fake.came[2]


def test_a_node_whose_clock_is_behind_still_raises_alerts(fake: FakeAlertmanager, sender: AlertSender) -> None:
    fake.date = "Sun, 01 Jan 2040 00:00:00 GMT"
    sender.start()
    until("the other clock to be known", lambda: sender._skew)
    sender.put(alert())
    fake.wait(1)
    assert fake.came[0][0]["endsAt"] > "2040-01-01T00:02"


def test_nobody_waits_for_alertmanager() -> None:
    silent = AlertSender("http://127.0.0.1:9")
    silent.start()
    for number in range(100):
        silent.put(alert(str(number)))
    assert silent.pending == 100
    silent.stop()


def test_labels_of_ours_are_never_overwritten_and_empty_ones_are_left_out() -> None:
    fault = {"kind": "xid", "xid": "79", "gpu": "0000:3b:00", "mig_gi": "1", "failure_class": "gpu_lost", "pool": ""}
    kernel_alert = alert_of(fault)
    assert kernel_alert is not None
    assert labels_of(kernel_alert, "n", fault, {"cluster": "blue", "gpu": "mine"}) == {
        "alertname": "GPUFellOffBus",
        "failure_class": "gpu_lost",
        "severity": "critical",
        "nature": "event",
        "host": "n",
        "kind": "xid",
        "xid": "79",
        "gpu": "0000:3b:00",
        "cluster": "blue",
    }


@pytest.mark.parametrize("fault", [{}, {"failure_class": "crash"}, {"failure_class": "oom", "kind": "oom_kill"}])
def test_some_faults_raise_no_alert(fault: dict[str, str]) -> None:
    assert alert_of(fault) is None


def test_an_alertmanager_of_an_own_authority_is_trusted_by_that_alone(tmp_path) -> None:
    authority = Authority(tmp_path, "authority")
    pair = authority.sign("alertmanager")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(pair.certificate, pair.key)
    fake = FakeAlertmanager()
    with answering_http(fake, tls=serving) as server:
        stranger = AlertSender(server.url)
        trusted = AlertSender(server.url, authorities=ssl.create_default_context(cafile=authority.certificate))
        for sender in (stranger, trusted):
            sender.start()
            sender.put(FastAlert({"alertname": "x"}, {}, time.time(), time.time() + 60))
        fake.wait(1)
        until("the other one to have failed", lambda: stranger.counts.failed)
        for sender in (stranger, trusted):
            sender.stop()
    assert (stranger.counts.sent, trusted.counts.sent) == (0, 1)
