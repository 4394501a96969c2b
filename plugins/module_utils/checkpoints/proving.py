# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a checkpoint in a store is complete and unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import manifest
from .copying import copy, for_each
from .formats import prove
from .manifest import Manifest, ManifestEntry
from .problems import Damaged
from .store import Store
from .tree import Tree, read_tree


@dataclass(frozen=True)
class CheckpointFinding:
    """The result for one checkpoint. reason: why it does not verify, None if it does."""

    id: str
    manifest: Manifest | None
    reason: str | None


def read(store: Store, series: str, identity: str, key: str | None) -> Manifest:
    """The manifest, checked and compared with the names and sizes of the stored files. Raises Damaged."""
    found = manifest.decode(store.manifest(series, identity), series, identity, key)
    there = store.sizes(series, identity)
    for name, entry in found.files.items():
        if name not in there:
            raise Damaged(f"{name} is missing")
        if there[name] != entry.bytes:
            raise Damaged(f"{name} has {there[name]} bytes and should have {entry.bytes}")
    strangers = sorted(set(there) - set(found.files))
    if strangers:
        raise Damaged(f"{strangers[0][:120]} is there and not in the manifest")
    return found


def check(store: Store, series: str, identity: str, key: str | None) -> Manifest:
    """Compare every byte with the manifest. Raises Damaged, and CheckpointError where the store does not answer."""
    with store.hold(series, identity):
        found = read(store, series, identity, key)

        def digest(name: str) -> ManifestEntry:
            with store.open(series, identity, name) as stream:
                return copy(stream, None)

        same(for_each(list(found.files), digest), found)
        place = store.tree(series, identity)
        if place is not None:
            only = next(iter(found.files))
            prove(read_tree(place / only if found.layout == "file" else place), found.format)
        return found


def same(files: dict[str, ManifestEntry], wanted: Manifest) -> None:
    """Compare digests with the manifest. Raises Damaged for the first file that differs."""
    for name, entry in files.items():
        if entry != wanted.files[name]:
            raise Damaged(f"{name} was changed: its SHA-256 is not the one in the manifest")


def holds(tree: Tree, wanted: Manifest) -> bool:
    """Whether a tree holds exactly the files of a manifest. Raises Damaged where it cannot be read."""
    name_of = {tree.root.name: next(iter(wanted.files))} if wanted.layout == "file" else {}
    sizes = {name_of.get(name, name): size for name, size in tree.files.items()}
    if tree.is_file != (wanted.layout == "file") or sizes != {name: each.bytes for name, each in wanted.files.items()}:
        return False
    for name in tree.files:
        with tree.open(name) as stream:
            if copy(stream, None) != wanted.files[name_of.get(name, name)]:
                return False
    return True


def survey(store: Store, series: str, key: str | None, identity: str | None = None) -> Iterator[CheckpointFinding]:
    """Verify every checkpoint of a series, newest first, or one. Raises CheckpointError if the store is silent."""
    for each in store.ids(series) if identity is None else [identity]:
        try:
            yield CheckpointFinding(each, check(store, series, each, key), None)
        except Damaged as error:
            yield CheckpointFinding(each, None, str(error))
