# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets wherever an inventory may hold one: none is in what ansible-runner keeps of a run, or in what the run prints.

The playbooks run as the receiver runs them. Their events hold what tasks, loops and results are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible_runner
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from .fleet import Fleet

PLANTED = "planted-secret"


def secret(name: str) -> str:
    return f"{PLANTED}-{name}"


def keys(directory: Path) -> dict[str, Any]:
    """What a service may hold."""
    return {
        "url": f"http://user:{secret('url')}@127.0.0.1:9",
        "api_key": secret("api-key"),
        "environment": {"HF_TOKEN": secret("environment"), "ANYTHING": secret("other-environment")},
        "start_command": ["/bin/sh", "-c", "exec sleep 600", "sh", "--api-key", secret("flag"), secret("word")],
        "engine_options": {},
        "ready_timeout": 2,
        "stop_timeout": 5,
        "checkpoint": {
            "store": str(directory / "store"),
            "source": str(directory / "source"),
            "storage_options": {"key": secret("storage")},
            "signing_key": secret("signing"),
        },
    }


@pytest.fixture
def holding(fleet: Fleet, tmp_path: Path) -> Fleet:
    """One host whose inventory holds them all; nothing answers for its service."""
    (tmp_path / "source").mkdir()
    fleet.add("p1", **keys(tmp_path))
    balancer = {"kind": "file_sd", "file": str(tmp_path / "targets.json"), "count_unchecked": True}
    fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": balancer, "note": secret("pool")}}
    fleet.hosts["p1"]["ansible_become_password"] = secret("become")
    acting.start(open_service(fleet.service("p1"), 60.0), 10)
    return fleet


def found(directory: Path) -> Iterator[str]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and PLANTED in path.read_text(errors="replace"):
            text = path.read_text(errors="replace")
            start = text.index(PLANTED)
            yield f"{path.name}: {text[max(0, start - 200) : start + 40]}"


@pytest.mark.parametrize(
    ("playbook", "extra"), [("restart_process", {"target": "p1"}), ("rolling_restart", {"pool": "chat"})]
)
def test_nothing_that_is_kept_of_a_run_holds_one(
    holding: Fleet, tmp_path: Path, playbook: str, extra: dict[str, Any]
) -> None:
    place = tmp_path / "private"
    (place / "project").mkdir(parents=True)
    run = ansible_runner.run(
        private_data_dir=str(place),
        playbook=f"autoglm.recovery.{playbook}",
        cmdline=f"-i {holding.inventory()} -e '{json.dumps(extra)}'",
        envvars=holding.environment(),
        suppress_env_files=True,
        quiet=True,
    )
    events = [event["event"] for event in run.events]
    assert "runner_on_ok" in events
    (place / "printed").write_text(run.stdout.read())
    assert list(found(place)) == []
