# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints behind any fsspec URL: URL/SERIES/ID/{files/...,manifest.json}.

Object stores have no rename and no directories. The files are written first and the manifest last; an object is
complete or absent, so the manifest is the commit. A reader writes a lease beside the manifest before it reads the
manifest. A removal deletes the manifest first and then looks for leases, so that one of the two always sees the other.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import time
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from ..host.libraries import MissingLibrary
from ..host.plain import one_line
from . import manifest, names
from .copying import copy
from .manifest import ManifestEntry
from .problems import CheckpointError, Damaged

try:
    import fsspec
except ImportError:
    fsspec = None

_FILES = "files/"
_LEASE = "reading-"
# No read takes this long; an older lease was left by a reader that was killed.
LEASE_SECONDS = 6 * 3600.0
# No save takes this long; older files without a manifest were left by a saver that was killed.
ABANDONED_SECONDS = 24 * 3600.0
_BLOCK = 16 << 20
# For these protocols, removing a directory means another request for everything below it.
_WITHOUT_DIRECTORIES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci"}


class ObjectDraft:
    """One draft. Its files are in their final place, but are no checkpoint without a manifest."""

    def __init__(self, store: ObjectStore, series: str, identity: str) -> None:
        self.id = identity
        self._store, self._series = store, series
        self._base = store.base(series, identity)

    def add(self, name: str, source: BinaryIO) -> ManifestEntry:
        path = self._base + _FILES + names.check_relative(name)
        with self._store.translated_errors(f"{name} could not be written"):
            # After an error the upload must not be completed, which a "with" block would do.
            sink = self._store.fs.open(path, "wb", block_size=_BLOCK)
            try:
                entry = copy(source, sink)
            except BaseException:
                with contextlib.suppress(Exception):
                    sink.discard()
                sink.closed = True
                raise
            sink.close()
            there = self._store.fs.info(path)["size"]
        if there != entry.bytes:
            raise CheckpointError(f"{self._store.url}: {name} has {there} bytes there and {entry.bytes} here")
        return entry

    def written(self) -> None:
        return None

    def commit(self, content: bytes) -> None:
        with self._store.translated_errors("the manifest could not be written"):
            self._store.fs.pipe_file(self._base + manifest.FILE, content)

    def abandon(self) -> None:
        with contextlib.suppress(Exception):  # a later save cleans up what cannot be removed now
            self._store.clear(self._series, self.id)


class ObjectStore:
    """A prefix of a bucket, or a folder of anything else that fsspec speaks to."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = _without_secrets(url)
        if fsspec is None:
            raise MissingLibrary("fsspec", f"for the store {self.url}")
        try:
            # A cached listing would show removed checkpoints, or hide new ones of other savers.
            self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
        except (ImportError, ValueError, TypeError) as error:
            raise CheckpointError(f"{self.url}: {_first_line(error)}") from error
        self._root = root.rstrip("/") + "/"

    def draft(self, series: str, identity: str) -> ObjectDraft:
        return ObjectDraft(self, series, identity)

    def ids(self, series: str) -> list[str]:
        there = self._list_objects(series)
        return sorted((identity for identity, found in there.items() if manifest.FILE in found), reverse=True)

    @contextlib.contextmanager
    def hold(self, series: str, identity: str) -> Iterator[None]:
        lease = f"{self.base(series, identity)}{_LEASE}{secrets.token_hex(8)}"
        with self.translated_errors("no lease could be written"):
            self.fs.pipe_file(lease, b"{}")
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # it expires
                self.fs.rm_file(lease)

    def manifest(self, series: str, identity: str) -> bytes:
        path = self.base(series, identity) + manifest.FILE
        with self.translated_errors("the manifest cannot be read"), self.missing_as_damaged("the manifest"):
            if self.fs.info(path)["size"] > manifest.MAX_BYTES:
                raise Damaged("the manifest is larger than any can be")
            return bytes(self.fs.cat_file(path))

    def sizes(self, series: str, identity: str) -> dict[str, int]:
        found = self._list_objects(series).get(identity, {})
        others = [name for name in found if not name.startswith((_FILES, _LEASE)) and name != manifest.FILE]
        if others:
            raise Damaged(f"it holds {others[0][:80]!r}, which no save has written")
        return {name[len(_FILES) :]: info["size"] for name, info in found.items() if name.startswith(_FILES)}

    def open(self, series: str, identity: str, name: str) -> BinaryIO:
        path = self.base(series, identity) + _FILES + names.check_relative(name)
        with self.translated_errors(f"{name} cannot be read"), self.missing_as_damaged(name):
            return cast("BinaryIO", _RemoteFile(self, self.fs.open(path, "rb", block_size=_BLOCK), name))

    def tree(self, series: str, identity: str) -> None:  # noqa: ARG002 - nothing is on this machine
        return None

    def location(self, series: str, identity: str) -> str:
        return f"{self.url.rstrip('/')}/{series}/{identity}"

    def remove(self, series: str, identity: str) -> str | None:
        base = self.base(series, identity)
        try:
            if self._has_lease(series, identity):
                return "it is being read"
            content = self.manifest(series, identity)
            self.fs.rm_file(base + manifest.FILE)
            if self._has_lease(series, identity):
                self.fs.pipe_file(base + manifest.FILE, content)
                return "it is being read"
            self.clear(series, identity)
        except Exception as error:  # noqa: BLE001 - every client of fsspec has errors of its own
            return _first_line(error)
        return None

    def leftovers(self, series: str, remove: bool) -> list[str]:
        limit = time.time() - ABANDONED_SECONDS
        found = []
        for identity, objects in self._list_objects(series).items():
            if manifest.FILE in objects or not all(_written_before(info, limit) for info in objects.values()):
                continue
            found.append(self.location(series, identity))
            if remove:
                with self.translated_errors("an abandoned save could not be removed"):
                    self.clear(series, identity)
        return found

    def room(self, series: str) -> None:  # noqa: ARG002 - an object store does not tell
        return None

    @contextlib.contextmanager
    def translated_errors(self, what: str) -> Iterator[None]:
        """Translate errors of the client into a CheckpointError about this store."""
        try:
            yield
        except (CheckpointError, Damaged):
            raise
        except Exception as error:
            raise CheckpointError(f"{self.url}: {what}: {_first_line(error)}") from error

    @contextlib.contextmanager
    def missing_as_damaged(self, what: str) -> Iterator[None]:
        """Translate a missing object into Damaged. A store that does not answer is not that."""
        try:
            yield
        except FileNotFoundError as error:
            raise Damaged(f"{what} is missing") from error

    def _has_lease(self, series: str, identity: str) -> bool:
        limit = time.time() - LEASE_SECONDS
        found = self._list_objects(series).get(identity, {})
        return any(name.startswith(_LEASE) and not _written_before(info, limit) for name, info in found.items())

    def _list_objects(self, series: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Every object of a series: id -> name -> details from the store."""
        base = self._root + names.check_series(series) + "/"
        with self.translated_errors("cannot be listed"):
            try:
                self.fs.invalidate_cache()
                listed = self.fs.find(base, detail=True)
            except FileNotFoundError:
                return {}
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for path, info in listed.items():
            identity, _slash, name = path.partition(base)[2].partition("/")
            if names.is_id(identity) and name:
                found.setdefault(identity, {})[name] = info
        return found

    def clear(self, series: str, identity: str) -> None:
        """Remove all objects of a checkpoint, and its directories in stores that have directories."""
        base = self.base(series, identity)
        found = self._list_objects(series).get(identity, {})
        if manifest.FILE in found:
            self.fs.rm_file(base + manifest.FILE)  # first, so that a partial removal leaves no checkpoint
        objects = [base + name for name in found if name != manifest.FILE]
        if objects:
            self.fs.rm(objects)
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        if not protocols & _WITHOUT_DIRECTORIES and self.fs.exists(base.rstrip("/")):
            self.fs.rm(base.rstrip("/"), recursive=True)

    def base(self, series: str, identity: str) -> str:
        """The prefix of a checkpoint."""
        if not names.is_id(identity):
            raise ValueError(f"{identity[:80]!r} is no id of a checkpoint")
        return f"{self._root}{names.check_series(series)}/{identity}/"


class _RemoteFile(io.RawIOBase):
    """A remote file whose errors are CheckpointError or Damaged."""

    def __init__(self, store: ObjectStore, file: Any, name: str) -> None:
        super().__init__()
        self._store, self._file, self._name = store, file, name

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        with self._store.translated_errors(f"{self._name} cannot be read"), self._store.missing_as_damaged(self._name):
            data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _written_before(info: dict[str, Any], limit: float) -> bool:
    """Whether an object is older than the limit. An object of unknown age is not."""
    at: Any = info.get("LastModified") or info.get("mtime") or info.get("created")
    seconds = at.timestamp() if hasattr(at, "timestamp") else at
    return isinstance(seconds, (int, float)) and seconds < limit


def _without_secrets(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _first_line(error: BaseException) -> str:
    words = one_line(error, 300)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
