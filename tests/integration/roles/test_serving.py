# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""inference_service, haproxy_pool and checkpoint_timer on a host with a real systemd: a pool as remedies expect it.

That it is healed and rolled under load is said in the lab, whose hosts these roles install.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.roles.running import Played
from tests.integration.roles.systemd_host import SystemdHost, systemd_host
from tests.lab import model
from tests.lab.places import CACHE
from tests.support.servers.waiting import until

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.geteuid() != 0, reason="containers that boot systemd need root"),
]

MODEL = "/srv/models/tiny.gguf"
KEY = "s3cret-key"
SOCKET, HELPER = "/run/autoglm-haproxy/admin.sock", "/usr/local/lib/autoglm/haproxy-socket"
# Of the word secret.
PASSWORD_HASH = "$6$saltsaltsalt$PMWE8DTlam1JU37Piyk43bHcMxTJq6sgu5DKB0/tGPjanN35jcY68QkpDfPFUGPWX5uCxIQkSPzMmqEiVNgts."
DRAINED = 8
ARGS = ["--no-webui", "--ctx-size", "2048", "--parallel", "2", "--threads", "1", "--threads-batch", "1", "--fit", "off"]
# As llama-server takes it for granted; systemd 262 counts 1.7 where no GPU is needed.
MOST_EXPOSED = 2.0


class Serving:
    """Two replicas of a pool on one host, and how each is run."""

    def __init__(self, host: SystemdHost) -> None:
        self.host = host
        shared = {"pool": "chat", "engine": "llama_cpp", "model": "tiny", "api_key": KEY, "stop_timeout": 20}
        self.services: list[dict[str, Any]] = [
            {"name": name, "server": name, "url": f"http://{host.address}:{port}", "unit": f"{name}.service", **shared}
            for name, port in (("llama-a", 8080), ("llama-b", 8081))
        ]
        self.services[0]["checkpoint"] = {
            "store": "/var/lib/checkpoints",
            "engine_state_dir": "/var/lib/inference/llama-a/slots",
            "keep": 2,
        }
        self.run = [
            {"name": name, "model_path": MODEL, "args": ARGS, "gpu": False, "memory_max": "1G"}
            for name in ("llama-a", "llama-b")
        ]

    def variables(self) -> dict[str, Any]:
        """What the inventory says of the host."""
        balancer = {"kind": "haproxy", "socket": SOCKET, "backend": "llm"}
        return {"autoglm_services": self.services, "autoglm_pools": {"chat": {"balancer": balancer}}}

    def given(self, role: str, **variables: Any) -> dict[str, Any]:
        """Return the variables of a role, some of them as a test wants them."""
        mine = self.by_role()[role] | variables
        return {f"{role}_{name}": what for name, what in mine.items()}

    def by_role(self) -> dict[str, dict[str, Any]]:
        """Return what the roles are played with, without their prefixes."""
        balancer = {
            "pools": [{"name": "chat", "bind": [f"{self.host.address}:8000"]}],
            "maxconn": 500,  # a container has few descriptors
            "metrics_user": "prometheus",
            "metrics_password": PASSWORD_HASH,
        }
        return {
            "inference_service": {"services": self.run},
            "haproxy_pool": balancer,
            "checkpoint_timer": {"interval": "1h", "randomized_delay": "0s"},
        }

    def play_all(self, *options: str, **variables: Any) -> Played:
        """Play all three roles."""
        roles = {role: self.given(role, **variables) for role in self.by_role()}
        return self.host.roles(roles, *options, inventory=self.variables())

    def balance(self, **variables: Any) -> Played:
        """Play haproxy_pool."""
        return self.host.role("haproxy_pool", self.given("haproxy_pool", **variables), inventory=self.variables())

    def servers(self) -> dict[str, tuple[int, int]]:
        """Return the administrative state and the port of each server, as HAProxy has them."""
        rows = self.host.said(f"python3 {HELPER} ask {SOCKET} 'show servers state'").splitlines()[2:]
        return {row.split()[3]: (int(row.split()[6]), int(row.split()[18])) for row in rows if row}

    def play(self, **variables: Any) -> Played:
        """Play inference_service."""
        given = self.given("inference_service", **variables)
        return self.host.role("inference_service", given, inventory=self.variables())

    def completes(self, number: int = 0, key: str = KEY) -> httpx.Response:
        """Ask one of them for a completion."""
        return httpx.post(
            f"{self.services[number]['url']}/v1/completions",
            json={"prompt": "the people", "max_tokens": 8},
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )


GONE = (
    "/etc/autoglm/haproxy /var/lib/autoglm-haproxy /run/autoglm-haproxy /etc/systemd/system/autoglm-haproxy.service"
    " /etc/systemd/system/autoglm-checkpoint*"
)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with systemd_host(tmp_path_factory.mktemp("host"), {MODEL: model.ensure(CACHE)}) as host:
        made = Serving(host)
        made.play_all("--check").went_well(changed=True)
        assert host.said("ls /etc/autoglm /var/lib/inference 2>/dev/null || true") == ""
        # Somebody else has the place: what has never worked is not tried again at the next boot.
        taken = [{"name": "chat", "bind": [f"{host.address}:22"]}]
        made.balance(pools=taken).refused("HAProxy was stopped, and is not started at boot")
        assert host.show("autoglm-haproxy", "ActiveState") in ("inactive", "failed")
        assert host.show("autoglm-haproxy", "UnitFileState") == "disabled"
        made.play_all().went_well(changed=True)
        made.play_all().went_well(changed=False)
        yield made
        mine = "/etc/systemd/system/llama-a.service.d/mine.conf"
        host.said(f"printf '[Service]\\nNice=1\\n' > {mine}")
        saved = host.said("ls /var/lib/checkpoints/llama-a")
        made.play_all(state="absent").went_well(changed=True)
        ours = "'llama*' 'autoglm-checkpoint*' 'autoglm-haproxy*'"
        assert host.said(f"systemctl list-unit-files --no-legend {ours} || true") == ""
        left = "find /etc/autoglm/inference /etc/systemd/system -mindepth 1 -path '*llama*' -not -type d"
        assert host.said(left) == f"{mine}\n"
        assert host.said("ls /etc/autoglm/inference; ls -d /etc/systemd/system/llama*") == f"{Path(mine).parent}\n"
        assert host.said("pgrep llama-server || true") == ""
        assert host.said(f"ls -d {GONE} 2>/dev/null || true") == ""
        assert host.said("ls /var/lib/checkpoints/llama-a") == saved
        assert host.show("haproxy.service", "ActiveState") == "active", "it was there before"


def test_it_serves_whoever_has_the_key(serving: Serving) -> None:
    assert serving.completes().json()["usage"]["completion_tokens"] == 8
    assert serving.completes(key="another").status_code == httpx.codes.UNAUTHORIZED
    host = serving.host
    assert KEY not in host.said("cat /etc/systemd/system/llama-a.service; ps -ef")
    assert host.said("stat -c '%a %U' /etc/autoglm/inference/llama-a/*").split() == ["600", "root"] * 2


def test_the_unit_is_as_remedies_and_rules_take_it(serving: Serving) -> None:
    host, unit = serving.host, "llama-a.service"
    assert host.show(unit, "User") == "inference"
    assert host.show(unit, "Restart") == "no"
    assert host.show(unit, "OOMPolicy") == "kill"
    assert host.show(unit, "MemoryMax") == str(1024**3)
    assert host.show(unit, "TimeoutStopUSec") == "50s"
    assert host.show(unit, "LimitMEMLOCK") == "infinity"
    said = host.said(f"systemd-analyze security --no-pager {unit} | tail -1")
    assert float(said.split(":")[1].split()[0]) < MOST_EXPOSED, said


def test_what_has_changed_waits_for_a_restart_unless_that_is_asked_for(serving: Serving) -> None:
    host = serving.host
    began = host.show("llama-b.service", "MainPID")
    args, serving.run[1]["args"] = serving.run[1]["args"], [*ARGS, "--ctx-size", "1024"]
    try:
        changing = serving.play()
        changing.went_well(changed=True)
        assert "llama-b on node-a runs with an earlier configuration" in changing.said
        assert "llama-a on node-a runs with an earlier configuration" not in changing.said
        assert host.show("llama-b.service", "MainPID") == began
        untouched = host.show("llama-a.service", "MainPID")
        serving.play(restart=True).went_well(changed=True)
        assert host.show("llama-b.service", "MainPID") != began
        assert host.show("llama-a.service", "MainPID") == untouched
        assert context_of(serving) == 1024
    finally:
        serving.run[1]["args"] = args


def test_a_remedy_overrides_arguments_for_a_while(serving: Serving) -> None:
    file = "/etc/autoglm/inference/llama-b/overrides.env"
    serving.host.said(f"echo 'AUTOGLM_ENGINE_OVERRIDES=--ctx-size 512' > {file} && systemctl restart llama-b")
    assert context_of(serving) == 512
    serving.host.said(f"rm {file} && systemctl restart llama-b")
    assert context_of(serving) in (1024, 2048)


def test_a_unit_of_others_stays_theirs(serving: Serving) -> None:
    theirs = {"services": [serving.run[1] | {"unit": "ssh.service"}]}
    serving.play(**theirs).refused("nothing was changed", "ssh.service is not of this role")
    assert serving.host.show("ssh.service", "ActiveState") == "active"


def test_who_is_drained_stays_so_and_a_new_port_is_in_force(serving: Serving) -> None:
    host = serving.host
    host.said(f"python3 {HELPER} ask {SOCKET} 'set server llm/llama-a state drain'")
    config = "/etc/autoglm/haproxy/haproxy.cfg"
    host.said(f"cp {config} /root/old.cfg")
    url, serving.services[1]["url"] = serving.services[1]["url"], f"http://{host.address}:8099"
    in_force = {"llama-a": (DRAINED, 8080), "llama-b": (0, 8099)}
    try:
        serving.balance().went_well(changed=True)
        until("the reload", lambda: serving.servers() == in_force)
        # As a run leaves it that died after it had written the configuration.
        host.said(f"cp {config} /root/new.cfg && cp /root/old.cfg {config} && systemctl reload autoglm-haproxy")
        until("the old one", lambda: serving.servers() == {"llama-a": (DRAINED, 8080), "llama-b": (0, 8081)})
        host.said(f"cp /root/new.cfg {config}")
        serving.balance().went_well(changed=True)
        until("the reload", lambda: serving.servers() == in_force)
    finally:
        serving.services[1]["url"] = url
    host.said(f"sed -i 's/:8099/:8081/' {config} {config}.taken && systemctl restart autoglm-haproxy")
    until("HAProxy", lambda: serving.servers() == {"llama-a": (DRAINED, 8080), "llama-b": (0, 8081)})
    host.said(f"python3 {HELPER} ask {SOCKET} 'set server llm/llama-a state ready'")


def test_what_haproxy_does_not_take_is_not_left_there(serving: Serving) -> None:
    before = serving.host.said("cat /etc/autoglm/haproxy/haproxy.cfg")
    pools = [{"name": "chat", "bind": [f"{serving.host.address}:8000"], "lines": ["balance by-the-moon"]}]
    serving.balance(pools=pools).refused("HAProxy's log ends so", "Error(s) found in configuration file")
    # Its syntax is right, and somebody else has the place.
    pools = [{"name": "chat", "bind": [f"{serving.host.address}:8000", f"{serving.host.address}:22"]}]
    serving.balance(pools=pools).refused("The old configuration is in place again: HAProxy has not taken it")
    assert serving.host.said("cat /etc/autoglm/haproxy/haproxy.cfg") == before
    assert serves_by_the_balancer(serving)


def test_slots_are_saved_by_a_timer_without_ansible(serving: Serving) -> None:
    host, unit = serving.host, "autoglm-checkpoint-llama-a"
    until("a server that answers", lambda: serving.completes().is_success)

    often = serving.given("checkpoint_timer", interval="1s")
    host.role("checkpoint_timer", often, inventory=serving.variables()).went_well(changed=True)
    until("saves, of which two are kept", lambda: host.said(f"journalctl -u {unit} | grep -c Finished || true") > "3")
    host.said(f"systemctl stop {unit}.timer && systemctl start {unit}")
    assert host.show(unit, "Result") == "success"
    kept = host.said("cd /var/lib/checkpoints/llama-a && ls").split()
    assert len(kept) == 2
    assert "slot0.bin" in host.said(f"cat /var/lib/checkpoints/llama-a/{kept[-1]}/manifest.json")
    # As a playbook does that brings it back.
    restored = host.play(host.inventory(**serving.variables()), str(restoring(host)))
    restored.went_well(changed=True)


def restoring(host: SystemdHost) -> Path:
    """Write a playbook that has llama-a load the newest of its checkpoints."""
    playbook = host.directory / "restore.yml"
    restore = {
        "state": "restored",
        "name": "llama-a",
        "store": "/var/lib/checkpoints",
        "engine": "llama_cpp",
        "engine_state_dir": "/var/lib/inference/llama-a/slots",
        "url": "{{ autoglm_services[0].url }}",
        "api_key": KEY,
    }
    tasks = [{"autoglm.recovery.checkpoint_model": restore}]
    playbook.write_text(json.dumps([{"hosts": "node-a", "gather_facts": False, "tasks": tasks}]))
    return playbook


def test_metrics_ask_for_a_user_and_little_is_exposed(serving: Serving) -> None:
    host, asked = serving.host, "curl -s -o /dev/null -w '%{http_code}'"
    assert host.said(f"{asked} http://127.0.0.1:8405/metrics") == "401"
    page = host.said("curl -s -u prometheus:secret http://127.0.0.1:8405/metrics")
    assert 'haproxy_server_status{proxy="llm",server="llama-a",state="UP"} 1' in page
    said = host.said("systemd-analyze security --no-pager autoglm-haproxy | tail -1")
    assert float(said.split(":")[1].split()[0]) < MOST_EXPOSED, said


def serves_by_the_balancer(serving: Serving) -> bool:
    """Ask for a completion as a user does."""
    answer = httpx.post(
        f"http://{serving.host.address}:8000/v1/completions",
        json={"prompt": "the people", "max_tokens": 8},
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=60,
        trust_env=False,
    )
    return answer.is_success


def context_of(serving: Serving) -> int:
    """Return how many tokens of context the second server has, once it answers."""
    serving.host.said("until curl -sf http://$(hostname -i | cut -d' ' -f1):8081/health; do sleep 0.1; done")
    asked = httpx.get(
        f"{serving.services[1]['url']}/slots", headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False
    )
    return int(sum(slot["n_ctx"] for slot in asked.json()))
