# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real receiver refuses alerts: somebody hears of each kind once, also over a kill, and Prometheus can count them."""

from __future__ import annotations

from tests.integration.receiver.running import alert, now, payload, serving
from tests.support.servers.fake_pager import FakePager
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until


def refused(name: str, namespace: str) -> dict:
    """Return an alert of kube-state-metrics about a pod."""
    of_pod = {"job": "kube-state-metrics", "instance": "10.42.0.9:8080", "namespace": namespace}
    return alert(None, start=now(), alertname=name, failure_class="crash", **of_pod)


def figures(receiver) -> dict[str, float]:
    """Return how many alerts were refused by reason, as Prometheus reads it."""
    lines = receiver.client.get(f"{receiver.url}/metrics").text.splitlines()
    counted = (line.split(" ") for line in lines if line.startswith("autoglm_alerts_refused_total{"))
    return {name.split('"')[1]: float(value) for name, value in counted}


def test_each_kind_of_refusal_is_told_of_once_and_each_alert_is_counted(tmp_path):
    port = free_port()
    pager = FakePager(port)
    policy = f"notify: ['json://127.0.0.1:{port}/']"
    try:
        with serving(tmp_path, policy=policy) as receiver:
            assert set(figures(receiver).values()) == {0}
            receiver.post(payload(refused("KubePodCrashLooping", "shop"), refused("KubePodCrashLooping", "blog")))
            until("the first notice", lambda: len(pager.received) == 1)
            assert pager.received[0]["title"] == (
                "[autoglm] alert refused: KubePodCrashLooping, nothing is done about it"
            )
            assert "Would be accepted: add a label host" in pager.received[0]["message"]
            receiver.kill()
            receiver.start()
            # Another kind after one that is known: when its notice is there, the other had its time.
            receiver.post(payload(refused("KubePodCrashLooping", "wiki"), refused("KubePodNotReady", "shop")))
            receiver.post(payload({"status": "firing", "labels": {"gpu": 0}}))
            until("the other notices", lambda: len(pager.received) == 3)
            titles = [notice["title"] for notice in pager.received]
            assert len(set(titles)) == 3
            assert any("what cannot be read as an alert" in title for title in titles)
            until("all to be counted", lambda: figures(receiver)["messenger_only"] == 2)
            assert figures(receiver)["unreadable"] == 1
            page = receiver.client.get(f"{receiver.url}/refused").text
            assert "3 times" in page
            assert not receiver.incidents()
    finally:
        pager.close()
