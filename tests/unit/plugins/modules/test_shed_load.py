# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module shed_load: what it refuses before it asks anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import shed_load


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """A file of two targets, which has neither weights nor limits."""
    path = tmp_path / "targets.json"
    path.write_text(json.dumps([{"targets": ["a:80", "b:80"]}]))
    pool = {"kind": "file_sd", "file": str(path), "lock_dir": str(tmp_path)}
    return {"state": "shed", "server": "a:80", "balancer": pool, "note_dir": str(tmp_path / "notes")}


def test_a_balancer_without_weights_says_so(run_module, asked: dict[str, Any], tmp_path: Path) -> None:
    told = run_module(shed_load, **asked, count_unchecked=True)
    assert told["failed"]
    assert "load cannot be shed at this balancer: no weight is changed: a file of targets has no weights" in told["msg"]
    assert (told["outcome"], told["changed"], told["share"], told["note"]) == ("refused", False, 100, None)
    assert not (tmp_path / "notes").exists()


def test_what_was_never_shed_is_whole_without_a_question(run_module, asked: dict[str, Any]) -> None:
    asked["balancer"]["file"] = "/nowhere/targets.json"
    for state in ("raised", "restored"):
        told = run_module(shed_load, **{**asked, "state": state})
        assert (told["outcome"], told["changed"]) == ("whole", False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"share": 0}, "share must be from 1 to 99, not 0"),
        ({"share": 100}, "share must be from 1 to 99"),
        ({"steps": 0}, "steps must be from 1"),
        ({"limit": 0}, "limit must be from 1"),
        ({"max_reduced": 101}, "max_reduced must be from 1 to 100"),
        ({"min_available": "some"}, "min_available must be a number of servers"),
        ({"server": "a b"}, "is no name"),
        ({"note_dir": "notes"}, "note_dir must be an absolute path"),
        ({"peers": {"b:80": "http://127.0.0.1:9"}}, "peers need engine"),
    ],
)
def test_what_makes_no_sense_is_refused(run_module, asked: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    told = run_module(shed_load, **{**asked, **changes})
    assert told["failed"]
    assert words in told["msg"]
