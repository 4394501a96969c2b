# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role monitoring on a host with systemd: both daemons, who may ask them, what they refuse, and what is left."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.roles.running import PROGRAMS, Played
from tests.integration.roles.systemd_host import SystemdHost, systemd_host
from tests.support.servers.authority import Authority
from tests.support.servers.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers that boot systemd need root")

# "hunter2".
HASH = "$2b$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8."
FOLDER = "/etc/prometheus/autoglm"
UNITS = {"prometheus": 9090, "prometheus-alertmanager": 9093}
# What `systemd-analyze security` says of 10. Measured with systemd 262: 1.2.
MOST_EXPOSED = 1.5
SERVICE = {"name": "llama", "engine": "llama_cpp", "unit": "llama.service", "url": "http://127.0.0.1:8080"}


class Site:
    """A host, an authority for its certificate, and the variables of the role."""

    def __init__(self, host: SystemdHost, directory: Path) -> None:
        self.host = host
        self.authority = Authority(directory, "authority")
        pair = self.authority.sign("ops")
        self.given: dict[str, Any] = {
            "autoglm": str(PROGRAMS / "autoglm"),
            "prometheus_listen": ":9090",
            "alertmanager_listen": ":9093",
            "basic_auth_users": {"autoglm": HASH},
            "basic_auth_username": "autoglm",
            "basic_auth_password": "hunter2",
            "tls_cert": str(pair.certificate),
            "tls_key": str(pair.key),
            "tls_ca": str(self.authority.certificate),
            "receiver_token": "sesame",
            "external_labels": {"cluster": "lab"},
            "grafana_provisioning_dir": "/etc/grafana/provisioning",
            "grafana_group": "root",
            "grafana_service": "",
        }

    def play(self, *options: str, **variables: Any) -> Played:
        """Play the role."""
        named = {f"monitoring_{name}": value for name, value in (self.given | variables).items()}
        return self.host.role("monitoring", named, *options, inventory={"autoglm_services": [SERVICE]})

    def ask(self, port: int, path: str, who: str = "--user autoglm:hunter2") -> str:
        """Return what the host itself is answered, over TLS."""
        curl = f"curl --silent --show-error --cacert {FOLDER}/secrets/tls-ca.pem {who}"
        return self.host.said(f"{curl} 'https://127.0.0.1:{port}{path}'")

    def targets(self) -> dict[str, str]:
        """Return the address of each job's only target."""
        found = json.loads(self.ask(9090, "/api/v1/targets"))["data"]["activeTargets"]
        return {target["scrapePool"]: target["scrapeUrl"] for target in found}

    def receivers(self) -> set[str]:
        """Return whom Alertmanager knows."""
        return {each["name"] for each in json.loads(self.ask(9093, "/api/v2/receivers"))}

    def exposure(self, unit: str) -> float:
        """Return how exposed systemd finds a unit."""
        told = self.host.said(f"systemd-analyze security {unit}")
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
        assert found, told
        return float(found[1])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with systemd_host(tmp_path) as host:
        host.said("mkdir -p /etc/grafana/provisioning")
        yield Site(host, tmp_path)


@pytest.mark.thorough
def test_monitoring_comes_is_closed_to_strangers_keeps_what_works_and_goes(site: Site) -> None:
    host = site.host
    # Somebody's Prometheus is not replaced.
    host.said("cp -p /etc/prometheus/prometheus.yml /root/ && echo '# mine' >> /etc/prometheus/prometheus.yml")
    site.play("--check").refused("nothing was changed", "somebody has configured: /etc/prometheus/prometheus.yml")
    host.said("mv /root/prometheus.yml /etc/prometheus/")

    # A line more than was meant would end the unit's command before it says who may ask.
    site.play("--check", prometheus_external_url="https://ops\n").refused("nothing was changed", "external URLs")

    site.play("--check").went_well(changed=True)
    assert host.said(f"ls -d {FOLDER} 2>/dev/null || true") == ""

    # What Prometheus refuses leaves Alertmanager, whose turn was before, as it is: closed to strangers.
    site.play(scrape_configs=[{"job_name": "mine", "nonsense": 1}]).refused("Prometheus has its old files again")
    assert "autoglm" in host.said("cat /etc/systemd/system/prometheus-alertmanager.service.d/autoglm.conf")
    assert "autoglm" not in host.said("systemctl cat prometheus")

    site.play().went_well(changed=True)
    for unit, port in UNITS.items():
        assert site.exposure(unit) <= MOST_EXPOSED
        assert host.show(unit, "User") == "prometheus"
        code = site.ask(port, "/-/healthy", who="--output /dev/null --write-out '%{http_code}'")
        assert code == "401"
        assert host.said(f"curl -s http://127.0.0.1:{port}/-/healthy || true").startswith("Client sent an HTTP request")
    assert site.targets() == {
        "node": f"http://{host.address}:9100/metrics",
        "inference": f"http://{host.address}:8080/metrics",
        "inference_slow": f"http://{host.address}:8080/metrics",
        "autoglm": f"http://{host.address}:9471/metrics",
        "receiver": "http://127.0.0.1:9470/metrics",
        "prometheus": "https://127.0.0.1:9090/metrics",
        "alertmanager": "https://127.0.0.1:9093/metrics",
    }
    groups = json.loads(site.ask(9090, "/api/v1/rules"))["data"]["groups"]
    assert {"autoglm-receiver", "autoglm-presence"} <= {group["name"] for group in groups}
    # The Watchdog always fires: Prometheus has reached Alertmanager, over TLS and with the password.
    until("the Watchdog to arrive", lambda: "Watchdog" in site.ask(9093, "/api/v2/alerts"))
    source = yaml.safe_load(host.said("cat /etc/grafana/provisioning/datasources/autoglm.yml"))["datasources"][0]
    assert (source["url"], source["secureJsonData"]["basicAuthPassword"]) == ("https://127.0.0.1:9090", "hunter2")
    for name in ("grafana-dashboard.json", "grafana-fleet.json"):
        assert json.loads(host.said(f"cat /etc/grafana/provisioning/dashboards/autoglm/{name}"))["panels"]
    assert host.said(f"su -s /bin/sh nobody -c 'cat {FOLDER}/secrets/*' 2>&1 || true").count("ermission denied") == 1

    # What amtool does not look at: Alertmanager itself refuses it, and goes on with what it had.
    whole = host.said(f"cat {FOLDER}/alertmanager.yml")
    wrong = {"tls_config": {"ca_file": "/nowhere/ca.pem"}}
    duty = {"name": "duty", "webhook_configs": [{"url": "https://127.0.0.1:1/", "http_config": wrong}]}
    others = {"receiver_token": "of another", "basic_auth_users": {"autoglm": HASH, "eve": HASH}}
    refused = site.play(alertmanager_receivers=[duty], alertmanager_default="duty", **others)
    refused.refused("Alertmanager has its old files again", "has refused its configuration", "/nowhere/ca.pem")
    assert host.said(f"cat {FOLDER}/alertmanager.yml") == whole
    assert site.receivers() == {"nobody", "autoglm"}
    assert host.said(f"cat {FOLDER}/secrets/receiver-token") == "sesame"
    assert "eve" not in host.said(f"cat {FOLDER}/web.yml")
    assert host.said(f"stat -c %a:%G {FOLDER}/secrets/receiver-token {FOLDER}/web.yml") == 2 * "640:prometheus\n"

    # One who starts it with something else has the last word, and is not taken for it.
    other = "/etc/systemd/system/prometheus-alertmanager.service.d/other.conf"
    host.said(f"printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/prometheus-alertmanager\\n' > {other}")
    site.play().refused("systemd starts prometheus-alertmanager with something else")
    host.said(f"rm {other}")

    # Both packages were there before: they run as these say, with what was recorded, and even where a first try died.
    host.said("systemctl stop prometheus && rm /etc/systemd/system/prometheus.service.d/autoglm.conf")
    host.said(f"touch {FOLDER}/mine.rules.yml")
    site.play(state="absent").went_well(changed=True)
    assert host.said("ls -d /etc/systemd/system/prometheus*.d 2>/dev/null || true") == ""
    assert host.said(f"find {FOLDER} -mindepth 1").strip() == f"{FOLDER}/mine.rules.yml"
    assert host.said("find /etc/grafana -name '*autoglm*'") == ""
    assert "autoglm" not in host.show("prometheus", "ExecStart")
    assert host.show("prometheus", "ActiveState") == "active"
    assert host.said("ls /var/lib/prometheus/metrics2") != ""
