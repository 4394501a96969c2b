# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers tell becomes hosts: what nobody tells is unknown, and no name or value of others is more than data."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.answers import VectorSample
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.asking import Jobs, Telling
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.hosts import (
    VARIABLES,
    HostsTold,
    Told,
    hosts_told,
)

NOW = 1_800_000_000.0
CHAT = {"job": "inference", "service": "llama", "pool": "chat"}


def target(host: str, url: str = "http://192.0.2.1:9100/metrics", **labels: str) -> dict[str, Any]:
    """Return one target as it is kept of Prometheus' answer."""
    return {"labels": {"job": "node", "instance": "x:1", "host": host, **labels}, "url": url}


def up(host: str, answered: bool = True, ago: float = 1.0, **labels: str) -> VectorSample:
    """Return one element of the answer to who has answered a scrape."""
    at = NOW - ago
    labels = {"job": "node", "instance": "x:1", "host": host, **labels}
    return VectorSample(labels, at if answered else -at, NOW)


def metric(name: str, host: str, value: float = 1.0, /, **labels: str) -> VectorSample:
    """Return one sample of our exporter."""
    return VectorSample({"__name__": name, "job": "autoglm", "host": host, **labels}, value, NOW)


def told(*tellings: Told, host_labels: tuple[str, ...] = ("host",)) -> HostsTold:
    """Return what is read of tellings."""
    return hosts_told(tellings, Jobs(), host_labels)


def node_a(
    targets: list[dict[str, Any]], ups: list[VectorSample] = (), metrics: list[VectorSample] = (), old: str = ""
) -> Any:
    """Return the variables of node-a."""
    return told(Told(Telling(tuple(targets), tuple(ups), tuple(metrics)), old)).hosts["node-a"]


def test_a_host_of_which_nothing_is_told_is_unknown() -> None:
    known = node_a([target("node-a")])
    assert (known["autoglm_presence"], known["autoglm_presence_reason"]) == (
        "unknown",
        "Prometheus has not asked it yet",
    )
    assert (known["autoglm_verdict"], known["autoglm_at_work"]) == ("unknown", None)
    assert "autoglm_quarantined" not in known
    assert set(known) <= set(VARIABLES)


@pytest.mark.parametrize(
    ("ups", "word"),
    [
        ([up("node-a")], "heard"),
        ([up("node-a", answered=False)], "silent"),
        ([up("node-a", answered=False), up("node-a", instance="y", job="autoglm")], "heard"),
        ([up("node-a", ago=121)], "unknown"),
        ([up("node-b")], "unknown"),
    ],
)
def test_presence(ups: list[VectorSample], word: str) -> None:
    assert node_a([target("node-a")], ups)["autoglm_presence"] == word


@pytest.mark.parametrize(
    ("told_of", "verdict"),
    [
        ({"healthy": 1.0, "unhealthy": 0.0}, "healthy"),
        ({"healthy": 1.0, "unhealthy": 1.0}, "unhealthy"),
        ({"healthy": 1.0, "unknown": 1.0}, "unknown"),
        ({"splendid": 1.0}, "unknown"),
        ({"healthy": 0.0}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_verdict_is_healthy_only_where_nothing_else_is_said(told_of: dict[str, float], verdict: str) -> None:
    of_host = [metric("autoglm_host_verdict", "node-a", value, verdict=word) for word, value in told_of.items()]
    of_gpu = [metric("autoglm_gpu_verdict", "node-a", value, gpu="0", verdict=word) for word, value in told_of.items()]
    known = node_a(
        [target("node-a")], [], [*of_host, *of_gpu, metric("autoglm_gpu_info", "node-a", gpu="0", name="H200")]
    )
    assert known["autoglm_verdict"] == verdict
    assert [gpu["verdict"] for gpu in known["autoglm_gpus"]] == [verdict]


def test_a_replica_is_out_of_traffic_by_its_note_and_in_it_only_where_all_notes_are_read() -> None:
    def taken_out(*metrics: VectorSample) -> Any:
        return node_a([target("node-a", **CHAT)], [], list(metrics))["autoglm_replicas"][0]["taken_out"]

    assert taken_out() is None
    assert taken_out(metric("autoglm_taken_out_readable", "node-a", 0.0)) is None
    assert taken_out(metric("autoglm_taken_out_readable", "node-a")) is False
    note = metric("autoglm_service_taken_out_timestamp_seconds", "node-a", NOW, service="llama")
    assert taken_out(note) is True


def test_a_host_is_under_quarantine_by_the_mark_on_it_and_out_of_it_only_where_the_mark_can_be_looked_for() -> None:
    def told(*metrics: VectorSample, old: str = "", **labels: str) -> tuple[Any, Any]:
        found = node_a([target("node-a", **labels)], [], list(metrics), old=old)
        return found.get("autoglm_quarantined"), found.get("autoglm_quarantine_reason")

    readable = metric("autoglm_taken_out_readable", "node-a")
    mark = metric("autoglm_quarantined_timestamp_seconds", "node-a", NOW, by="alice", reason="Xid 79")
    assert told() == told(metric("autoglm_taken_out_readable", "node-a", 0.0)) == (None, None)
    assert told(readable) == (False, "")
    assert told(readable, mark) == told(mark, quarantined="false") == (True, "Xid 79")
    assert told(readable, quarantined="yes") == (True, "")
    assert told(mark, old="of yesterday") == (True, "Xid 79")


def test_an_old_answer_tells_what_there_is_and_not_how_it_stands() -> None:
    metrics = [metric("autoglm_gpu_info", "node-a", gpu="0", name="H200")]
    metrics += [metric("autoglm_gpu_verdict", "node-a", gpu="0", verdict="healthy")]
    metrics += [
        metric("autoglm_host_verdict", "node-a", verdict="healthy"),
        metric("autoglm_taken_out_readable", "node-a"),
    ]
    targets = [target("node-a", role="primary", quarantined="yes"), target("node-a", **CHAT)]
    ups = [up("node-a"), up("node-a", **CHAT)]
    fresh, old = node_a(targets, ups, metrics), node_a(targets, ups, metrics, old="of yesterday")
    assert (fresh["autoglm_presence"], fresh["autoglm_verdict"]) == ("heard", "healthy")
    assert (old["autoglm_presence"], old["autoglm_verdict"]) == ("unknown", "unknown")
    assert old["autoglm_presence_reason"] == old["autoglm_verdict_reason"] == "of yesterday"
    assert (old["autoglm_gpus"][0]["name"], old["autoglm_gpus"][0]["verdict"]) == ("H200", "unknown")
    assert (old["autoglm_replicas"][0]["presence"], old["autoglm_replicas"][0]["taken_out"]) == ("unknown", None)
    assert (old["autoglm_pool_names"], old["autoglm_roles"], old["autoglm_quarantined"]) == (
        ["chat"],
        ["primary"],
        True,
    )


def test_what_several_servers_tell_is_taken_together() -> None:
    one = Telling(
        (target("node-a"),),
        (up("node-a", answered=False),),
        (metric("autoglm_host_verdict", "node-a", verdict="healthy"),),
    )
    other = Telling(
        (target("node-a"), target("node-b")),
        (up("node-a"),),
        (metric("autoglm_host_verdict", "node-a", verdict="unhealthy"),),
    )
    hosts = told(Told(one), Told(other)).hosts
    assert list(hosts) == ["node-a", "node-b"]
    assert (hosts["node-a"]["autoglm_presence"], hosts["node-a"]["autoglm_verdict"]) == ("heard", "unhealthy")


def test_a_server_speaks_only_of_hosts_that_it_has_targets_of() -> None:
    metrics = (metric("autoglm_host_verdict", "node-a", verdict="healthy"),)
    found = told(
        Told(Telling((target("node-a"),), (), ())), Told(Telling((target("node-b"),), (up("node-a"),), metrics))
    )
    assert (found.hosts["node-a"]["autoglm_presence"], found.hosts["node-a"]["autoglm_verdict"]) == ("unknown",) * 2


@pytest.mark.parametrize("host_labels", [("host",), ("host", "instance")])
def test_a_page_speaks_of_no_host_but_its_targets_even_where_the_target_lacks_the_label(
    host_labels: tuple[str, ...],
) -> None:
    scraped = {"job": "autoglm", "instance": "node-b:9471"}
    lie = metric("autoglm_host_verdict", "node-a", verdict="healthy", **scraped)
    of_a, of_b = target("node-a", job="autoglm", instance="node-a:9471"), target("", **scraped)
    honest = metric("autoglm_host_verdict", "node-a", verdict="healthy", **of_a["labels"])

    def verdict(*metrics: VectorSample) -> str:
        found = told(Told(Telling((of_a, of_b), (), metrics)), host_labels=host_labels)
        return str(found.hosts["node-a"]["autoglm_verdict"])

    assert (verdict(lie), verdict(honest)) == ("unknown", "healthy")


@pytest.mark.parametrize(
    "name", ["a,b", "a:b", "~a", "!a", "*", "../x", "..", "{{ x }}", "a b", "a\nb", "[a]", "@a", "-a", "é"]
)
def test_what_is_no_exact_name_is_left_out_and_told_as_one_line(name: str) -> None:
    found = told(Told(Telling((target(name), target("node-a")), (), ())))
    assert list(found.hosts) == ["node-a"]
    (warning,) = found.warnings
    assert "is no exact name of one host" in warning
    assert warning.isprintable()


def test_targets_that_name_no_host_are_counted() -> None:
    found = told(Told(Telling((target(""), target(""), target("node-a")), (), ())))
    jobs = "node, inference, inference_slow, autoglm"
    assert found.warnings == (f"2 targets of the jobs {jobs} have none of the labels host: they are nobody's",)


@pytest.mark.parametrize(
    ("instance", "name"), [("node-a:9100", "node-a"), ("node-a", "node-a"), ("[fd00::2]:9100", "fd00::2")]
)
def test_an_instance_names_its_host_without_the_port(instance: str, name: str) -> None:
    found = told(Told(Telling((target("", instance=instance),), (), ())), host_labels=("host", "instance"))
    assert list(found.hosts) == [name]


def test_what_targets_contradict_each_other_about_counts_for_none() -> None:
    targets = (target("node-a", **CHAT), target("node-a", **{**CHAT, "pool": "other"}))
    addresses = (target("node-a", "http://192.0.2.1:9100/"), target("node-a", "http://192.0.2.66:9100/"))
    found = told(Told(Telling((*targets, *addresses), (), ())))
    (replica,) = found.hosts["node-a"]["autoglm_replicas"]
    assert replica["pool"] == ""
    assert "autoglm_address" not in found.hosts["node-a"]
    assert [("several pools" in each, "several addresses" in each) for each in found.warnings] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://[fd00::2]:9100/x", "fd00::2"),
        ("http://gpu-1.example:9100", "gpu-1.example"),
        ("http://{{x}}/", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_an_address_is_one_or_none(url: str, address: str | None) -> None:
    assert node_a([target("node-a", url)]).get("autoglm_address") == address


@pytest.mark.parametrize(
    ("said", "quarantined"), [("true", True), ("false", False), ("False", False), ("no", False), ("who knows", True)]
)
def test_a_label_that_is_not_understood_keeps_a_host_out(said: str, quarantined: bool) -> None:
    assert node_a([target("node-a", quarantined=said)])["autoglm_quarantined"] is quarantined
