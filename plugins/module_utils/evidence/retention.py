# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removal of old bundles: only finished bundles of one host, and abandoned partial ones, are ever removed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..host import paths
from .bundle import PARTIAL, bundles

# No snapshot takes this long; an older partial bundle was left by one that was killed.
ABANDONED_SECONDS = 3600.0


def surplus(found: Iterable[tuple[Path, Mapping[str, Any]]], host: str, keep: int, new: Path) -> list[Path]:
    """The bundles of a host beyond the newest C(keep), oldest first. keep 0: keep all. Never includes C(new)."""
    own = [(str(manifest.get("taken_at", "")), path) for path, manifest in found if manifest.get("host") == host]
    newest_first = sorted((entry for entry in own if entry[1] != new), reverse=True)
    return [] if keep <= 0 else [path for _taken, path in reversed(newest_first[keep - 1 :])]


def apply(dest: Path, host: str, keep: int, new: Path) -> tuple[list[str], list[str]]:
    """Remove surplus and abandoned bundles. Returns the removed paths, and a complaint for each that stayed."""
    removed, complaints = [], []
    for path in [*surplus(bundles(dest), host, keep, new), *_abandoned_bundles(dest)]:
        try:
            _remove_bundle(path)
            removed.append(str(path))
        except OSError as error:
            complaints.append(f"{path}: {error.strerror}")
    return removed, complaints


def _remove_bundle(path: Path) -> None:
    directory = paths.open_directory(str(path.parent))
    try:
        paths.remove_below(directory, path.name)
    finally:
        os.close(directory)


def _abandoned_bundles(dest: Path) -> list[Path]:
    limit = time.time() - ABANDONED_SECONDS
    found = []
    for path in sorted(dest.glob(f"{PARTIAL}*")):
        try:
            if not path.is_symlink() and path.is_dir() and path.stat().st_mtime < limit:
                found.append(path)
        except OSError:
            continue
    return found
