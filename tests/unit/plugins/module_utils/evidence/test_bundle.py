# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: complete or not there, within their limits, and never in each other's place."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import bundle, retention
from ansible_collections.autoglm.recovery.plugins.module_utils.host.piece import Collected, Part, Piece
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread

LIMITS = bundle.BundleLimits(1024 * 1024, 60.0)
HEAD = {"host": "node-a", "taken_at": "2026-11-22T20:59:00.000Z"}


def part(name: str) -> Part:
    return Part(name, lambda: Piece("", ""))


def reader(part: Part, limit: int) -> Collected:
    """Stands in for the reading child: the content is the part's name, repeated."""
    if part.name == "bad":
        raise Unread("no journal")
    content = part.name.encode() * 1000
    return Collected(content[:limit], len(content), "test", ())


def write(path: Path, *names: str, limits: bundle.BundleLimits = LIMITS) -> bundle.FinishedBundle:
    return bundle.write(path, HEAD, [part(name) for name in names], limits, reader)


def test_a_bundle_tells_what_it_holds(tmp_path: Path) -> None:
    written = write(tmp_path / "ev" / "inc", "a", "bad", "b")
    manifest = json.loads((written.path / "manifest.json").read_text())
    assert written.path == tmp_path / "ev" / "inc"
    assert [entry["name"] for entry in manifest["parts"]] == ["a", "b"]
    assert manifest["unreadable"] == [{"name": "bad", "reason": "no journal"}]
    entry = manifest["parts"][0]
    assert entry["sha256"] == hashlib.sha256((written.path / "a").read_bytes()).hexdigest()
    assert (entry["bytes"], entry["truncated_from"]) == (1000, None)
    assert manifest["host"] == "node-a"


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    written = write(tmp_path / "ev" / "inc", "a")
    assert (tmp_path / "ev").stat().st_mode & 0o777 == 0o700
    assert written.path.stat().st_mode & 0o777 == 0o700
    assert (written.path / "a").stat().st_mode & 0o777 == 0o600


def test_size_is_kept_and_the_cut_is_told(tmp_path: Path) -> None:
    written = write(tmp_path / "inc", "a", "b", "c", limits=bundle.BundleLimits(3000, 60.0))
    assert written.truncated == ("b",)
    assert written.unreadable == {"c": "not collected: the bundle's size limit was reached"}


def test_time_is_kept(tmp_path: Path) -> None:
    written = write(tmp_path / "inc", "a", limits=bundle.BundleLimits(3000, 0.0))
    assert written.unreadable == {"a": "not collected: the time for the whole bundle was over"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first, second = write(tmp_path / "inc", "a"), write(tmp_path / "inc", "b")
    assert second.path == tmp_path / "inc.2"
    assert (first.path / "a").exists()


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "_write_file", full)
    with pytest.raises(bundle.SnapshotError, match="No space left"):
        write(tmp_path / "inc", "a")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_bundle_is_not_taken_for_one(tmp_path: Path) -> None:
    def killed(_part: Part, _limit: int) -> Collected:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.write(tmp_path / "inc", HEAD, [part("a")], LIMITS, killed)
    (tmp_path / ".partial-x").mkdir()
    (tmp_path / ".partial-x" / "manifest.json").write_text(json.dumps({"format": bundle.FORMAT}))
    assert list(bundle.bundles(tmp_path)) == []


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"format": "other"}', "[" * 100000])
def test_other_directories_are_not_bundles(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "manifest.json").write_text(manifest)
    assert list(bundle.bundles(tmp_path)) == []
    assert list(bundle.bundles(tmp_path / "absent")) == []


def test_free_space_is_respected(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert bundle.budget(tmp_path / "not" / "yet", 1000, 0) == 1000
    with pytest.raises(bundle.SnapshotError, match="min_free"):
        bundle.budget(tmp_path, 1024**2, free * 2)


def test_a_destination_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(bundle.SnapshotError):
        write(tmp_path / "file" / "inc", "a")


def manifest(host: str, taken_at: str) -> dict[str, str]:
    return {"host": host, "taken_at": taken_at}


def test_the_oldest_of_the_own_host_are_surplus() -> None:
    found = [(Path(f"/{host}{day}"), manifest(host, f"2026-11-0{day}")) for host in "ab" for day in (3, 1, 2)]
    new = Path("/a3")
    assert retention.surplus(found, "a", 2, new) == [Path("/a1")]
    assert retention.surplus(found, "a", 1, new) == [Path("/a1"), Path("/a2")]
    assert retention.surplus(found, "a", 9, new) == []
    assert retention.surplus(found, "a", 0, new) == []


def test_the_new_one_is_never_surplus_even_if_the_clock_went_back() -> None:
    found = [(Path(f"/{day}"), manifest("a", f"2026-11-0{day}")) for day in (1, 2, 3)]
    assert Path("/1") not in retention.surplus(found, "a", 1, new=Path("/1"))


def test_retention_removes_the_surplus_and_the_abandoned_only(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, "a")
    abandoned, fresh, other = (tmp_path / name for name in (".partial-old", ".partial-new", "not-ours"))
    for path in (abandoned, fresh, other):
        path.mkdir()
    os.utime(abandoned, (time.time() - 7200,) * 2)
    removed, complaints = retention.apply(tmp_path, "node-a", 1, tmp_path / "two")
    assert removed == [str(tmp_path / "one"), str(abandoned)]
    assert complaints == []
    assert {path.name for path in tmp_path.iterdir()} == {"two", ".partial-new", "not-ours"}
