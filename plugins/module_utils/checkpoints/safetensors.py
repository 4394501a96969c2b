# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""safetensors: eight bytes of length, a JSON header, and the tensors without a gap.

After the format's description (https://huggingface.co/docs/safetensors) and its reference reader: at most 100 MB of
header, offsets that cover the whole rest of the file exactly once, no key twice.
"""

from __future__ import annotations

import json
import math
import os
import struct
from typing import Any, BinaryIO

from .names import is_count
from .problems import Damaged

_MAX_HEADER = 100_000_000
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def verify(stream: BinaryIO, what: str) -> dict[str, int]:
    """Name -> bytes of each tensor. Raises Damaged."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    start = stream.read(8)
    if len(start) < 8:
        raise Damaged(f"{what}: ends within its first 8 bytes")
    (length,) = struct.unpack("<Q", start)
    if length > min(_MAX_HEADER, size - 8):
        raise Damaged(f"{what}: its header should have {length} bytes, the file has {size}")
    spans = _tensor_spans(_parse_header(stream.read(length), what), what)
    at = 0
    for begin, end, name in sorted(spans):
        if begin != at:
            raise Damaged(f"{what}: tensor {name[:80]!r} begins at {begin} in place of {at}")
        at = end
    if at != size - 8 - length:
        raise Damaged(f"{what}: its tensors have {at} bytes, the file has room for {size - 8 - length}")
    return {name: end - begin for begin, end, name in spans}


def looks_like(start: bytes) -> bool:
    """Whether these first bytes may be a safetensors file."""
    return len(start) >= 9 and struct.unpack("<Q", start[:8])[0] <= _MAX_HEADER and start[8:9] == b"{"


def _parse_header(text: bytes, what: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Damaged(f"{what}: names a tensor twice")
        return found

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{what}: its header is no JSON") from error
    if not isinstance(header, dict):
        raise Damaged(f"{what}: its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Damaged(f"{what}: its __metadata__ holds something other than texts")
    return header


def _tensor_spans(header: dict[str, Any], what: str) -> list[tuple[int, int, str]]:
    spans = []
    for name, described in header.items():
        entry = described if isinstance(described, dict) else {}
        shape, offsets = _counts_or_none(entry.get("shape")), _counts_or_none(entry.get("data_offsets"))
        if shape is None or offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise Damaged(f"{what}: tensor {name[:80]!r} has no usable shape and data_offsets")
        dtype = str(entry.get("dtype"))
        bits = _BITS.get(dtype)
        if bits is None:
            raise Damaged(f"{what}: tensor {name[:80]!r} has dtype {dtype[:40]!r}, which is not known")
        if math.prod(shape) * bits != 8 * (offsets[1] - offsets[0]):
            raise Damaged(f"{what}: tensor {name[:80]!r} has {offsets[1] - offsets[0]} bytes, which its shape denies")
        spans.append((offsets[0], offsets[1], name))
    return spans


def _counts_or_none(value: Any) -> list[int] | None:
    fit = isinstance(value, list) and all(map(is_count, value))
    return value if fit else None
