# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus scrapes comes from the inventory, with the labels by which alerts find their host and service."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from autoglm_recovery.rules.targets import ScrapeTarget, targets_of

URL = "https://receiver.example.org:9470/api/v1/alerts"


def inference(service: dict[str, Any], **host: Any) -> ScrapeTarget | str:
    """Return the target of a host's only service, or why there is none."""
    targets = targets_of({"node-a": {"autoglm_services": [{"name": "llama", **service}], **host}}, URL)
    return targets.jobs["inference"][0] if targets.jobs["inference"] else targets.left_out[0]


@pytest.mark.parametrize(
    ("url", "host", "address"),
    [
        ("http://127.0.0.1:8080", {"ansible_host": "192.0.2.11"}, "192.0.2.11:8080"),
        ("http://localhost:8080/", {}, "node-a:8080"),
        ("http://0.0.0.0:8080", {"ansible_host": "2001:db8::1"}, "[2001:db8::1]:8080"),
        ("http://[::1]:8080", {"ansible_host": "192.0.2.11"}, "192.0.2.11:8080"),
        ("http://10.0.0.7", {"ansible_host": "192.0.2.11"}, "10.0.0.7:80"),
        ("https://llm.example.org", {}, "llm.example.org:443"),
    ],
)
def test_an_address_that_only_the_host_has_becomes_the_host_s(url: str, host: dict[str, Any], address: str) -> None:
    found = inference({"url": url, "engine": "vllm"}, **host)
    assert isinstance(found, ScrapeTarget)
    assert found.address == address
    assert found.labels.get("__scheme__") == ("https" if url.startswith("https") else None)


@pytest.mark.parametrize(
    ("service", "address", "path"),
    [
        ({"engine": "vllm"}, "node-a:8000", None),
        ({"engine": "tensorrt_llm"}, "node-a:8000", "/prometheus/metrics"),
        ({"engine": "triton"}, "node-a:8002", None),
        ({"engine": "triton", "engine_options": {"metrics_url": "http://127.0.0.1:9002"}}, "node-a:9002", None),
        ({"engine": "generic", "engine_options": {"metrics_path": "/stats"}}, "node-a:8000", "/stats"),
        ({"engine": "vllm", "url": "http://127.0.0.1:8000/llm/"}, "node-a:8000", "/llm/metrics"),
    ],
)
def test_engines_have_their_metrics_where_their_adapters_ask(
    service: dict[str, Any], address: str, path: str | None
) -> None:
    found = inference({"url": "http://127.0.0.1:8000", **service})
    assert isinstance(found, ScrapeTarget)
    assert (found.address, found.labels.get("__metrics_path__")) == (address, path)


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ({"engine": "ollama", "url": "http://127.0.0.1:11434"}, "Ollama has no metrics"),
        ({"engine": "generic", "url": "http://127.0.0.1:80"}, "metrics_path"),
        ({"engine": "vllm"}, "it has no url"),
        ({"engine": "vllm", "url": "http://127.0.0.1:99999"}, "cannot be used"),
        ({"engine": "vllm", "url": "unix:/run/x"}, "it has no url"),
    ],
)
def test_what_has_no_page_is_left_out_and_said(service: dict[str, Any], why: str) -> None:
    """A page that cannot answer would be an alert for ever."""
    found = inference(service)
    assert isinstance(found, str)
    assert found.startswith("llama on node-a: ")
    assert why in found


def test_the_files_are_as_documented() -> None:
    service = {"name": "llama", "pool": "chat", "unit": "llama.service", "url": "http://127.0.0.1:80", "engine": "vllm"}
    hosts = {"node-a": {"ansible_host": "192.0.2.11", "autoglm_services": [service]}, "balancer": {}}
    files = {name: yaml.safe_load(text) for name, text in targets_of(hosts, URL).files().items()}
    labels = {"host": "node-a", "service": "llama", "pool": "chat", "unit": "llama.service"}
    assert files == {
        "node.yml": [{"targets": ["192.0.2.11:9100"], "labels": {"host": "node-a"}}],
        "inference.yml": [{"targets": ["192.0.2.11:80"], "labels": labels}],
        "autoglm.yml": [{"targets": ["192.0.2.11:9471"], "labels": {"host": "node-a"}}],
        "receiver.yml": [{"targets": ["receiver.example.org:9470"], "labels": {}}],
        "autoglm_haproxy.yml": [],
        "blackbox.yml": [
            {
                "targets": ["http://192.0.2.11:80/health"],
                "labels": {"replica_host": "node-a", "replica_service": "llama"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("service", "asked"),
    [
        ({"engine": "ollama", "url": "http://127.0.0.1:11434"}, ["http://node-a:11434/api/version"]),
        ({"engine": "triton", "url": "http://127.0.0.1:8000"}, ["http://node-a:8000/v2/health/live"]),
        (
            {"engine": "generic", "url": "https://llm.example.org/a/", "engine_options": {"live_path": "/up"}},
            ["https://llm.example.org:443/a/up"],
        ),
        ({"engine": "vllm"}, []),
        ({"engine": "vllm", "url": "http://127.0.0.1:99999"}, []),
    ],
)
def test_a_prober_asks_each_service_where_it_says_that_it_lives(service: dict[str, Any], asked: list[str]) -> None:
    targets = targets_of({"node-a": {"autoglm_services": [{"name": "llama", **service}]}}, URL)
    assert [target.address for target in targets.jobs["blackbox"]] == asked


def haproxies(balancer: dict[str, Any], **service: Any) -> tuple[list[ScrapeTarget], tuple[str, ...]]:
    """Return the targets behind a balancer, and what was left out of them."""
    one = {"name": "llama", "pool": "chat", "engine": "vllm", "url": "http://127.0.0.1:80", **service}
    pools = {"chat": {"balancers": [{"kind": "haproxy", "backend": "llm", **balancer}]}}
    hosts = {
        "node-a": {"ansible_host": "192.0.2.11", "autoglm_services": [one], "autoglm_pools": pools},
        "ops": {"ansible_host": "192.0.2.1"},
    }
    found = targets_of(hosts, URL)
    return list(found.jobs["autoglm_haproxy"]), found.left_out


@pytest.mark.parametrize(
    ("balancer", "service", "address", "server"),
    [
        ({"host": "ops", "metrics_url": "http://127.0.0.1:8405/metrics"}, {}, "192.0.2.1:8405", "node-a"),
        ({"metrics_url": "http://127.0.0.1:8405"}, {"server": "s1"}, "192.0.2.11:8405", "s1"),
        ({"metrics_url": "http://lb.example.org/metrics", "server": "s2"}, {"server": "s1"}, "lb.example.org:80", "s2"),
    ],
)
def test_a_haproxy_is_asked_for_each_replica_behind_it(
    balancer: dict[str, Any], service: dict[str, Any], address: str, server: str
) -> None:
    (target,), left_out = haproxies(balancer, **service)
    assert target.address == address
    assert target.labels == {
        "replica_proxy": "llm", "replica_server": server, "replica_host": "node-a", "replica_service": "llama"
    }  # fmt: skip
    assert not left_out


def test_where_a_haproxy_has_its_page_is_its_own() -> None:
    (target,), _ = haproxies({"metrics_url": "https://lb.example.org:8405/haproxy"})
    assert (target.labels["__scheme__"], target.labels["__metrics_path__"]) == ("https", "/haproxy")


@pytest.mark.parametrize(
    ("balancer", "why"),
    [
        ({}, "it has no metrics_url; nobody is told"),
        ({"metrics_url": "lb:8405"}, "is no address"),
        ({"metrics_url": "http://{{ lb }}:8405"}, "its metrics_url"),
        ({"metrics_url": "http://lb", "server": "{{ inventory_hostname }}"}, "is a template"),
    ],
)
def test_a_haproxy_that_cannot_be_asked_is_said(balancer: dict[str, Any], why: str) -> None:
    targets, left_out = haproxies(balancer)
    assert not targets
    assert why in "".join(left_out)


def test_other_balancers_have_no_such_page() -> None:
    assert haproxies({"kind": "nginx"}) == ([], ())
