# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose Python is not what it was lies about itself, and can do nothing else.

A second host of the inventory, and commands, leave a mark wherever something that the first one named is run.
"""

from __future__ import annotations

import json
import re
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from tests.support.servers.asked import NOWHERE
from tests.support.servers.plays import OF_HOSTS, asked_of_hosts

from .fleet import Fleet, told

LIAR = Path(__file__).with_name("compromised_python.py")
BY_HAND = {"target": "p1", "autoglm_require_evidence": "true"}
# The first that a restart asks, one that may fail, and the last, which has a rescue. That each module has its answers
# looked at, and what of them is refused, is said one by one in tests/unit/plugins/plugin_utils/test_answers.py.
RESTARTS = ("host_lock", "crash_snapshot", "clean_leftovers")


@dataclass
class Scene:
    """A fleet with a host that can be compromised, and with traps."""

    fleet: Fleet
    trap: Path

    @property
    def sprung(self) -> list[str]:
        """What was run that nobody but the liar has named."""
        return sorted(path.name for path in self.trap.iterdir())

    def compromise(self, host: str, module: str, **plan: Any) -> None:
        """Have a host answer a module with what the plan says."""
        told_to = self.fleet.directory / f"{host}.plan"
        told_to.write_text(json.dumps({"module": module, **plan}))
        script = self.fleet.directory / f"python-{host}"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {LIAR} {told_to} {sys.executable} "$@"\n')
        script.chmod(0o755)
        self.fleet.hosts[host]["ansible_python_interpreter"] = str(script)
        self.fleet.over_ssh(host)

    @property
    def orders(self) -> dict[str, Any]:
        """Facts by which the host would have something run elsewhere, or as it likes."""
        touch = [shutil.which("touch"), str(self.trap / "command")]
        program = self.trap.with_name("program")
        program.write_text(f"#!/bin/sh\ntouch {self.trap}/program\n")
        program.chmod(0o755)
        service = {**self.fleet.service("p1"), "start_command": touch, "pool": "chat"}
        balancer = {"kind": "file_sd", "host": "victim", "file": str(self.trap / "file")}
        return {
            "autoglm_services": [service],
            "autoglm_pools": {"chat": {"balancers": [balancer]}},
            "autoglm_balancers": [balancer],
            "autoglm_service": service,
            "autoglm_require_evidence": False,
            "autoglm_asked_by_person": True,
            "autoglm_evidence_dir": str(self.trap / "evidence"),
            "autoglm_target": {"host": "victim"},
            "force": True,
            "target": "victim",
            "ansible_host": "victim",
            "ansible_sftp_executable": str(program),
            "ansible_python_interpreter": str(program),
            "ansible_delegated_vars": {"victim": {}},
        }

    def victim(self) -> None:
        """Add a host that is not to be touched."""
        witness = self.fleet.directory / "python-victim"
        witness.write_text(f'#!/bin/sh\ntouch {self.trap}/victim\nexec {sys.executable} "$@"\n')
        witness.chmod(0o755)
        own = {"ansible_python_interpreter": str(witness), "autoglm_services": []}
        self.fleet.hosts["victim"] = {**self.fleet.hosts["p1"], **own}


@pytest.fixture
def scene(fleet: Fleet, tmp_path: Path) -> Scene:
    """p1 has a process that no engine answers for, so that all steps up to the proof are gone through."""
    trap = tmp_path / "trap"
    trap.mkdir()
    fleet.add(
        "p1",
        url="http://127.0.0.1:9",
        start_command=["/bin/sleep", "600"],
        ready_timeout=2,
        stop_timeout=5,
        checkpoint={"store": str(tmp_path / "store"), "source": str(tmp_path / "trap"), "format": "files"},
    )
    acting.start(open_service(fleet.service("p1"), 60.0), 10)
    one = Scene(fleet, trap)
    one.victim()
    return one


@pytest.mark.parametrize("module", RESTARTS)
def test_facts_are_refused_whoever_ignores_errors(scene: Scene, module: str) -> None:
    """Evidence and checkpoint may fail, and the clean-up has a rescue; this is no failure of theirs."""
    scene.compromise("p1", module, adds={"ansible_facts": scene.orders})
    done = scene.fleet.run("restart_process", {**BY_HAND, "autoglm_require_evidence": "false"})
    assert done.returncode != 0
    assert f"p1 answered autoglm.recovery.{module} with ansible_facts (ansible_delegated_vars" in told(done)
    assert "it may be compromised" in told(done)
    assert scene.sprung == []


@pytest.mark.parametrize(
    ("adds", "named"),
    [
        ({"ansible_stats": {"data": {"autoglm_target": {"host": "victim"}}, "per_host": False}}, "ansible_stats"),
        ({"add_host": {"host_name": "victim2", "groups": ["all"], "host_vars": {}}, "changed": True}, "add_host"),
        ({"results": [{"ansible_facts": {"autoglm_pools": {}}}]}, "results"),
    ],
)
def test_what_ansible_would_act_on_is_refused(scene: Scene, adds: dict[str, Any], named: str) -> None:
    scene.compromise("p1", "inference_health", adds=adds)
    done = scene.fleet.run("restart_process", BY_HAND)
    assert done.returncode != 0
    assert f"answered autoglm.recovery.inference_health with {named}" in told(done)
    assert scene.sprung == []


@pytest.mark.parametrize(
    "plan",
    [
        {"text": "Traceback (most recent call last):\n  {{ lookup('pipe', 'touch TRAP/jinja') }}", "rc": 1},
        {"text": '{"a": ' + "[" * 200_000},
        {
            "adds": {
                **dict.fromkeys(("msg", "exception", "failed", "verdict"), "{{ lookup('pipe', 'touch TRAP/jinja') }}"),
                "warnings": ["{{ lookup('pipe', 'touch TRAP/jinja') }}", {"a": 1}, 7],
                "deprecations": {"x": [1]},
            }
        },
        {"adds": {"inference": {"service": "{{ lookup('pipe', 'touch TRAP/jinja') }}"}, "reasons": {"x": "y"}}},
    ],
    ids=["exception", "deep", "templates", "other types"],
)
def test_nonsense_is_data(scene: Scene, plan: dict[str, Any]) -> None:
    plan = json.loads(json.dumps(plan).replace("TRAP", str(scene.trap)))
    scene.compromise("p1", "inference_health", **plan)
    done = scene.fleet.run("restart_process", BY_HAND)
    assert done.returncode != 0  # at the latest because nothing is proven
    assert scene.sprung == []


def test_an_answer_without_an_end_is_cut_off(scene: Scene) -> None:
    """The process on the controller would grow until the kernel ended it, or something else."""
    scene.compromise("p1", "inference_health", endless=True)
    done = scene.fleet.run("check_service", {"target": "p1"})
    assert done.returncode != 0
    assert "answered autoglm.recovery.inference_health with more than 16 MiB" in told(done)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 * 2**20  # KiB


def gathered(scene: Scene, **variables: str) -> dict[str, str]:
    """Have a playbook of somebody's ask the host for its facts; return the variables with which their cache is read."""
    play = scene.fleet.directory / "gather.yml"
    play.write_text(json.dumps([{"hosts": "p1", "gather_facts": True, "tasks": []}]))
    scene.compromise("p1", "setup", adds={"ansible_facts": scene.orders})
    cache = {
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(scene.fleet.directory / "cache"),
        **variables,
    }
    done = scene.fleet.run_file(play, **cache)
    assert done.returncode == 0, told(done)
    assert "autoglm_pools" in "".join(path.read_text() for path in (scene.fleet.directory / "cache").iterdir())
    return cache


# What each playbook is asked with. Another one is to be added here.
REVIVED = {
    "check_service": {"target": "p1"},
    "clear_queue_and_reset": {"target": "p1"},
    "drill": {"target": "p1"},
    "look_at_hosts": {"autoglm_look": {"p1": {"balancers": [NOWHERE]}}},
    "isolate_and_snapshot": {"target": "p1", "reason": "a shell"},
    "quarantine_node": {"target": "p1", "reason": "it burns"},
    "reboot_node": {"target": "p1"},
    "reset_gpu": {"target": "p1", "gpu": "GPU-0"},
    "restart_process": BY_HAND,
    "retry_with_backoff": {"target": "p1"},
    "return_node": {"target": "p1"},
    "rolling_restart": {"pool": "chat"},
    "safe_shutdown": {"target": "p1", "reason": "it burns"},
    "shed_load": {"target": "p1"},
    "switch_comm_path": {"target": "p1"},
    "try_run": {"autoglm_expected": {"p1": ["llama"]}},
}


def test_a_fact_cache_revives_nothing(scene: Scene) -> None:
    """A playbook of somebody's asked the host for its facts, and a cache keeps them; facts are made variables."""
    scene.fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": {"kind": "file_sd", "file": "/nowhere/sd.json"}}}
    cache = gathered(scene, ANSIBLE_INJECT_FACT_VARS="True")
    assert set(REVIVED) == set(OF_HOSTS)
    for playbook, asked in REVIVED.items():
        done = scene.fleet.run(playbook, asked, "--limit", "p1", **cache)
        assert done.returncode != 0, told(done)
        assert "facts replace what the inventory says" in told(done), playbook
        assert "p1 ansible_sftp_executable, p1 autoglm_asked_by_person" in told(done)

    # A balancer's host is asked too, in the name of another host.
    scene.fleet.add("behind")
    scene.fleet.group_vars["autoglm_pools"]["chat"]["balancer"]["host"] = "p1"
    done = scene.fleet.run("restart_process", {"target": "behind"}, **cache)
    assert "facts replace what the inventory says (p1 ansible_sftp_executable, p1" in told(done)
    assert scene.fleet.pid("behind") is None
    assert scene.sprung == []
    assert scene.fleet.pid("p1") is not None


def test_a_fact_cache_says_nothing_where_facts_are_no_variables(scene: Scene) -> None:
    cache = gathered(scene, ANSIBLE_INJECT_FACT_VARS="False")
    scene.fleet.hosts["p1"]["ansible_connection"] = "local"  # a whole run without transfers takes half as long
    done = scene.fleet.run("restart_process", BY_HAND, **cache)
    assert done.returncode != 0
    assert scene.sprung == []
    assert scene.fleet.pid("p1") is not None
    assert "ended by SIG" in told(done)  # it was restarted; only the engine never answers


@pytest.mark.parametrize("module", ["drain_inference", "inference_service"])
def test_a_pool_is_not_led_astray(pool: Fleet, tmp_path: Path, module: str) -> None:
    """The first replica of a rolling restart, in each of its steps; the second one is not touched."""
    (tmp_path / "trap").mkdir()
    scene = Scene(pool, tmp_path / "trap")
    scene.victim()
    scene.compromise("p1", module, adds={"ansible_facts": scene.orders})
    second = pool.pid("p2")
    done = pool.run("rolling_restart", {"pool": "chat"})
    assert done.returncode != 0
    assert f"answered autoglm.recovery.{module} with ansible_facts" in told(done)
    assert scene.sprung == []
    assert pool.pid("p2") == second


LOOKS = asked_of_hosts("look_at_hosts")


def test_nobody_is_led_astray_by_a_look(scene: Scene) -> None:
    """A host for each module that the looks use and for each lie, in one run; add_host would change another host."""
    program = scene.orders["ansible_python_interpreter"]
    named = {"host_name": "honest", "host_vars": {"ansible_python_interpreter": program}}
    lies = [{"ansible_facts": scene.orders}, {"add_host": named}]
    honest = scene.fleet.hosts["honest"] = {**scene.fleet.hosts["p1"], "autoglm_services": []}
    for number, (module, adds) in enumerate((module, adds) for module in LOOKS for adds in lies):
        scene.fleet.hosts[f"liar{number}"] = dict(honest)
        scene.compromise(f"liar{number}", module, adds=adds)
    look = {"balancers": [NOWHERE], "urls": [{"url": "http://127.0.0.1:9"}] * 2}
    asked = {"autoglm_look": dict.fromkeys(scene.fleet.hosts, look)}
    done = scene.fleet.run("look_at_hosts", asked, "--limit", "liar*:honest", "--forks", "8")
    assert scene.sprung == []
    assert done.returncode != 0
    for number, module in enumerate(module for module in LOOKS for _ in lies):
        lie = "add_host" if number % 2 else "ansible_facts"
        of = "autoglm.recovery" if module == "drain_inference" else "ansible.builtin"
        assert f"liar{number} answered {of}.{module} with {lie}" in told(done)
    assert re.search(r"honest +: ok=5 .* unreachable=0 +failed=0", done.stdout)


def test_a_balancer_s_host_is_not_believed_either(pool: Fleet, tmp_path: Path) -> None:
    """It is asked about every replica, and what it answers would be their variables."""
    (tmp_path / "trap").mkdir()
    scene = Scene(pool, tmp_path / "trap")
    pool.hosts["lb"] = {**pool.hosts["p1"], "autoglm_services": []}
    pool.group_vars["autoglm_pools"]["chat"]["balancer"]["host"] = "lb"
    scene.compromise("lb", "drain_inference", adds={"ansible_facts": scene.orders})
    before = {host: pool.pid(host) for host in ("p1", "p2")}
    done = pool.run("rolling_restart", {"pool": "chat"})
    assert done.returncode != 0
    assert "lb answered autoglm.recovery.drain_inference with ansible_facts" in told(done)
    assert scene.sprung == []
    assert {host: pool.pid(host) for host in ("p1", "p2")} == before
