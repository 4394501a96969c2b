# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of what a real Prometheus scrapes: pages of our exporter on loopback, hostile names among them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autoglm.recovery.plugins.inventory.fleet import EXAMPLES

from autoglm_recovery.exporter.gpu_metrics import GpuView, HostView, gpu_metrics
from autoglm_recovery.exporter.http import page
from autoglm_recovery.exporter.memory import KnownGpu
from autoglm_recovery.exporter.services import NodeService
from autoglm_recovery.exporter.traffic import Traffic, traffic_metrics
from autoglm_recovery.receiver.fleet.fleet import fleet_from
from tests.integration.prometheus_inventory.running import GuardedPrometheus, inventory, listed, run, unmarked, write
from tests.support.servers.http_answers import Asked, Reply, answering_http
from tests.support.servers.waiting import until

TEMPLATE = "{{ lookup('ansible.builtin.pipe', 'echo run') }}"
LLAMA = NodeService("llama", "chat", "llama.service")


def gpu(bus: str, verdict: str, name: str = "NVIDIA H200", owner: NodeService = LLAMA) -> GpuView:
    """Return one GPU as the exporter sees it."""
    known = KnownGpu(f"0000:{bus}:00", f"GPU-{bus}", 0)
    return GpuView(known, verdict, "read", {"name": name, "serial": "1"}, owner=owner)


def exporter(view: HostView, traffic: Traffic) -> bytes:
    """Return the page of an exporter."""
    return page([*gpu_metrics(view), *traffic_metrics(traffic)])


PAGES = {
    "/node": b"# TYPE node_load1 gauge\nnode_load1 0.5\n",
    "/engine": b"# TYPE up_and_well gauge\nup_and_well 1\n",
    "/exporter-a": exporter(HostView("healthy", [gpu("3b", "healthy")]), Traffic({}, True, False)),
    "/exporter-b": exporter(
        HostView("unhealthy", [gpu("3b", "unhealthy", TEMPLATE)]), Traffic({"llama": 1.0}, True, True)
    ),
    # What an engine says of GPUs counts for nothing: its page is not our exporter's.
    "/lying": exporter(HostView("healthy", [gpu("99", "healthy")]), Traffic()),
}


def answer(asked: Asked) -> Reply:
    """Serve the pages; what is not among them is down."""
    if asked.path not in PAGES:
        return Reply(503)
    return Reply(200, PAGES[asked.path], {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedPrometheus]:
    """Return one that has scraped everything."""
    running = GuardedPrometheus(tmp_path_factory.mktemp("prometheus"))
    with answering_http(answer) as pages:
        at = pages.url.removeprefix("http://")

        def target(path: str, host: str, **labels: str) -> dict[str, str]:
            return {"at": at, "__metrics_path__": path, "instance": f"{host[:5]}{path}", "host": host, **labels}

        chat = {"service": "llama", "pool": "chat", "unit": "llama.service"}
        running.scrape(
            "node",
            target("/node", "node-a"),
            target("/node", "node-b", quarantined="true"),
            target("/down", "node-c"),
            target("/node", TEMPLATE),
            target("/node", "node-a,localhost"),
            target("/node", "../etc"),
            target("/node", "node\nd"),
            target("/node", "all"),
            target("/node", "localhost"),
            target("/node", "autoglm_fleet"),
        )
        running.scrape(
            "inference",
            target("/engine", "node-a", **chat, role="primary"),
            target("/down", "node-b", **chat, role="standby"),
            target("/lying", "node-c", service="embed", pool=TEMPLATE, role="a\nb"),
        )
        running.scrape("autoglm", target("/exporter-a", "node-a"), target("/exporter-b", "node-b"))
        running.start()
        try:
            until("all exporters", lambda: len(running.ask("autoglm_host_verdict == 1")) == 3)
            until("all nodes", lambda: len(running.ask('up{job="node"}')) == 10)
            until("all engines", lambda: len(running.ask('up{job="inference"}')) == 3)
            yield running
        finally:
            assert running.process is not None
            running.process.kill()
            running.process.wait()


@pytest.fixture(scope="module")
def fleet(prometheus: GuardedPrometheus, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the whole fleet as it is listed."""
    return listed("-i", write(tmp_path_factory.mktemp("inventory") / "autoglm_fleet.yml", prometheus.server))


def test_hosts_have_what_prometheus_knows_of_them(fleet: dict[str, Any]) -> None:
    known = fleet["_meta"]["hostvars"]
    assert sorted(known) == ["node-a", "node-b", "node-c"]
    a, b, c = (known[name] for name in sorted(known))
    assert [each["autoglm_presence"] for each in (a, b, c)] == ["heard", "heard", "heard"]
    assert [each["autoglm_verdict"] for each in (a, b, c)] == ["healthy", "unhealthy", "unknown"]
    assert c["autoglm_verdict_reason"] == "no exporter of ours tells of it now"
    assert a["autoglm_address"] == "127.0.0.1"
    assert a["autoglm_gpus"] == [
        {
            "gpu": "0000:3b:00",
            "uuid": "GPU-3b",
            "index": 0,
            "name": "NVIDIA H200",
            "serial": "1",
            "service": "llama",
            "pool": "chat",
            "verdict": "healthy",
            "lost": False,
            "hung": False,
            "recovery_action": "",
        }
    ]
    assert c["autoglm_gpus"] == []
    (replica,) = a["autoglm_replicas"]
    assert replica.pop("metrics_urls")[0].endswith("/engine")
    assert replica == {
        "service": "llama",
        "pool": "chat",
        "unit": "llama.service",
        "role": "primary",
        "presence": "heard",
        "presence_reason": "",
        "taken_out": False,
    }
    (drained,) = b["autoglm_replicas"]
    assert (drained["presence"], drained["taken_out"]) == ("silent", True)
    assert (a["autoglm_at_work"], b["autoglm_at_work"], c["autoglm_at_work"]) == (False, True, None)
    # The exporter of node-a has read that there is no mark; nothing is known of node-c, whose exporter is not scraped.
    assert (a["autoglm_quarantined"], b["autoglm_quarantined"], c.get("autoglm_quarantined")) == (False, True, None)


def test_hosts_are_in_groups_of_what_they_are(fleet: dict[str, Any]) -> None:
    members = {name: sorted(group["hosts"]) for name, group in fleet.items() if group.get("hosts")}
    assert members == {
        "autoglm_fleet": ["node-a", "node-b", "node-c"],
        "autoglm_gpu_NVIDIA_H200": ["node-a"],
        "autoglm_pool_chat": ["node-a", "node-b"],
        "autoglm_presence_heard": ["node-a", "node-b", "node-c"],
        "autoglm_quarantined": ["node-b"],
        "autoglm_role_primary": ["node-a"],
        "autoglm_role_standby": ["node-b"],
        "autoglm_service_embed": ["node-c"],
        "autoglm_service_llama": ["node-a", "node-b"],
        "autoglm_verdict_healthy": ["node-a"],
        "autoglm_verdict_unhealthy": ["node-b"],
        "autoglm_verdict_unknown": ["node-c"],
    }
    receiver = fleet_from(fleet)
    assert all(receiver.limitable(host) for host in receiver.hosts)


def test_hostile_names_are_left_out_with_a_warning_and_hostile_values_stay_data(
    prometheus: GuardedPrometheus, tmp_path: Path
) -> None:
    source = write(
        tmp_path / "autoglm_fleet.yml",
        prometheus.server,
        compose={"ansible_connection": "'local'"},
        keyed_groups=[{"key": "autoglm_replicas | map(attribute='pool')", "prefix": "keyed"}],
    )
    graph = inventory("--graph", "-i", source)
    assert graph.returncode == 0, graph.stderr
    assert all(re.fullmatch(r"[ |]*--(@[A-Za-z0-9_]+:|[a-z-]+)|@all:", line) for line in graph.stdout.splitlines())
    for name in ("pipe", "node-a,localhost", "../etc", r"node\nd"):
        assert name in graph.stderr
    assert graph.stderr.count("is no exact name of one host") == 4
    assert graph.stderr.count("the host is left out") == 2
    assert "'localhost' is this machine to Ansible" in graph.stderr.replace("\n", " ")
    assert "there is no group of pool" in graph.stderr
    assert "|--@keyed_chat:" in graph.stdout
    what = "msg={{ [autoglm_gpu_models, autoglm_pool_names] }}"
    shown = run("ansible", "-i", source, "node-b,node-c", "-m", "ansible.builtin.debug", "-a", what)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("pipe") == 2


def test_the_examples_run(prometheus: GuardedPrometheus, tmp_path: Path) -> None:
    static = tmp_path / "10-hosts.yml"
    static.write_text(yaml.safe_dump({"all": {"hosts": {"node-b": {"ansible_host": "192.0.2.2"}}}}))
    whole, beside, constructed = (
        listed("-i", static, "-i", example(text, prometheus, tmp_path))["_meta"]["hostvars"]
        for text in EXAMPLES.split("---\n")
    )
    assert whole.keys() == constructed.keys() == {"node-a", "node-b", "node-c"}
    # Prometheus describes hosts of another source, and invents none.
    assert beside.keys() == {"node-b"}
    assert beside["node-b"]["ansible_host"] == "192.0.2.2"
    assert beside["node-b"]["autoglm_verdict"] == "unhealthy"
    assert constructed["node-a"]["ansible_host"] == "127.0.0.1"


def test_this_machine_is_a_host_of_the_fleet_only_where_a_source_before_says_so(
    prometheus: GuardedPrometheus, tmp_path: Path
) -> None:
    source = write(tmp_path / "autoglm_fleet.yml", prometheus.server, add_hosts=False)
    static = tmp_path / "10-hosts.yml"
    static.write_text("all: {hosts: {localhost: {ansible_connection: local}}}")
    assert listed("-i", static, "-i", source)["autoglm_fleet"]["hosts"] == ["localhost"]
    alone = inventory("--list", "-i", source)
    assert alone.returncode != 0
    assert "each of the 6 that it tells of is left out" in alone.stderr.replace("\n", " ")


def example(text: str, prometheus: GuardedPrometheus, folder: Path) -> Path:
    """Write an example with the servers that there are."""
    given = yaml.safe_load(text)
    given["servers"] = [prometheus.server for _ in given["servers"]]
    if "cache_connection" in given:
        given["cache_connection"] = str(folder / "kept")
    source = folder / "20-autoglm_fleet.yml"
    source.write_text(yaml.safe_dump(given))
    return source


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password_file": None, "password": "wrong"}, "401: these credentials, or none, are not enough"),
        ({"client_cert": None, "client_key": None}, "CERTIFICATE"),
        ({"ca_path": None}, "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_a_server_that_does_not_let_us_in_is_an_error(
    prometheus: GuardedPrometheus, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    server = {key: value for key, value in {**prometheus.server, **changes}.items() if value is not None}
    done = inventory("--list", "-i", write(tmp_path / "autoglm_fleet.yml", server))
    assert done.returncode != 0
    assert said in done.stderr, done.stderr
    assert "wrong" not in done.stderr.replace("something went wrong", "")


def test_a_misspelt_option_is_an_error_that_says_what_was_meant(tmp_path: Path) -> None:
    done = inventory(
        "--list", "-i", write(tmp_path / "autoglm_fleet.yml", {"urls": ["http://127.0.0.1:1"]}, stale_fro=1)
    )
    assert done.returncode != 0
    assert "unknown option 'stale_fro'; did you mean stale_for?" in done.stderr


def test_an_answer_is_kept_for_when_there_is_none_and_not_for_ever(
    prometheus: GuardedPrometheus, tmp_path: Path
) -> None:
    where = str(tmp_path / "kept")
    cache = {"cache": True, "cache_plugin": "jsonfile", "cache_connection": where, "cache_timeout": 500}
    source = write(tmp_path / "autoglm_fleet.yml", prometheus.server, stale_for=3600, **cache)
    fresh = listed("-i", source)
    (kept,) = (tmp_path / "kept").iterdir()
    assert "scrape-me" not in kept.read_text()

    def age(seconds: float) -> None:
        aged = re.sub(r'("at\\?": )[0-9.]+', rf"\g<1>{time.time() - seconds}", kept.read_text())
        kept.write_text(aged)

    # From now on it lets nobody in who has this password.
    (tmp_path / "password").write_text("changed\n")
    gone = {**prometheus.server, "password_file": str(tmp_path / "password")}
    write(source, gone, stale_for=3600, **cache)
    age(30)
    assert listed("-i", source) == fresh
    age(600)
    done = inventory("--list", "-i", source)
    assert "its answer of 10 min ago is used" in done.stderr
    old = unmarked(done.stdout)["_meta"]["hostvars"]["node-a"]
    assert (old["autoglm_presence"], old["autoglm_verdict"], old["autoglm_at_work"]) == ("unknown", "unknown", None)
    assert old["autoglm_presence_reason"].endswith("cannot be asked, and its last answer is 10 min old")
    assert old["autoglm_gpu_models"] == ["NVIDIA H200"]
    assert old["autoglm_pool_names"] == ["chat"]
    age(7200)
    done = inventory("--list", "-i", source)
    assert done.returncode != 0
    assert "the last answer that is kept is 2 h old, which is too old" in done.stderr
