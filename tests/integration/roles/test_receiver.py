# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role receiver on a host with systemd: a release of this checkout, an alert over TLS, one that is no good."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.roles.running import Played
from tests.integration.roles.systemd_host import SystemdHost, systemd_host
from tests.lab.places import CHECKOUT
from tests.support.servers.authority import Authority
from tests.support.servers.waiting import until

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.geteuid() != 0, reason="containers that boot systemd need root"),
]

# What `systemd-analyze security` says of 10. Measured with systemd 262: 1.7.
MOST_EXPOSED = 2.0
TOKENS = {"sender": "a-token-of-alertmanager", "operator": "a-token-of-alice-the-operator"}
# What a release is made of.
SOURCES = ("src", "plugins", "playbooks", "extensions", "roles", "meta", "share")
FILES = ("galaxy.yml", "pyproject.toml", "README.md", "COPYING")
INVENTORY = """
all:
  hosts:
    gpu1:
      ansible_host: 192.0.2.9
      autoglm_services:
        - {name: llama, unit: llama.service, engine: llama_cpp, url: "http://192.0.2.9:8080"}
"""
ALERT = {
    "version": "4",
    "status": "firing",
    "receiver": "autoglm",
    "groupKey": "{}:{}",
    "groupLabels": {},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "InferenceServiceDown", "host": "gpu1", "service": "llama"},
            "annotations": {},
            "startsAt": "2026-11-30T10:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": "aa",
        }
    ],
}


# What a run leaves that died between keeping the old and putting the new in its place; the link leads to nothing.
DIED = """set -e; cd /etc/autoglm; systemctl stop autoglm-receiver
mkdir -m 0750 receiver.before; mv receiver receiver.before/config; mkdir receiver
cp /etc/systemd/system/autoglm-receiver.service receiver.before/unit
ln -s $(readlink /opt/autoglm/current) receiver.before/release
touch receiver.before/.whole /opt/autoglm/.changing
ln -sfn /opt/autoglm/nowhere /opt/autoglm/current"""


class Site:
    """A host, what a site has on its controller, and the variables of the role."""

    def __init__(self, host: SystemdHost, directory: Path) -> None:
        self.host = host
        self.authority = Authority(directory, "authority")
        pair = self.authority.sign("receiver")
        self.policy, self.inventory = directory / "auto-recovery.yaml", directory / "inventory"
        self.policy.write_text("recovery: {autonomy: watch}\n")
        (self.inventory / "group_vars").mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text(INVENTORY)
        (self.inventory / "group_vars/all.yml").write_text("ansible_user: ops\n")
        self.given: dict[str, Any] = {
            "policy": str(self.policy),
            "inventory": str(self.inventory),
            "listen": "0.0.0.0:9470",
            "tls_cert": str(pair.certificate),
            "tls_key": str(pair.key),
            "access": [
                {"name": role, "role": role, "credential": f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"}
                for role, token in TOKENS.items()
            ],
        }

    def play(self, *options: str, **variables: Any) -> Played:
        """Play the role."""
        named = {f"receiver_{name}": value for name, value in (self.given | variables).items()}
        return self.host.role("receiver", named, *options, inventory={})

    def ask(self, role: str, method: str, path: str, **body: Any) -> httpx.Response:
        """Ask the receiver from outside, over TLS, as whoever has this role."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.check_hostname = False  # podman chose the address
        with httpx.Client(verify=context, headers={"Authorization": f"Bearer {TOKENS[role]}"}) as client:
            return client.request(method, f"https://{self.host.address}:9470{path}", **body)

    def release(self) -> str:
        """Name the release that runs."""
        return self.host.said("readlink /opt/autoglm/current").strip()

    def incidents(self) -> list[str]:
        """Name what the receiver knows of."""
        return [found["root_cause"] for found in self.ask("operator", "GET", "/api/v1/incidents").json()["incidents"]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host on which the role has been played."""
    directory = tmp_path_factory.mktemp("receiver")
    certificates, pip, apt = Path("/etc/ssl/certs/ca-certificates.crt"), directory / "pip.conf", directory / "apt.conf"
    pip.write_text(f"[global]\ncert = {certificates}\n")
    # A mirror that is kept at one day serves lists of Debian testing that are older than a week.
    apt.write_text('Acquire::Check-Valid-Until "false";\n')
    files = {"/etc/pip.conf": pip, "/etc/apt/apt.conf.d/99-mirror": apt, str(certificates): certificates}
    with systemd_host(directory, {path: file for path, file in files.items() if file.exists()}) as host:
        made = Site(host, directory)
        made.play().went_well(changed=True)
        # Built once more, it is the same, and known to be.
        made.given["wheel"] = wheel_of(CHECKOUT, directory)
        yield made


def wheel_of(tree: Path, directory: Path) -> str:
    """Build a wheel of a source tree, as the role does."""
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(directory)]
    subprocess.run([*wheel, str(tree)], check=True)
    return str(next(directory.glob("*.whl")))


def test_an_alert_over_tls_is_committed(site: Site) -> None:
    taken = site.ask("sender", "POST", "/api/v1/alerts", json=ALERT)
    assert (taken.status_code, taken.json()["committed"]) == (200, 1), taken.text
    until("the alert's incident", lambda: site.incidents() == ["InferenceServiceDown"])
    assert site.ask("sender", "GET", "/api/v1/incidents").status_code == 403


def test_the_service_may_do_little_and_is_watched(site: Site) -> None:
    said = site.host.said("systemd-analyze security --no-pager autoglm-receiver.service")
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert exposure, said
    assert float(exposure[1]) <= MOST_EXPOSED, said
    assert site.host.show("autoglm-receiver", "WatchdogUSec") == "1min"
    assert site.host.show("autoglm-receiver", "User") == "autoglm"


def test_only_root_writes_what_says_who_comes_in_and_nobody_else_reads_it(site: Site) -> None:
    others = "find /etc/autoglm/receiver ! -user root -o -perm /022 -o -maxdepth 1 -type f -perm /007"
    assert site.host.said(others) == ""
    assert site.host.said("stat -c %a:%G /etc/autoglm/receiver") == "750:autoglm\n"


def test_played_again_it_changes_nothing_and_the_receiver_goes_on(site: Site) -> None:
    process = site.host.show("autoglm-receiver", "MainPID")
    site.play().went_well(changed=False)
    assert site.host.show("autoglm-receiver", "MainPID") == process


def test_a_policy_with_a_mistake_is_refused_and_the_receiver_goes_on(site: Site) -> None:
    process = site.host.show("autoglm-receiver", "MainPID")
    site.policy.write_text("recovery: {autonomie: watch}\n")
    site.play().refused("goes on as it was", "autonomie", "did you mean")
    site.policy.write_text("recovery: {autonomy: watch}\n")
    assert site.host.show("autoglm-receiver", "MainPID") == process
    assert "autonomie" not in site.host.said("cat /etc/autoglm/receiver/auto-recovery.yaml")


def broken(directory: Path) -> Path:
    """A release that passes every check, changes the schema, and does not start."""
    tree = directory / "broken"
    for name in SOURCES:
        shutil.copytree(CHECKOUT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(CHECKOUT / name, tree / name)
    package = tree / "src/autoglm_recovery/receiver"
    serve, versions = package / "serve/serve.py", package / "store/migrations/versions"
    # It is migrated by then.
    begins = "    metrics = Metrics(ask)\n"
    assert begins in serve.read_text()
    serve.write_text(serve.read_text().replace(begins, '    raise ServeError("broken on purpose")\n' + begins))
    newest = sorted(versions.glob("0*.py"))[-1].name[:4]
    (versions / "9999_broken.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        f"revision = '9999'\ndown_revision = '{newest}'\n"
        "def upgrade():\n    op.create_table('of_another_time', sa.Column('id', sa.Integer(), primary_key=True))\n"
    )
    return tree


def test_a_release_that_does_not_start_is_taken_back_with_its_schema(site: Site, tmp_path: Path) -> None:
    before, known = site.release(), site.incidents()
    wheel = wheel_of(broken(tmp_path), tmp_path)
    for died in (False, True):
        if died:
            site.host.said(DIED)
        site.play(wheel=wheel).refused(
            "did not become ready", f"{before} runs again with its configuration and its database", "broken on purpose"
        )
        assert site.release() == before
        assert site.ask("operator", "GET", "/readyz").status_code == 200
        assert site.incidents() == known
        # What was put back is the file itself: it has never had the table. What stood there is kept.
        assert site.host.said("grep -c of_another_time /var/lib/autoglm-receiver/receiver.db || true") == "0\n"
        assert site.host.said("cat /var/backups/autoglm/failed-*/receiver.db* | grep -c of_another_time") != "0\n"
        assert site.host.said("ls -d /etc/autoglm/receiver.* /opt/autoglm/.changing 2>/dev/null || true") == ""


def test_taken_away_it_leaves_its_data_and_what_is_of_others(site: Site) -> None:
    site.play(state="absent", service="ssh").refused("nothing was changed", "did not write", "ssh.service")
    site.host.said("mkdir -p /opt/autoglm/vllm/0.11.0")  # as the role inference_service does
    site.play(state="absent").went_well(changed=True)
    assert site.host.said("ls /opt/autoglm") == "vllm\n"
    gone = "ls -d /etc/autoglm/receiver* /etc/systemd/system/autoglm-receiver* /usr/local/bin/autoglm"
    assert site.host.said(f"{gone} 2>/dev/null || true") == ""
    assert "receiver.db" in site.host.said("ls /var/lib/autoglm-receiver")
