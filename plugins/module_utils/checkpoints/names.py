# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of names and lengths from manifests and indexes, which are not trusted: they end up in paths and keys."""

from __future__ import annotations

import re
import secrets
import time

from ..host.plain import quoted
from .problems import Damaged

_SERIES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_ID = re.compile(r"(\d{8}T\d{6})\.\d{6}Z-[0-9a-f]{8}\Z", re.ASCII)
_MAX_PATH = 1024
_MAX_COMPONENT = 255


def check_series(name: str) -> str:
    """The name under which checkpoints of one thing are kept. Raises ValueError."""
    if not _SERIES.match(name):
        raise ValueError(
            f"name {name[:80]!r} must begin with a letter or digit, and hold only letters, digits, '.', '_' and '-', "
            "64 at most"
        )
    return name


def new_id(at: float) -> str:
    """A unique id that sorts by time. at: seconds since the epoch."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(at))
    return f"{stamp}.{int(at % 1 * 1e6):06d}Z-{secrets.token_hex(4)}"


def is_id(text: str) -> bool:
    """Whether new_id() could have made a name, with a valid date."""
    found = _ID.match(text)
    try:
        return found is not None and time.strptime(found[1], "%Y%m%dT%H%M%S") is not None
    except ValueError:
        return False


def is_count(value: object) -> bool:
    """Whether a value is a length or an offset. True is not one, although Python takes it for 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def check_relative(name: object, what: str = "file") -> str:
    """A relative path of plain parts. Raises Damaged for one that could lead outside of its directory."""
    if not isinstance(name, str) or not name or len(name) > _MAX_PATH:
        raise Damaged(f"{what} name {quoted(name)} is empty, too long or no text")
    parts = name.split("/")
    if any(part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > _MAX_COMPONENT for part in parts):
        raise Damaged(f"{what} name {quoted(name)} is not a plain path below the checkpoint")
    if not name.isprintable() or "\\" in name:
        raise Damaged(f"{what} name {quoted(name)} holds characters that no checkpoint needs")
    return name
