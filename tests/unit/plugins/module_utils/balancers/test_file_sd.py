# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Target files: the target goes and comes back where it was, and nothing else of the file changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.file_sd import FileSd
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import (
    BalancerError,
    BalancerNotSupported,
)

GROUPS = [
    {"targets": ["a:80", "b:80"], "labels": {"model": "chat"}},
    {"targets": ["c:80"]},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps(GROUPS, indent=2))
    return path


def admins(balancer: FileSd) -> dict[str, str]:
    return {member.name: member.admin for member in balancer.members()}


@pytest.mark.parametrize("label", [None, "drained"])
def test_there_and_back(path: Path, label: str | None) -> None:
    balancer = FileSd(str(path), label, lock_dir=str(path.parent))
    balancer.drain("a:80")
    assert admins(balancer) == {"a:80": "drained", "b:80": "active", "c:80": "active"}
    if label:
        assert {"targets": ["a:80"], "labels": {"model": "chat", "drained": "true"}} in json.loads(path.read_text())
    else:
        assert "a:80" not in path.read_text()
    balancer.drain("a:80")
    balancer.drain("c:80")  # the last of its group
    balancer.ready("c:80")
    balancer.ready("a:80")
    assert set(admins(balancer).values()) == {"active"}
    after = json.loads(path.read_text())
    assert {frozenset(group["targets"]): group.get("labels") for group in after} == {
        frozenset(["a:80", "b:80"]): {"model": "chat"},
        frozenset(["c:80"]): None,
    }


def test_a_task_killed_between_its_two_files_has_lost_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    balancer = FileSd(str(path), lock_dir=str(path.parent))
    monkeypatch.setattr(balancer, "_edit_groups", lambda _change: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        balancer.drain("a:80")
    again = FileSd(str(path), lock_dir=str(path.parent))
    assert admins(again)["a:80"] == "active"
    again.drain("a:80")
    again.ready("a:80")
    assert json.loads(path.read_text())[0]["labels"] == {"model": "chat"}


def test_yaml_is_kept_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "targets.yml"
    path.write_text("# managed by hand\n- targets: [a:80, b:80]\n")
    FileSd(str(path), lock_dir=str(tmp_path)).drain("a:80")
    assert path.read_text() == "# managed by hand\n- targets:\n  - b:80\n"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"targets": []}', '[{"targets": "a:80"}]', '[{"targets": [1]}]', "[1]", "[]"]
)
def test_what_is_no_target_file(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(BalancerError):
        FileSd(str(path)).members()


def test_what_a_file_cannot_tell(path: Path) -> None:
    balancer = FileSd(str(path))
    assert balancer.in_flight("a:80").kind == "unsupported"
    with pytest.raises(BalancerNotSupported):
        balancer.weight("a:80")
    with pytest.raises(BalancerError, match="it has: a:80, b:80, c:80"):
        balancer.drain("d:80")


def test_what_keeps_a_file_from_being_written_anew(path: Path) -> None:
    balancer = FileSd(str(path))
    assert balancer.obstacles() == []
    balancer.drain("a:80")
    (path.parent / ".targets.json.drained").unlink()
    (path.parent / ".targets.json.drained").mkdir()
    with pytest.raises(BalancerError, match=r"\.drained cannot be read"):
        balancer.obstacles()
    commented = path.with_suffix(".yml")
    commented.write_text("- targets: [a:80]\n# by hand\n")
    with pytest.raises(BalancerError, match="has comments in line 2"):
        FileSd(str(commented)).obstacles()
