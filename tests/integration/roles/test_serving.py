# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""inference_service on a host with a real systemd: llama-servers that serve, and that remedies find as they expect."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.roles.running import Played
from tests.integration.roles.systemd_host import SystemdHost, systemd_host
from tests.lab import model
from tests.lab.places import CACHE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers that boot systemd need root")

MODEL = "/srv/models/tiny.gguf"
KEY = "s3cret-key"
ARGS = ["--no-webui", "--ctx-size", "2048", "--parallel", "2", "--threads", "1", "--threads-batch", "1", "--fit", "off"]
# As llama-server takes it for granted; systemd 262 counts 1.7 where no GPU is needed.
MOST_EXPOSED = 2.0


class Serving:
    """Two replicas of a pool on one host, and how each is run."""

    def __init__(self, host: SystemdHost) -> None:
        self.host = host
        shared = {"pool": "chat", "engine": "llama_cpp", "model": "tiny", "api_key": KEY, "stop_timeout": 20}
        self.services: list[dict[str, Any]] = [
            {"name": "llama-a", "url": f"http://{host.address}:8080", "unit": "llama-a.service", **shared},
            {"name": "llama-b", "url": f"http://{host.address}:8081", "unit": "llama-b.service", **shared},
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
        return {"autoglm_services": self.services}

    def play(self, *options: str, **variables: Any) -> Played:
        """Play inference_service."""
        mine = {"services": self.run} | variables
        given = {f"inference_service_{name}": what for name, what in mine.items()}
        return self.host.role("inference_service", given, *options, inventory=self.variables())

    def completes(self, number: int = 0, key: str = KEY) -> httpx.Response:
        """Ask one of them for a completion."""
        return httpx.post(
            f"{self.services[number]['url']}/v1/completions",
            json={"prompt": "the people", "max_tokens": 8},
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with systemd_host(tmp_path_factory.mktemp("host"), {MODEL: model.ensure(CACHE)}) as host:
        made = Serving(host)
        made.play("--check").went_well(changed=True)
        assert host.said("ls /etc/autoglm /var/lib/inference 2>/dev/null || true") == ""
        made.play().went_well(changed=True)
        made.play().went_well(changed=False)
        yield made
        made.play(state="absent").went_well(changed=True)
        assert host.said("systemctl list-unit-files --no-legend 'llama*' || true") == ""
        assert host.said("ls -d /etc/autoglm/inference/* /etc/systemd/system/llama* 2>/dev/null || true") == ""
        assert host.said("pgrep llama-server || true") == ""


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


def test_a_killed_one_is_down_until_it_is_repaired(serving: Serving) -> None:
    host = serving.host
    host.said("systemctl kill --signal=SIGKILL llama-a; while systemctl -q is-active llama-a; do :; done")
    assert host.show("llama-a.service", "ActiveState") == "failed"
    repaired = host.play(
        host.inventory(**serving.variables()),
        *("autoglm.recovery.restart_process", "-e", "target=node-a", "-e", "service=llama-a"),
    )
    repaired.went_well(changed=True)
    assert "llama-a on node-a generates" in repaired.said
    assert serving.completes().is_success


def test_a_unit_of_others_stays_theirs(serving: Serving) -> None:
    theirs = {"services": [serving.run[1] | {"unit": "ssh.service"}]}
    serving.play(**theirs).refused("nothing was changed", "ssh.service is not of this role")
    assert serving.host.show("ssh.service", "ActiveState") == "active"


def context_of(serving: Serving) -> int:
    """Return how many tokens of context the second server has, once it answers."""
    serving.host.said("until curl -sf http://$(hostname -i | cut -d' ' -f1):8081/health; do sleep 0.1; done")
    asked = httpx.get(
        f"{serving.services[1]['url']}/slots", headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False
    )
    return int(sum(slot["n_ctx"] for slot in asked.json()))
