# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root may do is declared of an inventory that is right, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from autoglm_recovery.root.declared import DeclarationError, declaration

SERVICE = {"name": "llama", "pool": "chat", "engine": "vllm", "url": "http://127.0.0.1:8000", "unit": "llama.service"}
NGINX = {"kind": "nginx", "config": "/etc/nginx/nginx.conf"}


def hosts(pools: Any, **service: Any) -> dict[str, dict[str, Any]]:
    """Return the variables of an inventory of one host."""
    return {"node-a": {"autoglm_services": [{**SERVICE, **service}], "autoglm_pools": pools}}


@pytest.mark.parametrize("pool", [{"balancer": NGINX}, {"balancers": [NGINX]}])
def test_a_balancer_is_declared_in_front_of_each_of_its_replicas(pool: dict[str, Any]) -> None:
    drains = declaration("node-a", hosts({"chat": pool}))["drains"]
    assert [(row["state"], row["balancer"]) for row in drains] == [
        ("queried", NGINX),
        ("active", NGINX),
        ("drained", NGINX),
    ]


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        (["chat"], "autoglm_pools of node-a must be a mapping"),
        ({"chat": "nginx"}, "pool chat in autoglm_pools of node-a must be a mapping, not a text"),
        ({"chat": {"balancers": NGINX}}, "balancers of pool chat in autoglm_pools of node-a must be a list"),
        ({"chat": {"balancers": 5}}, "balancers of pool chat in autoglm_pools of node-a must be a list"),
        ({"chat": {"balancers": ["nginx"]}}, "a balancer of pool chat in autoglm_pools of node-a must be a mapping"),
        ({"chat": {"balancer": "{{ nginx }}"}}, "a balancer of pool chat in autoglm_pools of node-a must be a mapping"),
        ({"chat": {"balancer": None}}, "a balancer of pool chat in autoglm_pools of node-a must be a mapping"),
    ],
)
def test_pools_of_which_nothing_can_be_declared_are_refused(pools: Any, said: str) -> None:
    with pytest.raises(DeclarationError, match=f"^{said}"):
        declaration("node-a", hosts(pools))


def test_a_checkpoint_of_which_nothing_can_be_declared_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"^the checkpoint of service llama of node-a must be a mapping"):
        declaration("node-a", hosts({}, checkpoint="/checkpoints"))


def test_nothing_is_written_where_a_part_would_be_missing(tmp_path: Path) -> None:
    inventory, out = tmp_path / "hosts.yml", tmp_path / "root"
    inventory.write_text(json.dumps({"all": {"hosts": hosts({"chat": {"balancers": NGINX}})}}))
    result = CliRunner().invoke(app, ["root", "-i", str(inventory), "--out", str(out)])
    assert result.exit_code == 1
    assert "balancers of pool chat in autoglm_pools of node-a must be a list" in result.stderr
    assert "autoglm check POLICY -i" in result.stderr
    assert not out.exists()
