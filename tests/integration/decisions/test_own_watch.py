# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver whose Prometheus and Alertmanager are stopped for real tells people once, also when it is killed."""

from __future__ import annotations

import pytest

from tests.integration.exporter.running import Alertmanager, Running
from tests.integration.receiver.running import payload, serving
from tests.support.servers.fake_pager import FakePager
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

DEADLINE_S = 240


class Prometheus(Running):
    """A real one that scrapes nothing."""

    def __init__(self, directory) -> None:
        directory.mkdir()
        (directory / "prometheus.yml").write_text("scrape_configs: []\n")
        port = free_port()
        address = f"--web.listen-address=127.0.0.1:{port}"
        command = [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data", address]
        super().__init__(command, directory, port)


@pytest.fixture
def web():
    made = FakePager()
    yield made
    made.close()


@pytest.fixture
def others(tmp_path):
    """Return a Prometheus and an Alertmanager."""
    made = [Prometheus(tmp_path / "prometheus"), Alertmanager(tmp_path / "alertmanager")]
    for each in made:
        each.start()
    yield made
    for each in made:
        if each.process is not None:
            each.stop()


def test_people_are_told_once_and_again_when_it_is_over_though_the_receiver_is_killed(tmp_path, web, others):
    prometheus, alertmanager = others
    policy = f"""
monitoring:
  prometheus: {{url: 'http://127.0.0.1:{prometheus.port}', every: 1s, timeout: 5s}}
  receiver: {{watchdog: 20s, grace: 3s, unreachable: 3s}}
guardrails: {{silences: {{alertmanager: '{alertmanager.url}', every: 1s, timeout: 5s}}}}
notify: ['{web.url}']
"""
    watchdog = {"alertname": "Watchdog"}
    alert = {"status": "firing", "labels": watchdog, "annotations": {}, "startsAt": "2026-11-22T20:00:00Z"}

    def told() -> list[str]:
        """Return what people were told, without the receiver's name, which is made up at its first start."""
        return sorted(each["title"].split("receiver ")[1].split(maxsplit=1)[-1].lstrip() for each in web.received)

    def is_told(*words: str) -> bool:
        return told() == sorted(words)

    (tmp_path / "receiver").mkdir()
    with serving(tmp_path / "receiver", policy=policy) as receiver:
        until("that no Watchdog was ever heard", lambda: is_told("needs you: watchdog"))
        prometheus.stop()
        alertmanager.stop()
        wrong = [f"needs you: {name}" for name in ("watchdog", "prometheus", "alertmanager")]
        until("that both are away", lambda: is_told(*wrong))
        receiver.kill()
        receiver.start()
        prometheus.start()
        alertmanager.start()
        over = [f"{name} is well again" for name in ("watchdog", "prometheus", "alertmanager")]

        def all_over() -> bool:
            assert receiver.post(payload(alert)).status_code == 200
            return is_told(*wrong, *over)

        # Not at every moment: each look posts, and a busy receiver would be kept from asking whether they are well.
        until("that all is well again", all_over, every=0.5)
