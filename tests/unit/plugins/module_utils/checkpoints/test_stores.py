# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving, proving, restoring and retention: whole or absent, and what was changed is passed over with a reason."""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import (
    manifest,
    names,
    proving,
    restoring,
    retention,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.local_store import LocalStore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.object_store import ObjectStore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError, Damaged
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.restoring import RestoreTarget, restore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.retention import (
    RetentionRules,
    prune,
    surplus,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.saving import (
    SavedCheckpoint,
    SaveRequest,
    save,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.store import Store
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.stores import open_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.checkpoints import builders

KEY = "a-key-that-the-store-does-not-have"
OPEN = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def keep(store: Store, source: Path, fill: float = 1.0, key: str | None = None) -> SavedCheckpoint:
    """Save a checkpoint whose values are all the same."""
    builders.safetensors_file(source, fill=fill)
    return save(store, SaveRequest("m", source, signing_key=key))


def problem(store: Store, identity: str, key: str | None = None) -> str | None:
    return next(proving.survey(store, "m", key, identity)).reason


def bend(store: Store, identity: str, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a stored file behind the store's back. name: below the checkpoint."""
    if isinstance(store, LocalStore):
        path = store.root / "m" / identity / name
        path.write_bytes(change(path.read_bytes()))
    else:
        assert isinstance(store, ObjectStore)
        path = f"{store._root}m/{identity}/{name}"
        store.fs.pipe_file(path, change(store.fs.cat_file(path)))


def flip(at: int, bit: int) -> Callable[[bytes], bytes]:
    return lambda old: old[: at % len(old)] + bytes([old[at % len(old)] ^ 1 << bit]) + old[at % len(old) + 1 :]


def test_what_was_saved_verifies_and_comes_back(store: Store, tmp_path: Path) -> None:
    source = builders.hf_sharded(tmp_path / "model")
    done = save(store, SaveRequest("m", source))
    assert problem(store, done.id) is None
    back = restore(store, "m", RestoreTarget(tmp_path / "back"), None)
    assert (back.changed, back.skipped) == (True, {})
    assert {path.name: path.read_bytes() for path in source.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()
    }
    assert not restore(store, "m", RestoreTarget(tmp_path / "back"), None).changed


def test_a_file_comes_back_as_a_file_under_any_name(store: Store, tmp_path: Path) -> None:
    keep(store, tmp_path / "m.safetensors")
    restore(store, "m", RestoreTarget(tmp_path / "other"), None)
    assert (tmp_path / "other").read_bytes() == (tmp_path / "m.safetensors").read_bytes()
    assert not restore(store, "m", RestoreTarget(tmp_path / "other"), None).changed


@pytest.mark.parametrize("what", ["files/m.safetensors", "manifest.json"])
def test_any_flipped_bit_is_seen(store: Store, what: str, tmp_path: Path) -> None:
    done = keep(store, tmp_path / "m.safetensors")
    kept: list[bytes] = []
    bend(store, done.id, what, lambda old: kept.append(old) or old)

    @OPEN
    @given(st.integers(0, 1 << 20), st.integers(0, 7))
    def see(at: int, bit: int) -> None:
        bend(store, done.id, what, flip(at, bit))
        assert problem(store, done.id)
        bend(store, done.id, what, lambda _bent: kept[0])

    see()
    assert problem(store, done.id) is None


@pytest.mark.parametrize("what", ["files/m.safetensors", "manifest.json"])
def test_any_truncation_is_seen(store: Store, what: str, tmp_path: Path) -> None:
    done = keep(store, tmp_path / "m.safetensors")
    kept: list[bytes] = []
    bend(store, done.id, what, lambda old: kept.append(old) or old)

    @OPEN
    @given(st.integers(0, len(kept[0]) - 2))
    def see(length: int) -> None:
        bend(store, done.id, what, lambda _old: kept[0][:length])
        assert problem(store, done.id)

    see()


def test_the_newest_that_verifies_is_restored_and_the_others_are_named(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "m.safetensors"
    good = keep(store, source, 1.0)
    torn, bent = keep(store, source, 2.0), keep(store, source, 3.0)
    bend(store, torn.id, "files/m.safetensors", lambda old: old[:-3])
    bend(store, bent.id, "files/m.safetensors", flip(90, 3))
    back = restore(store, "m", RestoreTarget(tmp_path / "back"), None)
    assert back.manifest.id == good.id
    assert "bytes and should have" in back.skipped[torn.id]
    assert "SHA-256" in back.skipped[bent.id]


def test_nothing_is_restored_when_nothing_verifies(store: Store, tmp_path: Path) -> None:
    done = keep(store, tmp_path / "m.safetensors")
    bend(store, done.id, "manifest.json", lambda old: old[:-40])
    (tmp_path / "back").write_text("what was there before")
    with pytest.raises(CheckpointError, match=r"no checkpoint that verifies.*no JSON"):
        restore(store, "m", RestoreTarget(tmp_path / "back"), None)
    assert (tmp_path / "back").read_text() == "what was there before"
    assert not list(tmp_path.glob(".autoglm-*"))


class TestTampering:
    """Somebody changes a file and the manifest with it."""

    def forge(
        self, store: Store, done: SavedCheckpoint, change: Callable[[dict], None], key: str | None = None
    ) -> None:
        def rewrite(old: bytes) -> bytes:
            document = json.loads(old)
            del document["digest"]
            document.pop("hmac", None)
            change(document)
            return manifest.encode(document, key)

        bend(store, done.id, "manifest.json", rewrite)

    def test_without_a_key_it_is_not_seen(self, store: Store, tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        self.forge(store, done, lambda document: document.update(source="elsewhere"))
        assert problem(store, done.id) is None

    def test_with_a_key_it_is(self, store: Store, tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors", key=KEY)
        assert problem(store, done.id, KEY) is None
        assert "another key" in (problem(store, done.id, "wrong") or "")
        self.forge(store, done, lambda document: document.update(source="elsewhere"), "the tamperer's own")
        assert "signature is wrong" in (problem(store, done.id, KEY) or "")
        self.forge(store, done, lambda document: document.update(source="elsewhere"))
        assert "not signed" in (problem(store, done.id, KEY) or "")

    @pytest.mark.parametrize(
        "name", ["../../../outside", "/tmp/outside", "a/../../outside", "..", "a//b", "a\x00b", "a\\b", "x" * 2000]
    )
    def test_a_name_never_leads_outside(self, store: Store, name: str, tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        self.forge(store, done, lambda document: document.update(files={name: next(iter(document["files"].values()))}))
        with pytest.raises(CheckpointError, match="no checkpoint that verifies"):
            restore(store, "m", RestoreTarget(tmp_path / "into"), None)
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "store") == ["m.safetensors"]

    @pytest.mark.parametrize("extra", [{"type": "link"}, {"mode": "0o60644"}, {"target": "/etc/shadow"}])
    def test_nothing_but_regular_files_is_described(self, store: Store, extra: dict[str, str], tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        self.forge(store, done, lambda document: next(iter(document["files"].values())).update(extra))
        assert "something other than a regular file" in (problem(store, done.id) or "")

    def test_another_checkpoint_cannot_stand_in(self, store: Store, tmp_path: Path) -> None:
        old, new = keep(store, tmp_path / "m.safetensors", 1.0, KEY), keep(store, tmp_path / "m.safetensors", 2.0, KEY)
        there: list[bytes] = []
        bend(store, old.id, "manifest.json", lambda content: there.append(content) or content)
        bend(store, new.id, "manifest.json", lambda _content: there[0])
        assert "of another checkpoint" in (problem(store, new.id, KEY) or "")


@given(st.text(max_size=40))
def test_a_name_is_plain_or_refused(name: str) -> None:
    try:
        names.check_relative(name)
    except Damaged:
        return
    assert os.path.normpath(os.path.join("/dest", name)) == "/dest/" + name


class TestDirectory:
    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        return LocalStore(tmp_path / "store")

    def test_a_link_in_a_checkpoint_is_refused(self, store: LocalStore, tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        file = store.root / "m" / done.id / "files/m.safetensors"
        file.unlink()
        file.symlink_to(tmp_path / "m.safetensors")
        assert "is a link" in (problem(store, done.id) or "")

    @pytest.mark.parametrize("place", ["files/stranger", "stranger"])
    def test_a_file_that_nobody_saved_is_refused(self, store: LocalStore, place: str, tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        (store.root / "m" / done.id / place).write_text("x")
        assert "stranger" in (problem(store, done.id) or "")

    def test_a_source_that_is_written_to_meanwhile_is_not_saved(self, store: LocalStore, tmp_path: Path) -> None:
        source = builders.safetensors_file(tmp_path / "m.safetensors", {"w": 3_000_000})
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                os.utime(source)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with pytest.raises(CheckpointError, match="written to while it was read"):
                save(store, SaveRequest("m", source))
        finally:
            stop.set()
            writer.join()
        assert store.ids("m") == []
        assert store.leftovers("m", remove=False) == []

    def test_a_save_for_which_there_is_no_room_is_not_begun(self, store: LocalStore, tmp_path: Path) -> None:
        builders.safetensors_file(tmp_path / "m.safetensors")
        with pytest.raises(CheckpointError, match="bytes free"):
            save(store, SaveRequest("m", tmp_path / "m.safetensors", min_free=1 << 60))
        assert not store.root.exists()

    def test_what_a_killed_save_left_goes_and_a_living_one_stays(self, store: LocalStore, tmp_path: Path) -> None:
        dead, alive = store.draft("m", names.new_id(time.time())), store.draft("m", names.new_id(time.time()))
        os.close(dead._lock)  # as the kernel does for a process that was killed
        done = keep(store, tmp_path / "m.safetensors")
        assert [Path(path).name for path in prune(store, "m", RetentionRules(keep=1), None, done.id).leftovers] == [
            f".draft-{dead.id}"
        ]
        assert alive.written().is_dir()
        alive.abandon()

    def test_one_that_is_being_read_stays(self, store: LocalStore, tmp_path: Path) -> None:
        old, new = keep(store, tmp_path / "m.safetensors"), keep(store, tmp_path / "m.safetensors")
        with store.hold("m", old.id):
            done = prune(store, "m", RetentionRules(keep=1), None)
            assert (done.removed, list(done.left)) == ([], [old.id])
            assert re.fullmatch(rf"it is being read by process {os.getpid()} \(.+ of user \d+\)", done.left[old.id])
        assert prune(store, "m", RetentionRules(keep=1), None).removed == [old.id]
        assert store.ids("m") == [new.id]

    def test_what_is_restored_belongs_to_whom_it_belonged(self, store: LocalStore, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        keep(store, tmp_path / "m.safetensors")
        (tmp_path / "place").mkdir()
        os.chown(tmp_path / "place", 1234, 4321)
        restore(store, "m", RestoreTarget(tmp_path / "place/m"), None)
        assert ((tmp_path / "place/m").stat().st_uid, (tmp_path / "place/m").stat().st_gid) == (1234, 4321)

    def test_a_restore_never_follows_a_link(self, store: LocalStore, tmp_path: Path) -> None:
        keep(store, tmp_path / "m.safetensors")
        (tmp_path / "victim").write_text("untouched")
        (tmp_path / "link").symlink_to(tmp_path / "victim")
        with pytest.raises(CheckpointError, match="is a link"):
            restore(store, "m", RestoreTarget(tmp_path / "link"), None)
        assert (tmp_path / "victim").read_text() == "untouched"

    @pytest.mark.parametrize("dest", ["relative/path", "/", "/etc", "/tmp/../etc/x"])
    def test_a_dest_is_a_place_of_its_own(self, store: LocalStore, dest: str) -> None:
        with pytest.raises(ValueError, match="absolute path below"):
            restore(store, "m", RestoreTarget(Path(dest)), None)

    def test_a_directory_is_not_put_in_the_place_of_a_file(self, store: LocalStore, tmp_path: Path) -> None:
        save(store, SaveRequest("m", builders.hf_sharded(tmp_path / "model")))
        (tmp_path / "file").write_text("untouched")
        with pytest.raises(CheckpointError, match="is a file, the checkpoint a directory"):
            restore(store, "m", RestoreTarget(tmp_path / "file"), None)

    def test_what_a_killed_restore_left_is_removed(self, store: LocalStore, tmp_path: Path) -> None:
        keep(store, tmp_path / "m.safetensors")
        left = tmp_path / ".autoglm-restore-back-0123456789ab"
        (left / "files").mkdir(parents=True)
        assert restore(store, "m", RestoreTarget(tmp_path / "back"), None).removed == [str(left)]
        assert not left.exists()

    def test_what_a_living_restore_writes_stays(self, store: LocalStore, tmp_path: Path) -> None:
        keep(store, tmp_path / "m.safetensors")
        living = tmp_path / ".autoglm-restore-back-0123456789ab"
        (living / "files").mkdir(parents=True)
        descriptor = os.open(living, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        restore(store, "m", RestoreTarget(tmp_path / "back"), None)
        assert living.exists()
        os.close(descriptor)


class TestObjects:
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        found = open_store(f"memory://{tmp_path.name}-{time.time_ns()}")
        assert isinstance(found, ObjectStore)
        return found

    def test_files_without_a_manifest_are_nothing(self, store: ObjectStore, tmp_path: Path) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        store.fs.rm_file(f"{store._root}m/{done.id}/manifest.json")
        assert store.ids("m") == []

    def test_and_go_after_a_day(self, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        done = keep(store, tmp_path / "m.safetensors")
        store.fs.rm_file(f"{store._root}m/{done.id}/manifest.json")
        assert store.leftovers("m", remove=True) == []
        later = time.time() + 25 * 3600
        monkeypatch.setattr(time, "time", lambda: later)
        assert store.leftovers("m", remove=True) == [store.location("m", done.id)]
        assert store.leftovers("m", remove=False) == []

    def test_one_that_is_being_read_stays(self, store: ObjectStore, tmp_path: Path) -> None:
        old = keep(store, tmp_path / "m.safetensors")
        keep(store, tmp_path / "m.safetensors")
        with store.hold("m", old.id):
            assert prune(store, "m", RetentionRules(keep=1), None).left == {old.id: "it is being read"}
            assert problem(store, old.id) is None
        assert prune(store, "m", RetentionRules(keep=1), None).removed == [old.id]

    def test_a_reader_who_comes_between_is_seen(
        self, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = keep(store, tmp_path / "m.safetensors")
        leases = iter([False, True])
        monkeypatch.setattr(store, "_has_lease", lambda _series, _identity: next(leases))
        assert store.remove("m", old.id) == "it is being read"
        assert problem(store, old.id) is None

    def test_an_url_shows_no_password(self) -> None:
        with pytest.raises(CheckpointError) as caught:
            open_store("nosuch://user:secret@host/path")
        assert "secret" not in str(caught.value)


class TestRetention:
    IDS = tuple(f"2026112{day}T000000.000000Z-0000000{day}" for day in (4, 3, 2, 1))
    NOW = retention.taken(IDS[0]) + 60

    @pytest.mark.parametrize(
        ("rules", "protected", "due"),
        [
            (RetentionRules(), 0, []),
            (RetentionRules(keep=2), 0, [3, 2]),
            (RetentionRules(keep=1), 3, [2, 1]),
            (RetentionRules(max_age=90_000), 0, [3, 2]),
            (RetentionRules(max_age=0), 0, [3, 2, 1]),
            (RetentionRules(max_age=0), None, [3, 2, 1, 0]),
            (RetentionRules(keep=3, max_age=90_000), 0, [3, 2]),
        ],
    )
    def test_what_is_due(self, rules: RetentionRules, protected: int | None, due: list[int]) -> None:
        kept = None if protected is None else self.IDS[protected]
        assert surplus(self.IDS, rules, self.NOW, kept) == [self.IDS[place] for place in due]

    def test_the_newest_that_verifies_stays_however_old(self, store: Store, tmp_path: Path) -> None:
        good, torn = keep(store, tmp_path / "m.safetensors"), keep(store, tmp_path / "m.safetensors")
        bend(store, torn.id, "files/m.safetensors", lambda old: old[:-1])
        assert prune(store, "m", RetentionRules(keep=1), None).removed == []
        assert prune(store, "m", RetentionRules(max_age=0), None).removed == [torn.id]
        assert store.ids("m") == [good.id]

    def test_nothing_goes_when_nothing_verifies(self, store: Store, tmp_path: Path) -> None:
        ids = [keep(store, tmp_path / "m.safetensors").id for _each in range(2)]
        for identity in ids:
            bend(store, identity, "files/m.safetensors", lambda old: old[:-1])
        assert set(prune(store, "m", RetentionRules(keep=1), None).left) == {ids[0]}
        assert len(store.ids("m")) == 2

    def test_a_dry_run_removes_nothing(self, store: Store, tmp_path: Path) -> None:
        ids = [keep(store, tmp_path / "m.safetensors").id for _each in range(2)]
        assert prune(store, "m", RetentionRules(keep=1), None, dry=True).removed == [ids[0]]
        assert len(store.ids("m")) == 2


def test_two_savers_at_once_do_not_harm_each_other(store: Store, tmp_path: Path) -> None:
    source = builders.safetensors_file(tmp_path / "m.safetensors", {"w": 200_000})
    saved: list[str] = []
    threads = [
        threading.Thread(target=lambda: saved.extend(save(store, SaveRequest("m", source)).id for _each in range(5)))
        for _saver in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(saved) == 20
    assert sorted(saved, reverse=True) == store.ids("m")
    assert all(each.reason is None for each in proving.survey(store, "m", None))


@pytest.mark.parametrize("url", ["relative", "", "./x"])
def test_a_store_is_an_absolute_path_or_a_url(url: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        open_store(url)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "-x", "x" * 65, "ä"])
def test_a_series_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="must begin with"):
        names.check_series(name)


def test_where_directories_cannot_be_exchanged_the_old_one_is_kept_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "_RENAME_EXCHANGE", 1 << 20)  # a flag that no kernel knows, as NFS knows none
    store = LocalStore(tmp_path / "store")
    source = builders.hf_sharded(tmp_path / "model")
    save(store, SaveRequest("m", source))
    (tmp_path / "place/back").mkdir(parents=True)
    (tmp_path / "place/back/old").write_text("old")
    assert restore(store, "m", RestoreTarget(tmp_path / "place/back"), None).changed
    assert {path.name for path in (tmp_path / "place/back").iterdir()} == {path.name for path in source.iterdir()}
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["back"]
