# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a place where checkpoints are kept. A checkpoint is there when its manifest is, and not before."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from .manifest import ManifestEntry


class Draft(Protocol):
    """A checkpoint that is being written. Until commit() returns nobody takes it for one."""

    id: str

    def add(self, name: str, source: BinaryIO) -> ManifestEntry:
        """Copy one file in."""

    def written(self) -> Path | None:
        """Where the files can be looked at before the commit; None where only the store can."""

    def commit(self, manifest: bytes) -> None:
        """Make everything durable, and then make it a checkpoint."""

    def abandon(self) -> None:
        """Remove what was written."""


class Store(Protocol):
    """A place. Errors are CheckpointError; a checkpoint that is gone or unreadable is Damaged."""

    url: str

    def draft(self, series: str, identity: str) -> Draft:
        """Begin a checkpoint."""

    def ids(self, series: str) -> list[str]:
        """The checkpoints of a series that have a manifest, newest first."""

    def hold(self, series: str, identity: str) -> AbstractContextManager[None]:
        """While this is open, no retention removes the checkpoint. Raises Damaged when it is gone."""

    def manifest(self, series: str, identity: str) -> bytes:
        """The manifest as it stands there."""

    def sizes(self, series: str, identity: str) -> dict[str, int]:
        """Every file that is there, without the manifest, and its bytes."""

    def open(self, series: str, identity: str, name: str) -> BinaryIO:
        """Open one file for reading."""

    def tree(self, series: str, identity: str) -> Path | None:
        """Where the files are on this machine, if they are."""

    def location(self, series: str, identity: str) -> str:
        """What to tell a person."""

    def remove(self, series: str, identity: str) -> str | None:
        """Remove a checkpoint. None when it is gone, else the reason why it was left alone."""

    def leftovers(self, series: str, remove: bool) -> list[str]:
        """What killed saves left; removed if asked for."""

    def room(self, series: str) -> int | None:
        """Bytes that can still be written, or None where nobody can know."""
