# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a drain could be done: what the balancer's obstacles, its pool and the lock come to."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.file_sd import FileSd
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError, Obstacle
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.querying import query


def targets(folder: Path) -> FileSd:
    """A pool of two, in a file."""
    (folder / "targets.json").write_text(json.dumps([{"targets": ["a:80", "b:80"]}]))
    return FileSd(str(folder / "targets.json"))


def test_a_drain_that_could_be_done(tmp_path: Path) -> None:
    found = query(targets(tmp_path), str(tmp_path / "locks"), "a:80")
    assert (found.outcome, found.ok, found.changed, found.obstacles) == ("queried", True, False, [])
    assert found.before is not None
    assert found.before.name == "a:80"
    assert found.reasons == ["a drain could be done; the pool has a:80, b:80"]
    assert not (tmp_path / "locks").exists()


def test_what_could_not_be_asked_is_told_once(tmp_path: Path) -> None:
    found = query(FileSd("/nowhere.json"), str(tmp_path))
    assert (found.outcome, found.ok, found.pool) == ("refused", False, ())
    assert [each.what for each in found.obstacles] == ["/nowhere.json cannot be read: No such file or directory"]
    assert "does it run" in found.obstacles[0].do


def test_the_pool_is_told_beside_what_is_in_the_way(tmp_path: Path, monkeypatch) -> None:
    balancer = targets(tmp_path)
    monkeypatch.setattr(balancer, "obstacles", lambda: [Obstacle("its level is operator", "level admin")])
    found = query(balancer, str(tmp_path), "c:80")
    assert [each.what for each in found.obstacles] == [
        "its level is operator",
        "the balancer has no server 'c:80'; it has: a:80, b:80",
    ]
    assert found.reasons == [each.what for each in found.obstacles]
    assert len(found.pool) == 2


def test_a_pool_that_is_not_read_is_in_the_way_by_itself(tmp_path: Path, monkeypatch) -> None:
    balancer = targets(tmp_path)

    def gone() -> None:
        raise BalancerError("unknown_backend", "no such backend")

    monkeypatch.setattr(balancer, "members", gone)
    assert query(balancer, str(tmp_path)).obstacles == [
        Obstacle("no such backend", "correct the balancer's backend or file")
    ]
    monkeypatch.setattr(balancer, "obstacles", lambda: [Obstacle("why")])
    assert query(balancer, str(tmp_path)).obstacles == [Obstacle("why")]
