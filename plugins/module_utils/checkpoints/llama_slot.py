# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slots that a llama-server saved.

After llama_state_seq_save_file() in llama.cpp's src/llama-context.cpp: the magic C(ggsq), a version, the number of
tokens, the tokens, and then the state of the sequence, whose own form belongs to the server.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from .problems import Damaged

# LLAMA_STATE_SEQ_MAGIC 0x67677371, as a little-endian machine writes it.
MAGIC = b"qsgg"
_HEADER = struct.Struct("<4sII")


def verify(stream: BinaryIO, what: str) -> int:
    """The number of tokens of a slot. Only the header can be proven, the rest by the manifest. Raises Damaged."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    start = stream.read(_HEADER.size)
    if len(start) < _HEADER.size:
        raise Damaged(f"{what}: ends within its header")
    magic, version, tokens = _HEADER.unpack(start)
    if magic != MAGIC:
        raise Damaged(f"{what}: is no slot of a llama-server")
    if not 0 < version < 100 or _HEADER.size + 4 * tokens > size:
        raise Damaged(f"{what}: says that it has {tokens} tokens (version {version}), in {size} bytes")
    return int(tokens)
