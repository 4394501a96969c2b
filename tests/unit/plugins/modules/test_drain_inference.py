# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module drain_inference: what it refuses before it asks anybody, and what it returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import drain_inference


@pytest.fixture
def pool(tmp_path: Path) -> dict[str, Any]:
    """The simplest real balancer: a file of two targets."""
    path = tmp_path / "targets.json"
    path.write_text(json.dumps([{"targets": ["a:80", "b:80"]}]))
    return {"kind": "file_sd", "file": str(path), "lock_dir": str(tmp_path)}


def ask(run_module, pool: dict[str, Any], **more: Any) -> dict[str, Any]:
    return run_module(drain_inference, **{"state": "drained", "server": "a:80", "balancer": pool, **more})


def test_who_cannot_be_proven_to_serve_is_not_left_alone(run_module, pool: dict[str, Any]) -> None:
    result = ask(run_module, pool)
    assert result["failed"]
    assert result["outcome"] == "refused"
    assert "give peers, or count_unchecked" in result["msg"]


def test_without_a_witness_nothing_is_proven(run_module, pool: dict[str, Any]) -> None:
    result = ask(run_module, pool, count_unchecked=True, deadline=0.1, poll=0.02)
    assert result["outcome"] == "failed"
    assert "no witness can tell" in result["msg"]
    assert result["after"]["admin"] == "active"
    assert not result["changed"]


def test_an_engine_that_is_gone_is_witness_enough(run_module, pool: dict[str, Any]) -> None:
    more = {"count_unchecked": True, "engine": "llama_cpp", "engine_url": "http://127.0.0.1:9", "poll": 0.02}
    predicted = run_module(drain_inference, True, state="drained", server="a:80", balancer=pool, **more)
    assert predicted["changed"]
    assert (predicted["diff"]["before"]["state"], predicted["diff"]["after"]["state"]) == ("active", "drained")
    assert "a:80" in Path(pool["file"]).read_text()
    result = ask(run_module, pool, **more)
    assert result["outcome"] == "drained"
    assert result["in_flight"]["engine"]["kind"] == "gone"
    assert not ask(run_module, pool, **more)["changed"]
    assert ask(run_module, pool, state="active")["changed"]
    assert json.loads(Path(pool["file"]).read_text()) == [{"targets": ["b:80", "a:80"]}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"server": "a b"}, "is no name"),
        ({"server": "-x"}, "is no name"),
        ({"min_available": "many"}, "min_available must be"),
        ({"zeros": 0}, "zeros must be at least 1"),
        ({"deadline": -1}, "deadline must be at least 0"),
        ({"weight": 0}, "to get no traffic a server is drained"),
        ({"engine_url": "http://127.0.0.1:9"}, "need engine"),
        ({"engine": "none", "engine_url": "http://127.0.0.1:9"}, "unknown engine 'none'"),
        ({"engine": "vllm", "engine_url": "127.0.0.1:9"}, "must begin with http"),
        ({"engine": "vllm", "peers": {"b:80": "x"}}, "must begin with http"),
        ({"witnesses": "engine"}, "needs engine_url"),
        ({"balancer": {"kind": "haproxy"}}, "socket"),
        ({"balancer": {"kind": "nginx", "file": "/x"}}, "backend"),
        ({"balancer": {"kind": "traefik"}}, "value of kind must be one of"),
        ({"balancer": {"kind": "haproxy", "socket": "/x", "backend": "a;b"}}, "is no name"),
        ({"balancer": {"kind": "haproxy", "socket": "/x", "backend": "a", "timeout": 0}}, "timeout"),
        ({"balancer": {"kind": "file_sd", "file": "/x", "settle": -1}}, "settle"),
        ({"balancer": {"kind": "command", "commands": {"state": ["x"]}}}, "commands.drain"),
        ({"balancer": {"kind": "file_sd", "file": "/nowhere.json"}}, "/nowhere.json cannot be read"),
    ],
)
def test_what_is_refused(run_module, pool: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    before = Path(pool["file"]).read_text()
    for state in ("drained", "active"):
        result = ask(run_module, pool, **{"state": state, **changes})
        assert result["failed"]
        assert words in result["msg"]
        assert not result.get("changed")
    assert Path(pool["file"]).read_text() == before


@pytest.mark.parametrize("check", [False, True])
def test_a_query_needs_no_server_and_changes_nothing(run_module, pool: dict[str, Any], check: bool) -> None:
    before = Path(pool["file"]).read_text()
    well = run_module(drain_inference, check, state="queried", balancer=pool)
    assert (well["outcome"], well["changed"], well["obstacles"]) == ("queried", False, [])
    assert [member["name"] for member in well["pool"]] == ["a:80", "b:80"]
    assert (well["before"], well["diff"]) == (None, {"before": {}, "after": {}})
    wrong = run_module(drain_inference, check, state="queried", balancer=pool, server="c:80")
    assert wrong["failed"]
    assert wrong["msg"] == "c:80: refused: the balancer has no server 'c:80'; it has: a:80, b:80"
    assert wrong["obstacles"][0]["do"] == "correct the server's name, or add it to the balancer"
    none = run_module(drain_inference, check, state="queried", balancer={**pool, "file": "/nowhere.json"})
    assert none["msg"].startswith("file_sd: refused: /nowhere.json cannot be read")
    assert Path(pool["file"]).read_text() == before
    assert list(Path(pool["lock_dir"]).iterdir()) == [Path(pool["file"])]


@pytest.mark.parametrize("state", ["drained", "active"])
def test_who_is_drained_must_be_said(run_module, pool: dict[str, Any], state: str) -> None:
    assert "state is " + state in run_module(drain_inference, state=state, balancer=pool)["msg"]
