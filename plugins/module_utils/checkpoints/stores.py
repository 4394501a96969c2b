# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of store, and how one is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .local_store import LocalStore
from .object_store import ObjectStore
from .store import Store


def open_store(url: str, options: Mapping[str, Any] | None = None) -> Store:
    """A store by its URL or absolute path. Raises ValueError and CheckpointError."""
    if url.startswith("file://"):
        url = url[len("file://") :]
    if "://" in url:
        return ObjectStore(url, dict(options or {}))
    if not url.startswith("/"):
        raise ValueError(f"store {url[:120]!r} must be an absolute path, or a URL such as s3://bucket/prefix")
    if options:
        raise ValueError("storage_options are for URLs; a directory has none")
    return LocalStore(Path(url))
