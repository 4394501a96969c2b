# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GGUF, versions 2 and 3, as llama.cpp reads it.

After ggml/docs/gguf.md: magic, version, counts, key-value pairs, tensor infos, then the tensors at aligned offsets.
The sizes of a type's blocks are ggml's (C(GGML_QUANT_SIZES) of the package gguf, with which a test compares them).
"""

from __future__ import annotations

import math
import os
import struct
from typing import BinaryIO

from .problems import Damaged, Unsupported

MAGIC = b"GGUF"
_DEFAULT_ALIGNMENT = 32
_MAX_COUNT = 1 << 24
_MAX_TEXT = 1 << 28
_MAX_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
# Bytes of a scalar: uint8, int8, uint16, int16, uint32, int32, float32, bool, uint64, int64, float64.
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Type: (elements of a block, bytes of a block)
# fmt: off
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}
# fmt: on


def verify(stream: BinaryIO, what: str) -> int:
    """The number of tensors. Raises Damaged unless all of them are within the file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    reader = _HeaderReader(stream, size, what)
    if reader.take(4) != MAGIC:
        raise Damaged(f"{what}: does not begin with GGUF")
    version = reader.number("<I")
    if version not in (2, 3):
        raise Unsupported(f"{what}: is of GGUF version {version}; 2 and 3 of little-endian machines are known here")
    tensors, pairs = reader.count("tensors"), reader.count("pairs")
    alignment = _read_alignment(reader, pairs)
    spans = [_read_tensor_info(reader, alignment) for _each in range(tensors)]
    begin = -(-stream.tell() // alignment) * alignment
    at = 0
    for offset, length, name in sorted(spans):
        if offset < at:
            raise Damaged(f"{what}: tensor {name[:80]!r} begins within another one")
        at = offset + length
    if begin + at > size:
        raise Damaged(f"{what}: its tensors end at byte {begin + at}, the file at {size}")
    return tensors


class _HeaderReader:
    """Reads the fields of a header. Raises Damaged where the file ends too early."""

    def __init__(self, stream: BinaryIO, size: int, what: str) -> None:
        self.stream, self.size, self.what = stream, size, what

    def take(self, count: int) -> bytes:
        found = self.stream.read(count)
        if len(found) < count:
            raise Damaged(f"{self.what}: ends in the middle of its header, at byte {self.size}")
        return found

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def count(self, of: str) -> int:
        number = self.number("<Q")
        if number > min(_MAX_COUNT, self.size):
            raise Damaged(f"{self.what}: says that it has {number} {of}")
        return number

    def text(self) -> str:
        length = self.number("<Q")
        if length > min(_MAX_TEXT, self.size):
            raise Damaged(f"{self.what}: holds a text of {length} bytes")
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Damaged(f"{self.what}: holds a text that is no UTF-8") from error

    def value(self, kind: int, depth: int = 0) -> None:
        """Skip one value."""
        if kind in _SCALARS:
            self.take(_SCALARS[kind])
        elif kind == _STRING:
            self.text()
        elif kind == _ARRAY and depth < 4:
            inner, count = self.number("<I"), self.count("elements")
            if inner in _SCALARS:
                self.take(_SCALARS[inner] * count)
                return
            for _each in range(count):
                self.value(inner, depth + 1)
        else:
            raise Damaged(f"{self.what}: holds a value of type {kind}, which is not known")


def _read_alignment(reader: _HeaderReader, pairs: int) -> int:
    alignment = _DEFAULT_ALIGNMENT
    for _each in range(pairs):
        key, kind = reader.text(), reader.number("<I")
        if key == "general.alignment" and kind == 4:
            alignment = reader.number("<I")
        else:
            reader.value(kind)
    if alignment == 0 or alignment % 8 or alignment > 1 << 20:
        raise Damaged(f"{reader.what}: has an alignment of {alignment}")
    return alignment


def _read_tensor_info(reader: _HeaderReader, alignment: int) -> tuple[int, int, str]:
    """Offset in the data, bytes, and name of one tensor."""
    name, dimensions = reader.text(), reader.number("<I")
    if dimensions > _MAX_DIMENSIONS:
        raise Damaged(f"{reader.what}: tensor {name[:80]!r} has {dimensions} dimensions")
    shape = [reader.number("<Q") for _each in range(dimensions)]
    kind, offset = reader.number("<I"), reader.number("<Q")
    if kind not in BLOCKS:
        raise Damaged(f"{reader.what}: tensor {name[:80]!r} is of type {kind}, which is not known")
    block, length = BLOCKS[kind]
    if offset % alignment or (shape and shape[0] % block):
        raise Damaged(f"{reader.what}: tensor {name[:80]!r} is not aligned")
    return offset, math.prod(shape) // block * length, name
