# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle on disk: written under a temporary name, complete with its manifest, and then renamed.

A directory whose name begins with C(.partial-) is a bundle that was never finished, and does not count as evidence.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ..host import paths
from ..host.clocks import iso
from ..host.piece import Collected, Part, collect, cut
from ..host.unread import Unread

MANIFEST = "manifest.json"
FORMAT = "autoglm.recovery/evidence"
FORMAT_VERSION = 1
PARTIAL = ".partial-"

# Reserved for the manifest, which grows with the number of parts, not with their size.
_MANIFEST_RESERVE = 128 * 1024
_MANIFEST_MOST = 4 * 1024 * 1024
_SMALLEST_BUDGET = 256 * 1024


class SnapshotError(Exception):
    """The bundle was not written. Nothing is left behind."""


@dataclass(frozen=True)
class BundleLimits:
    """The limits of a bundle: bytes on disk, and seconds."""

    size: int
    seconds: float


@dataclass(frozen=True)
class FinishedBundle:
    """A finished bundle. unreadable: part -> reason."""

    path: Path
    size: int
    parts: tuple[str, ...]
    truncated: tuple[str, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)


def budget(dest: Path, max_bytes: int, min_free: int) -> int:
    """How many bytes a bundle may use now. Raises SnapshotError where the disk is too full for a useful one."""
    try:
        free = shutil.disk_usage(_nearest_existing(dest)).free
    except OSError as error:
        raise SnapshotError(f"the free space at {dest} cannot be read: {error.strerror}") from error
    allowed = min(max_bytes, free - min_free)
    if allowed < min(_SMALLEST_BUDGET, max_bytes):
        raise SnapshotError(f"{dest} has {free} bytes free, of which {min_free} must stay free (min_free)")
    return allowed


def write(
    path: Path,
    head: Mapping[str, Any],
    parts: Sequence[Part],
    limits: BundleLimits,
    read: Callable[[Part, int], Collected] = collect,
) -> FinishedBundle:
    """Collect the parts in order, most important first, into a bundle at path. Raises SnapshotError.

    head: the keys of the manifest that describe the incident.
    """
    with contextlib.ExitStack() as opened:
        try:
            around = paths.open_directory(str(path.parent), make=0o700)
            opened.callback(os.close, around)
            dest = Path(f"/proc/self/fd/{around}")
            partial = dest / f"{PARTIAL}{path.name}-{secrets.token_hex(4)}"
            opened.callback(shutil.rmtree, partial, ignore_errors=True)  # after a success it has been renamed
            # By its descriptor: the owner of the parent directory may rename it, and put another one in its place.
            own = paths.make_directory(around, partial.name, str(path.with_name(partial.name)))
            opened.callback(os.close, own)
            inside = Path(f"/proc/self/fd/{own}")
        except OSError as error:
            raise SnapshotError(f"{path.parent} cannot be written: {error.strerror}") from error
        try:
            entries, unreadable = _write_parts(inside, parts, limits, read)
            size = sum(entry["bytes"] for entry in entries) + _write_manifest(inside, head, entries, unreadable)
            published = _publish(partial, dest / path.name)
            if not os.path.samestat(os.lstat(published), os.stat(inside)):
                raise SnapshotError(f"{path}: something else was put in its place while it was written")
        except OSError as error:
            raise SnapshotError(f"the bundle could not be finished: {error.strerror}") from error
    return FinishedBundle(
        path=path.with_name(published.name),
        size=size,
        parts=tuple(entry["name"] for entry in entries),
        truncated=tuple(entry["name"] for entry in entries if entry["truncated_from"] is not None),
        unreadable=unreadable,
    )


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a finished bundle that root or this user has written, or None for anything else."""
    if path.name.startswith(".") or path.is_symlink():
        return None
    try:
        with os.fdopen(paths.open_file(str(path / MANIFEST)), "rb") as file:
            if os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                return None
            manifest = json.loads(file.read(_MANIFEST_MOST))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return None
    parts = manifest.get("parts", [])
    return manifest if isinstance(parts, list) and all(isinstance(part, dict) for part in parts) else None


def excerpts(path: Path, limit: int) -> list[dict[str, Any]]:
    """The beginning of each part, or the end of a log, in order and in no more than C(limit) bytes of text.

    No part takes more than a quarter of the limit, so that a long log leaves room for the parts after it.
    """
    manifest = read_manifest(path) or {}
    found: list[dict[str, Any]] = []
    for part in manifest.get("parts", []):
        # The names were ours, but the file may have been changed since.
        name = os.path.basename(str(part.get("name", "")))
        room = min(limit, max(limit // 4, 16 * 1024))
        try:
            with os.fdopen(paths.open_file(str(path / name)), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - room - 1) if name.endswith(".log") else 0)
                kept = cut(file.read(room + 1), room, name.endswith(".log"))
        except (OSError, ValueError):  # ValueError: not a valid file name
            continue
        if kept:
            found.append({"name": name, "text": kept.decode("utf-8", "replace"), "cut": len(kept) < size})
            limit -= len(kept)
    return found


def bundles(dest: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every finished bundle in a directory."""
    try:
        entries = sorted(dest.iterdir())
    except OSError:
        return
    for entry in entries:
        manifest = read_manifest(entry)
        if manifest is not None:
            yield entry, manifest


def _write_parts(
    partial: Path, parts: Sequence[Part], limits: BundleLimits, read: Callable[[Part, int], Collected]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Write the parts. Returns the manifest's entries, and part -> reason for those that could not be read."""
    deadline = time.monotonic() + limits.seconds
    left = max(limits.size - _MANIFEST_RESERVE, limits.size // 2)
    entries: list[dict[str, Any]] = []
    unreadable: dict[str, str] = {}
    for part in parts:
        try:
            entry = _write_part(partial, part, left, deadline, read)
        except Unread as error:
            unreadable[part.name] = str(error)
            continue
        entries.append(entry)
        left -= entry["bytes"]
    return entries, unreadable


def _write_manifest(
    partial: Path, head: Mapping[str, Any], entries: list[dict[str, Any]], unreadable: Mapping[str, str]
) -> int:
    manifest = {
        **head,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "finished_at": utc_now(),
        "parts": entries,
        "unreadable": [{"name": name, "reason": reason} for name, reason in unreadable.items()],
    }
    text = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    _write_file(partial / MANIFEST, text)
    return len(text)


def _write_part(
    partial: Path, part: Part, left: int, deadline: float, read: Callable[[Part, int], Collected]
) -> dict[str, Any]:
    if left <= 0:
        raise Unread("not collected: the bundle's size limit was reached")
    if time.monotonic() >= deadline:
        raise Unread("not collected: the time for the whole bundle was over")
    began, at = time.monotonic(), utc_now()
    collected = read(part, left)
    try:
        _write_file(partial / part.name, collected.content)
    except OSError as error:
        (partial / part.name).unlink(missing_ok=True)  # frees space that the manifest may need
        raise Unread(f"could not be written: {error.strerror}") from error
    size = len(collected.content)
    return {
        "name": part.name,
        "source": collected.source,
        "taken_at": at,
        "seconds": round(time.monotonic() - began, 3),
        "bytes": size,
        "sha256": hashlib.sha256(collected.content).hexdigest(),
        "truncated_from": collected.full_size if collected.full_size > size else None,
        "remarks": list(collected.remarks),
    }


def _write_file(path: Path, content: bytes) -> None:
    descriptor = paths.open_file(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _publish(partial: Path, final: Path) -> Path:
    """Rename the bundle to its final name, or the next free one, so that nothing is overwritten."""
    for attempt in range(1, 1000):
        path = final if attempt == 1 else final.with_name(f"{final.name}.{attempt}")
        try:
            # A rename would replace an empty directory and fail on a filled one, so the name is checked first.
            if not path.exists():
                os.rename(partial, path)
                return path
        except FileExistsError:
            continue
        except OSError:
            if not path.exists():
                raise
    raise SnapshotError(f"{final} and its successors exist already")


def utc_now() -> str:
    """The moment, to the millisecond, in UTC (ISO 8601)."""
    return iso(time.time())


def _nearest_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
