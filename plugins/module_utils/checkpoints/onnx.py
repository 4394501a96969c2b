# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ONNX: a protobuf message, and the files beside it that hold its larger tensors.

After onnx/onnx.proto (field numbers) and onnx/docs/ExternalData.md. Protobuf has no checksum and no end mark. The proof
is that every field ends within its parent, that tensors have as many bytes as their shape requires, that the graph and
the opset (which writers put after it) exist, and that external data is within its file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Union

from .names import check_relative
from .problems import Damaged
from .tree import Tree

# Bits of an element, by TensorProto.DataType. Strings (8) have none.
BITS = {
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((7, 11, 13, 14), 64),
    **dict.fromkeys((21, 22, 23), 4),
    15: 128,
    **dict.fromkeys((25, 26), 2),
}
_MAX_DEPTH = 64
_MAX_TEXT = 1 << 16
_EXTERNAL = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Which fields lead to tensors: message -> field -> message.
_INTO = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


_TOP = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}


@dataclass(frozen=True)
class ByteSpan:
    """The position of a field's bytes."""

    begin: int
    end: int


Field = tuple[int, Union[int, ByteSpan]]


@dataclass
class _TensorInfo:
    name: str = ""
    dims: list[int] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    raw: int | None = None
    external: dict[str, str] = field(default_factory=dict)

    @property
    def location(self) -> int:
        return self.numbers.get(14, 0)

    @property
    def bytes(self) -> int | None:
        """The size by shape and type; None for texts and for types of later versions."""
        bits = BITS.get(self.numbers.get(2, 0))
        return None if bits is None else -(-math.prod(self.dims) * bits // 8)


def verify(tree: Tree, name: str) -> list[str]:
    """Names of the external files of a model. Raises Damaged."""
    with tree.open(name) as stream:
        walk = _ModelReader(stream, tree.path(name).stat().st_size, name)
        present = walk.model()
    if not {7, 8} <= present:
        raise Damaged(f"{name}: has no {'graph' if 7 not in present else 'opset, which follows the graph'}")
    return sorted({_check_external(tree, name, tensor) for tensor in walk.external})


def looks_like(stream: BinaryIO, size: int) -> bool:
    """Whether the top level of a file is a model with ir_version, graph and opset. A truncated file is not."""
    if stream.read(1) != b"\x08" or size < 16:
        return False
    try:
        numbers = {number for number, _value in _ModelReader(stream, size, "").fields(ByteSpan(0, size))}
    except Damaged:
        return False
    return {1, 7, 8} <= numbers <= _TOP


class _ModelReader:
    """Reads a model from beginning to end, but skips the bytes of tensors."""

    def __init__(self, stream: BinaryIO, size: int, what: str) -> None:
        self._stream, self._size, self._what = stream, size, what
        self.external: list[_TensorInfo] = []

    def model(self) -> set[int]:
        """Read everything. Returns the field numbers at the top level."""
        whole = ByteSpan(0, self._size)
        present = {number for number, _value in self.fields(whole)}
        self._read_message("model", whole, 0)
        return present

    def fields(self, span: ByteSpan) -> Iterator[Field]:
        """The fields of a message. Raises Damaged where one ends beyond the message."""
        at = span.begin
        while at < span.end:
            self._stream.seek(at)
            key = self._read_varint(span.end)
            number, wire = key >> 3, key & 7
            value: int | ByteSpan
            if wire == _VARINT:
                value = self._read_varint(span.end)
                at = self._stream.tell()
            elif wire in (_BYTES, _FIXED64, _FIXED32):
                length = self._read_varint(span.end) if wire == _BYTES else 8 if wire == _FIXED64 else 4
                begin = self._stream.tell()
                at = begin + length
                value = ByteSpan(begin, at)
            else:
                raise Damaged(f"{self._what}: is no protobuf at byte {at}")
            if at > span.end or number == 0:
                raise Damaged(f"{self._what}: a field at byte {self._stream.tell()} ends at {at}, outside its message")
            yield number, value

    def _read_varint(self, end: int) -> int:
        number = shift = 0
        while shift < 70 and self._stream.tell() < end:
            byte = self._stream.read(1)
            if not byte:
                break
            number |= (byte[0] & 127) << shift
            if byte[0] < 128:
                return number
            shift += 7
        raise Damaged(f"{self._what}: ends, or is no protobuf, at byte {self._stream.tell()}")

    def _read_message(self, kind: str, span: ByteSpan, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise Damaged(f"{self._what}: nests graphs deeper than {_MAX_DEPTH}")
        for number, value in self.fields(span):
            into = _INTO[kind].get(number)
            if into is None or not isinstance(value, ByteSpan):
                continue
            if into == "tensor":
                self._read_tensor(value)
            else:
                self._read_message(into, value, depth + 1)

    def _read_tensor(self, span: ByteSpan) -> None:
        tensor = _TensorInfo()
        for number, value in self.fields(span):
            if number == 1:
                tensor.dims.extend([value] if isinstance(value, int) else self._read_packed(value))
            elif isinstance(value, int):
                tensor.numbers[number] = value
            elif number == 8:
                tensor.name = self._read_text(value)
            elif number == 9:
                tensor.raw = value.end - value.begin
            elif number == 13:
                pair = {key: self._read_text(text) for key, text in self.fields(value) if isinstance(text, ByteSpan)}
                tensor.external[pair.get(1, "")] = pair.get(2, "")
        if tensor.location == _EXTERNAL:
            self.external.append(tensor)
        elif tensor.raw is not None and tensor.bytes not in (None, tensor.raw):
            raise Damaged(f"{self._what}: tensor {tensor.name[:80]!r} has {tensor.raw} bytes, not {tensor.bytes}")

    def _read_packed(self, span: ByteSpan) -> list[int]:
        self._stream.seek(span.begin)
        numbers = []
        while self._stream.tell() < span.end:
            numbers.append(self._read_varint(span.end))
        return numbers

    def _read_text(self, span: ByteSpan) -> str:
        if span.end - span.begin > _MAX_TEXT:
            raise Damaged(f"{self._what}: holds a name of {span.end - span.begin} bytes")
        self._stream.seek(span.begin)
        return self._stream.read(span.end - span.begin).decode("utf-8", "replace")


def _check_external(tree: Tree, model: str, tensor: _TensorInfo) -> str:
    what = f"{model}: tensor {tensor.name[:80]!r}"
    location = check_relative(tensor.external.get("location"), f"{what}: external file")
    try:
        offset, length = (int(tensor.external.get(key) or 0) for key in ("offset", "length"))
    except ValueError as error:
        raise Damaged(f"{what}: has an offset or length that is no number") from error
    name = model.rpartition("/")[0] + "/" + location if "/" in model else location
    if name not in tree.files:
        hint = "; give the directory, so that both are kept" if tree.is_file else ""
        raise Damaged(f"{what}: its external file {name[:120]} is missing{hint}")
    needed = length or tensor.bytes
    if tensor.bytes not in (None, needed):
        raise Damaged(f"{what}: has {needed} external bytes, which its shape denies")
    if offset < 0 or offset + (needed or 0) > tree.files[name]:
        raise Damaged(f"{what}: ends at byte {offset + (needed or 0)} of {name}, which has {tree.files[name]}")
    return name
