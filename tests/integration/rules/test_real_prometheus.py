# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus with the rendered configuration scrapes engines that are dead, full or slow, and hosts that go."""

from __future__ import annotations

import contextlib

import pytest

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.observe.presence_watch import PresenceWatch
from autoglm_recovery.receiver.values.clock import wall
from tests.integration.rules.running import Prometheus
from tests.support.fake_vllm import FakeVllm, Rank, State
from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.support.servers.waiting import until

HUNG, FULL, SLOW, DYING, LEAVING = "hung", "full", "slow", "dying", "leaving"
# As on servers of which users have told: an engine core that is dead behind an API that answers, one that is full and
# healthy, and one whose API process is so busy that each of its pages takes three seconds.
ENGINES = {
    HUNG: State([Rank(running=0, waiting=3)]),
    FULL: State([Rank(running=256, waiting=100, rate=4000.0, cache=0.97)], delay=0.2),
    SLOW: State([Rank(running=256, waiting=100, rate=4000.0, cache=0.97)], delay=3.0),
    DYING: State([Rank()]),
    LEAVING: State([Rank()]),
}


def fake_node(asked: Asked) -> Reply:
    """A node_exporter that tells no more than that its host is there: of it, the rules here need ``up`` alone."""
    if asked.path != "/metrics":
        return Reply(404)
    page = b"# TYPE node_load1 gauge\nnode_load1 0.5\n"
    return Reply(200, page, {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


@pytest.fixture
def fleet(tmp_path):
    """Return Prometheus, what ends each host, and the addresses of engines and nodes."""
    hosts: dict[str, contextlib.ExitStack] = {}
    engines, nodes = {}, {}
    with contextlib.ExitStack() as all_of_them:
        for host, state in ENGINES.items():
            hosts[host] = all_of_them.enter_context(contextlib.ExitStack())
            engines[host] = hosts[host].enter_context(FakeVllm(state).serving()).url.removeprefix("http://")
            nodes[host] = hosts[host].enter_context(answering_http(fake_node)).url.removeprefix("http://")
        prometheus = Prometheus(tmp_path)
        prometheus.targets("inference", engines)
        prometheus.targets("node", nodes)
        prometheus.start()
        all_of_them.callback(prometheus.stop)
        yield prometheus, hosts, engines, nodes


def test_dead_engines_hosts_and_targets_are_found_and_busy_engines_left_alone(fleet):
    prometheus, hosts, engines, nodes = fleet
    until("the dead engine core", lambda: ("InferenceStalled", HUNG) in prometheus.firing())
    # The slow one has been asked three times with patience by then, and each heartbeat of it was lost.
    looks = f'sum_over_time(up{{job="inference_slow", host="{SLOW}"}}[5m]) >= 3'
    until("three patient looks", lambda: prometheus.ask(looks))
    assert prometheus.ask(f'max_over_time(up{{job="inference", host="{SLOW}"}}[5m]) == 0')
    assert prometheus.ask(f'autoglm:service_up{{host="{SLOW}"}} == 1')

    watch = _watch(prometheus)
    watch.worker.attempt()
    heard = {host: watch.now.of(host, "llama", wall()).word for host in [*ENGINES, "elsewhere"]}
    assert heard == {**dict.fromkeys(ENGINES, "heard"), "elsewhere": "unknown"}

    hosts[DYING].close()
    until("the dead host", lambda: ("NodeDown", DYING) in prometheus.firing())
    watch.worker.attempt()
    presence = watch.now.of(DYING, None, wall())
    assert presence.word == "silent"
    assert presence.at is not None

    for job, addresses in (("inference", engines), ("node", nodes)):
        prometheus.targets(job, {host: address for host, address in addresses.items() if host != LEAVING})
    until(
        "the loss of a target",
        lambda: prometheus.ask(f'count(up{{host!="{LEAVING}"}}) unless on () up{{host="{LEAVING}"}}'),
    )
    watch.worker.attempt()
    assert watch.now.of(LEAVING, None, wall()).word == "unknown"
    pending = f'ALERTS{{alertname="HostVanished", host="{LEAVING}"}}'
    until("what has vanished to be noticed", lambda: prometheus.ask(pending))

    # Of what was full or slow nothing has ever fired.
    ever = f'count_over_time(ALERTS{{alertstate="firing", host=~"{FULL}|{SLOW}"}}[10m])'
    assert prometheus.ask(ever) == []
    assert prometheus.firing() >= {("InferenceStalled", HUNG), ("NodeDown", DYING)}
    # A host that does not answer is not called anything else.
    assert {alert for alert, host in prometheus.firing() if host == DYING} == {"NodeDown"}

    prometheus.stop()
    watch.worker.attempt()
    later = wall() + 3600
    assert watch.now.of(FULL, "llama", later).word == "unknown"
    prometheus.start()


def _watch(prometheus: Prometheus) -> PresenceWatch:
    """Return what asks this Prometheus who is heard of."""
    policy = parse_policy(f"monitoring: {{prometheus: {{url: 'http://127.0.0.1:{prometheus.port}'}}}}")
    services = (InferenceService("llama", "chat"),)
    fleet = Fleet({host: Host(host, services=services) for host in [*ENGINES, "elsewhere"]})
    return PresenceWatch(lambda: SiteConfig(policy, fleet, frozenset(), prometheus.directory))
