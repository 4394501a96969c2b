# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of a store for checkpoints. A checkpoint exists from the moment when its manifest exists."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from .manifest import ManifestEntry


class Draft(Protocol):
    """A checkpoint that is being written. No reader sees it before commit()."""

    id: str

    def add(self, name: str, source: BinaryIO) -> ManifestEntry:
        """Copy one file in."""

    def written(self) -> Path | None:
        """The local directory of the draft's files; None where they are not on this machine."""

    def commit(self, manifest: bytes) -> None:
        """Make everything durable, and then make it a checkpoint."""

    def abandon(self) -> None:
        """Remove what was written."""


class Store(Protocol):
    """A store. Methods raise CheckpointError, and Damaged for a checkpoint that is gone or unreadable."""

    url: str

    def draft(self, series: str, identity: str) -> Draft:
        """Begin a checkpoint."""

    def ids(self, series: str) -> list[str]:
        """The checkpoints of a series that have a manifest, newest first."""

    def hold(self, series: str, identity: str) -> AbstractContextManager[None]:
        """Keep retention from removing the checkpoint inside the C(with) block. Raises Damaged where it is gone."""

    def manifest(self, series: str, identity: str) -> bytes:
        """The bytes of the manifest, unchecked."""

    def sizes(self, series: str, identity: str) -> dict[str, int]:
        """Name -> bytes of every stored file, without the manifest."""

    def open(self, series: str, identity: str, name: str) -> BinaryIO:
        """Open one file for reading."""

    def tree(self, series: str, identity: str) -> Path | None:
        """The local directory of the files, None where they are not on this machine."""

    def location(self, series: str, identity: str) -> str:
        """The checkpoint's path or URL, for messages."""

    def remove(self, series: str, identity: str) -> str | None:
        """Remove a checkpoint. Returns None if it is gone, else why it was not removed."""

    def leftovers(self, series: str, remove: bool) -> list[str]:
        """The drafts that killed saves left; C(remove): remove them too."""

    def room(self, series: str) -> int | None:
        """Bytes that can still be written, or None where that is unknown."""
