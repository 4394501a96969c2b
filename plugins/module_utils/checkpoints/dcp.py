# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of C(torch.distributed.checkpoint): C(.metadata), a pickle, and C(*.distcp), which hold slices.

After torch/distributed/checkpoint/filesystem.py: C(.metadata) is written last, and maps each item to a C(_StorageInfo)
with file, offset and length.  A slice of a tensor is a file of C(torch.save), and so has CRCs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import BinaryIO, cast

from . import torch_zip
from .names import check_relative, is_count
from .pickles import PickledObject, PickleGlobal, read_pickle
from .problems import Damaged
from .tree import Tree

METADATA = ".metadata"


def verify(tree: Tree) -> tuple[int, tuple[str, ...]]:
    """Prove that every slice is where the metadata says. Returns the number of slices, and remarks."""
    with tree.open(METADATA) as stream:
        contents = read_pickle(stream, METADATA)
    harmful = contents.harmful()
    if harmful:
        raise Damaged(f"{METADATA}: would run {', '.join(harmful[:5])[:200]} when it is loaded")
    slices = _slices_by_file(contents.made)
    if not slices:
        raise Damaged(f"{METADATA}: names no slice of any file")
    opaque = 0
    for name, spans in slices.items():
        opaque += _check_file(tree, name, sorted(spans))
    remarks = (f"{opaque} slices hold no tensor and so carry no CRC",) if opaque else ()
    return sum(map(len, slices.values())), remarks


def _slices_by_file(made: Iterable[PickledObject]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for each in made:
        if (
            not isinstance(each.of, PickleGlobal)
            or each.of.name != "_StorageInfo"
            or not isinstance(each.state, PickledObject)
        ):
            continue
        state = {key: value for key, value in each.state.pairs if isinstance(key, str)}
        offset, length = state.get("offset"), state.get("length")
        if not is_count(offset) or not is_count(length):
            raise Damaged(f"{METADATA}: holds a slice without offset or length")
        name = check_relative(state.get("relative_path"), f"{METADATA}: file")
        found.setdefault(name, []).append((cast("int", offset), cast("int", length)))
    return found


def _check_file(tree: Tree, name: str, spans: list[tuple[int, int]]) -> int:
    """Compare one file with its slices. Returns how many slices are not tensors."""
    if name not in tree.files:
        raise Damaged(f"{name}: is missing")
    end = max(offset + length for offset, length in spans)
    if end != tree.files[name]:
        raise Damaged(f"{name}: has {tree.files[name]} bytes, its slices end at {end}")
    opaque, at = 0, 0
    with tree.open(name) as stream:
        for offset, length in dict.fromkeys(spans):
            if offset < at:
                raise Damaged(f"{name}: the slice at {offset} begins within another one")
            at = offset + length
            window = FileWindow(stream, offset, length)
            if window.read(4) != torch_zip.MAGIC:
                opaque += 1
                continue
            window.seek(0)
            torch_zip.verify(cast("BinaryIO", window), f"{name} at {offset}")
    return opaque


class FileWindow(io.RawIOBase):
    """A part of a file, read as a file of its own."""

    def __init__(self, stream: BinaryIO, offset: int, length: int) -> None:
        super().__init__()
        self._stream, self._offset, self._length, self._at = stream, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._at)
        self._stream.seek(self._offset + self._at)
        found = self._stream.read(left if size < 0 else min(size, left))
        self._at += len(found)
        return found
