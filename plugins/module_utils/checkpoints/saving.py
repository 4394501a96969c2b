# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving a checkpoint: afterwards it is in the store complete and proven, or not at all."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..host import clocks
from . import manifest, names
from .copying import copy, for_each
from .formats import FormatProof, prove
from .manifest import ManifestEntry
from .problems import CheckpointError, Damaged
from .store import Draft, Store
from .tree import Signature, Tree, read_tree, signature

# Space for the manifest and directories, beside the files.
_OVERHEAD = 1 << 20


@dataclass(frozen=True)
class SaveRequest:
    """What to save. format None: by content.  min_free: bytes to leave free.  notes: further keys of the manifest.

    only: the files of the source directory that belong to the checkpoint, None for all.
    """

    series: str
    source: Path
    only: frozenset[str] | None = None
    format: str | None = None
    signing_key: str | None = None
    min_free: int = 0
    read_back: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint that has been saved."""

    id: str
    location: str
    proof: FormatProof
    files: Mapping[str, ManifestEntry]
    manifest_sha256: str
    taken_at: str
    seconds: float


def save(store: Store, order: SaveRequest) -> SavedCheckpoint:
    """Save one checkpoint. Raises CheckpointError and Damaged, after which the store has nothing new."""
    began = time.monotonic()
    before = signature(order.source, order.only)
    tree = read_tree(order.source, order.only)
    if not tree.files:
        raise Damaged(f"{order.source} holds no file")
    check_room(store.room(order.series), tree.size, order.min_free, store.url)
    at = time.time()
    draft = store.draft(order.series, names.new_id(at))
    try:
        # A draft on this disk is proven itself. For a remote store the local source is proven.
        proof = prove(tree, order.format) if draft.written() is None else None
        files = for_each(list(tree.files), lambda name: _add_file(draft, tree, name))
        _refuse_changed(before, order)
        proof = proof or prove(_tree_to_prove(draft, tree), order.format)
        content = _encode_manifest(order, draft.id, tree, files, proof, at)
        draft.commit(content)
    except BaseException:
        draft.abandon()
        raise
    if order.read_back:
        _compare_stored(store, order.series, draft.id, files)
    read = manifest.decode(content, order.series, draft.id, order.signing_key)
    seconds = round(time.monotonic() - began, 3)
    location = store.location(order.series, draft.id)
    return SavedCheckpoint(draft.id, location, proof, files, read.sha256, read.taken_at, seconds)


def check_room(room: int | None, needed: int, min_free: int, where: str) -> None:
    """Check that there is enough space. Raises CheckpointError."""
    if room is not None and room < needed + min_free + _OVERHEAD:
        raise CheckpointError(
            f"{where} has {room} bytes free; {needed} are to be written and {min_free} must stay free"
        )


def _refuse_changed(before: Mapping[str, Signature], order: SaveRequest) -> None:
    if before != signature(order.source, order.only):
        raise CheckpointError(f"{order.source} was written to while it was read; nothing was saved")


def _add_file(draft: Draft, tree: Tree, name: str) -> ManifestEntry:
    with tree.open(name) as source:
        return draft.add(name, source)


def _tree_to_prove(draft: Draft, tree: Tree) -> Tree:
    written = draft.written()
    if written is None:
        return tree
    return read_tree(written / tree.root.name) if tree.is_file else read_tree(written)


def _encode_manifest(
    order: SaveRequest, identity: str, tree: Tree, files: Mapping[str, ManifestEntry], proof: FormatProof, at: float
) -> bytes:
    document = {
        "kind": manifest.KIND,
        "version": manifest.VERSION,
        "id": identity,
        "series": order.series,
        "format": proof.format,
        "layout": "file" if tree.is_file else "directory",
        "parts": proof.parts,
        "remarks": list(proof.remarks),
        "taken_at": clocks.iso_second(at),
        "source": str(tree.root),
        "host": platform.node(),
        "tool": "autoglm.recovery",
        "bytes": sum(entry.bytes for entry in files.values()),
        "files": {name: {"bytes": entry.bytes, "sha256": entry.sha256} for name, entry in files.items()},
        **order.notes,
    }
    return manifest.encode(document, order.signing_key)


def _compare_stored(store: Store, series: str, identity: str, files: Mapping[str, ManifestEntry]) -> None:
    for name, entry in files.items():
        with store.open(series, identity, name) as stream:
            if copy(stream, None) != entry:
                store.remove(series, identity)
                raise CheckpointError(f"{store.url}: {name} was read back other than it was written; it was removed")
