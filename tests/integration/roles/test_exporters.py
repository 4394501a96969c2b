# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of exporters on a host with systemd and without a GPU: what they serve, to whom, and what they leave."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.exporter.running import Page
from tests.integration.roles.running import Played, play
from tests.integration.roles.systemd_host import SystemdHost, systemd_host
from tests.lab.places import CHECKOUT
from tests.support.servers.authority import Authority
from tests.support.servers.waiting import until

# "hunter2".
HASH = "$2y$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm"
GPU_UNIT = "autoglm-exporter.service"
BUILD_WHEEL = CHECKOUT / "roles/gpu_exporter/files/build_wheel.py"
FOLDERS = ("/opt/autoglm-exporter", "/etc/autoglm-exporter", "/var/lib/autoglm-exporter")
# What `systemd-analyze security` calls OK: up to 4.9 of 10. Measured with systemd 262.
MOST_EXPOSED = {GPU_UNIT: 2.2, "prometheus-node-exporter.service": 2.0}


class Site:
    """A host, an authority that signs its certificates, and the variables that all exporters have."""

    def __init__(self, host: SystemdHost, directory: Path) -> None:
        self.host = host
        self.directory = directory
        self.authority = Authority(directory, "authority")
        self.pair = self.authority.sign("node-a")
        host.said(f"cat > /root/ca.pem <<'EOF'\n{self.authority.certificate.read_text()}EOF")

    def play(self, role: str, *options: str, **variables: Any) -> Played:
        """Play a role whose page is encrypted and asks for a password."""
        closed = {"tls_cert": str(self.pair.certificate), "tls_key": str(self.pair.key)}
        given = {**closed, "basic_auth_users": {"prometheus": HASH}, **variables}
        named = {f"{role}_{name}": value for name, value in given.items()}
        return self.host.role(role, named, *options, inventory={})

    def scrape(self, port: int, path: str = "/metrics", who: str = "prometheus:hunter2") -> str:
        """Return what the host itself is answered, over TLS and with a password."""
        user = f"--user {who}" if who else ""
        return self.host.said(f"curl --silent --cacert /root/ca.pem {user} 'https://127.0.0.1:{port}{path}'")

    def refuses_strangers(self, port: int) -> None:
        """Require that nobody gets the page without the password, or without encryption."""
        assert "401" in self.host.said(
            f"curl -s --cacert /root/ca.pem -o /dev/null -w '%{{http_code}}' https://127.0.0.1:{port}/metrics"
        )
        assert "401" in self.host.said(
            f"curl -s --cacert /root/ca.pem -u prometheus:hunter3 -o /dev/null -w '%{{http_code}}' https://127.0.0.1:{port}/metrics"
        )
        assert "HELP" not in self.host.said(f"curl -s http://127.0.0.1:{port}/metrics || true")

    def exposure(self, unit: str) -> float:
        """Return what systemd thinks of a unit, of 10."""
        said = self.host.said(f"systemd-analyze security --no-pager {unit}")
        found = re.search(r"Overall exposure level for \S+ ([0-9.]+)", said)
        assert found, said
        print(said)
        return float(found[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("exporters")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent))
    assert uv
    with systemd_host(directory, {"/usr/local/bin/uv": Path(uv)}) as host:
        host.said("chmod 0755 /usr/local/bin/uv")
        # Root's, in all plays: what it writes is there for others all the same.  bash reads this where sshd starts it.
        host.said("sed -i '1i umask 077' /root/.bashrc || echo 'umask 077' > /root/.bashrc")
        yield Site(host, directory)


@pytest.fixture(scope="module")
def wheels(site: Site) -> Path:
    """What the exporter requires, for the host's Python: a host that reaches no index."""
    version = site.host.said("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").strip()
    folder = site.directory / "wheels"
    required = ["httpcore", "httpx", "nvidia-ml-py", "prometheus-client", "PyYAML", "structlog", "typing-extensions"]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), "--only-binary=:all:"),
            *(f"--python-version={version}", *required),
        ],
        check=True,
    )
    return folder


@pytest.mark.thorough
def test_the_exporter_of_gpus_serves_a_host_without_one(site: Site, wheels: Path) -> None:
    host = site.host
    variables: dict[str, Any] = {
        "installer": "uv",
        "wheels": str(wheels),
        "listen": "0.0.0.0:9471",
        "services": [
            {"name": "llama", "pool": "chat", "unit": "llama.service"},
            {"name": "boxed", "container": "boxed"},
        ],
        "labels": {"cluster": 'blue "and" $5 100%'},
        "alertmanagers": ["http://127.0.0.1:9093"],
        "alertmanager_token": "secret-of-ours",
    }
    # As on a host on which nothing is yet.
    site.play("gpu_exporter", "--check", **variables).went_well(changed=True)
    assert host.said("ls /opt /etc/systemd/system; getent passwd autoglm-exporter || true").count("autoglm") == 0

    installed = site.play("gpu_exporter", "--diff", **variables)
    installed.went_well(changed=True)
    assert "secret-of-ours" not in installed.said
    assert HASH not in installed.said
    page = until("a look", lambda: _looked(site))
    # Nobody has said that this host has no GPU, so that it is neither healthy nor the opposite.
    verdicts = {each.labels["verdict"]: each.value for each in page.samples if each.name == "autoglm_host_verdict"}
    assert verdicts == {"healthy": 0, "unhealthy": 0, "unknown": 1}
    assert page.value("autoglm_kernel_log_readable") == 1
    assert page.value("autoglm_taken_out_readable") == 1
    assert page.value("autoglm_load_shed_readable") == 1
    assert page.value("autoglm_state_save_errors") == 0
    site.refuses_strangers(9471)
    assert host.said(f"ps -o user:32= -p $(systemctl show --value -p MainPID {GPU_UNIT})").strip() == "autoglm-exporter"
    assert site.exposure(GPU_UNIT) <= MOST_EXPOSED[GPU_UNIT]

    # Its user can read all of it and write none of it, and nobody else sees what is secret.
    assert host.said("find /opt/autoglm-exporter /etc/autoglm-exporter ! -user root -o ! -type l -perm /022") == ""
    assert host.said("find /opt/autoglm-exporter ! -type l ! -perm -004") == ""
    assert host.said("stat -c %a:%G /etc/autoglm-exporter /etc/autoglm-exporter/alertmanager-token").split() == [
        "750:autoglm-exporter",
        "640:autoglm-exporter",
    ]

    before = host.show(GPU_UNIT, "ExecMainPID")
    site.play("gpu_exporter", **variables).went_well(changed=False)
    assert host.show(GPU_UNIT, "ExecMainPID") == before

    # A note of a run, which is root's, is read.
    note = hashlib.sha256(b"llama").hexdigest()
    host.said(f'umask 0137; echo \'{{"service": "llama"}}\' > /var/lib/autoglm/taken-out/{note}.json')
    until("the note", lambda: _looked(site).value("autoglm_service_taken_out_timestamp_seconds", service="llama"))

    host.said(f'umask 0137; echo \'{{"service": "llama"}}\' > /var/lib/autoglm/shed/{note}.json')
    until("the other", lambda: _looked(site).value("autoglm_service_load_shed_timestamp_seconds", service="llama"))

    # What cannot be used is not put in place, and the exporter goes on.
    site.play("gpu_exporter", **{**variables, "services": [{"name": "a/b", "unit": "x"}]}).refused("without slashes")
    assert host.show(GPU_UNIT, "ExecMainPID") == before
    assert "llama" in host.said("cat /etc/autoglm-exporter/services.yml")

    # A wheel of the same name with other bytes is another release.
    counts = host.said("readlink /opt/autoglm-exporter/current")
    changed = {**variables, "extra_args": ["--expected-gpus=8"], "alertmanagers": [], "alertmanager_token": ""}
    changed["wheel"] = str(_wheel_of(site.directory))
    site.play("gpu_exporter", **changed).went_well(changed=True)
    assert host.said("readlink /opt/autoglm-exporter/current") != counts
    with zipfile.ZipFile(changed["wheel"], "a") as wheel:
        wheel.comment = b"other bytes"
    site.play("gpu_exporter", "--check", **changed).went_well(changed=True)
    assert host.show(GPU_UNIT, "ExecMainPID") != before
    assert until("a look", lambda: _looked(site)).value("autoglm_gpus_expected") == 8
    assert "token" not in host.said("ls /etc/autoglm-exporter")

    site.play("gpu_exporter", state="absent").went_well(changed=True)
    left = " ".join((*FOLDERS, f"/etc/systemd/system/{GPU_UNIT}"))
    gone = f"ls -d {left} 2>/dev/null; getent passwd autoglm-exporter; getent group autoglm-exporter; true"
    assert host.said(gone) == ""
    assert host.show(GPU_UNIT, "LoadState") == "not-found"
    assert "llama" in host.said("cat /var/lib/autoglm/taken-out/*.json")


def _wheel_of(directory: Path) -> Path:
    """Build the exporter's wheel, as the role does."""
    built = subprocess.run([sys.executable, BUILD_WHEEL, directory], capture_output=True, text=True, check=True)
    return directory / built.stdout.strip()


def _looked(site: Site) -> Page | None:
    """Return the page once all that is looked at has been."""
    page = Page(site.scrape(9471))
    looked = all(page.values(name) for name in ("autoglm_probe_duration_seconds", "autoglm_taken_out_readable"))
    return page if looked else None


@pytest.mark.thorough
def test_node_exporter_tells_of_the_units_that_rules_ask_for(site: Site) -> None:
    host, unit = site.host, "prometheus-node-exporter.service"
    variables = {"units": ["ssh", "systemd-journald.service"], "listen": "127.0.0.1:9100"}
    site.play("node_exporter", **variables).went_well(changed=True)
    host.said("promtool check web-config /etc/node_exporter/web.yml")
    page = Page(site.scrape(9100))
    active = {each.labels["name"] for each in page.samples if each.name == "node_systemd_unit_state" and each.value}
    assert active == {"ssh.service", "systemd-journald.service"}
    for name in ("node_systemd_service_restart_total", "node_systemd_unit_start_time_seconds"):
        assert "systemd-journald.service" in {each.labels["name"] for each in page.samples if each.name == name}
    assert page.values("node_vmstat_oom_kill")
    site.refuses_strangers(9100)
    assert site.exposure(unit) <= MOST_EXPOSED[unit]
    before = host.show(unit, "ExecMainPID")
    site.play("node_exporter", **variables).went_well(changed=False)
    assert host.show(unit, "ExecMainPID") == before

    # As a run that died before its handlers leaves it: written, and not in force.
    for written in (f"/etc/systemd/system/{unit}.d/autoglm.conf", "/etc/node_exporter/web.yml"):
        before = host.show(unit, "ExecMainPID")
        host.said(f"touch {written}")
        site.play("node_exporter", **variables).went_well(changed=True)
        assert host.show(unit, "ExecMainPID") != before

    # Another program has the address, and answers there.
    host.said(
        f"systemctl stop {unit}; mkdir /run/other && touch /run/other/metrics;"
        " systemd-run --quiet --unit=other python3 -m http.server --bind 127.0.0.1 --directory /run/other 9100"
    )
    until("the other one", lambda: "200" in host.said("curl -sI http://127.0.0.1:9100/metrics || true"))
    plain = {**variables, "tls_cert": "", "tls_key": "", "basic_auth_users": {}}
    site.play("node_exporter", **plain).refused("ends again and again", "address already in use")
    host.said("systemctl stop other")

    # The image has the package: it was there before.
    site.play("node_exporter", state="absent").went_well(changed=True)
    until(
        "the package's own",
        lambda: "node_exporter_build_info" in host.said("curl -s http://127.0.0.1:9100/metrics || true"),
    )
    assert (
        host.said(
            "ls -d /etc/node_exporter /etc/systemd/system/prometheus-node-exporter.service.d/* 2>/dev/null || true"
        )
        == ""
    )


@pytest.mark.thorough
def test_what_dcgm_exporter_is_given_is_what_its_readers_take(site: Site) -> None:
    """No machine here has a GPU or NVIDIA's packages: what is refused, and what would be written."""
    contained = {"install": "container", "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless"}
    refused = site.play("dcgm_exporter", **contained)
    refused.refused("nothing was changed", "has no driver of NVIDIA loaded", "gpu_exporter runs there all the same")
    for variables in ({}, contained):
        checked = site.play("dcgm_exporter", "--check", "--diff", **variables)
        checked.went_well(changed=True)
        assert "+DCGM_EXP_XID_ERRORS_COUNT, gauge, XIDs within the window" in checked.said
        assert "--web-config-file=/etc/autoglm-dcgm-exporter/web.yml" in checked.said
        assert HASH not in checked.said
    # The unit of the container, which is written last. Its engine is not here, and systemd wants a program that is.
    added = [line[1:] for line in checked.said.splitlines() if line.startswith("+") and not line.startswith("++")]
    unit = "\n".join(added[added.index("[Unit]") :])
    assert '"--cap-drop=ALL"' in unit
    assert '"--device=nvidia.com/gpu=all"' in unit
    path = "/run/autoglm-dcgm-exporter.service"
    site.host.said(f"cat > {path} <<'EOF'\n{unit.replace('/usr/bin/podman', '/usr/bin/true')}\nEOF")
    assert site.host.said(f"systemd-analyze verify {path} 2>&1") == ""


@pytest.mark.parametrize(
    ("role", "variables", "words"),
    [
        ("gpu_exporter", {"user": "root"}, ["nothing was changed", "and not root"]),
        (
            "gpu_exporter",
            {"basic_auth_users": {"prometheus": "hunter2"}},
            ["nothing was changed", "bcrypt hashes and no passwords"],
        ),
        ("gpu_exporter", {"tls_cert": "/nowhere/tls.crt"}, ["nothing was changed", "both are given or none"]),
        (
            "gpu_exporter",
            {"wheel": "/nowhere/autoglm_exporter-1-py3-none-any.whl"},
            ["gpu_exporter_wheel names /nowhere/"],
        ),
        ("node_exporter", {"disabled_collectors": ["systemd"]}, ["what the alert rules need"]),
        (
            "dcgm_exporter",
            {"counters": [{"field": "SM_CLOCK", "type": "gauge", "help": "x"}]},
            ["DCGM_FI_... or DCGM_EXP_..."],
        ),
        (
            "dcgm_exporter",
            {"counters": [{"field": "DCGM_FI_DEV_A", "type": "gauge", "help": "a, b"}]},
            ["without commas"],
        ),
        ("dcgm_exporter", {"install": "container"}, ["a container needs dcgm_exporter_image"]),
        ("dcgm_exporter", {"install": "container", "image": "x/dcgm-exporter:latest"}, ["a tag that is not latest"]),
        ("blackbox_exporter", {"extra_args": ["--config.file=x"]}, ["without those that this role sets itself"]),
    ],
)
def test_what_is_wrong_is_said_before_a_host_is_touched(
    tmp_path: Path, role: str, variables: Any, words: list[str]
) -> None:
    play(tmp_path, role, {f"{role}_{name}": value for name, value in variables.items()}).refused(*words)
