# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of C(torch.save) since PyTorch 1.6, and of C(torch.jit.save): a zip with a pickle and raw storages.

Layout after caffe2/serialize/inline_container.h and torch/serialization.py of PyTorch 2: ARCHIVE/data.pkl,
ARCHIVE/data/KEY for each storage, ARCHIVE/version, often ARCHIVE/byteorder and ARCHIVE/.data/serialization_id.  The
pickle names a storage by the persistent id C(("storage", type, key, location, number of elements)).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, cast

from .pickles import PickleContents, PickleGlobal, read_pickle
from .problems import Damaged, Unsupported

MAGIC = b"PK\x03\x04"
# The first bytes of the pickles of older versions: PROTO 2, then the number 0x1950a86a20f9469cfc6c.
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

# Bytes of an element, by the name of the storage's class.
_ELEMENT = {
    **dict.fromkeys(("DoubleStorage", "LongStorage", "ComplexFloatStorage"), 8),
    **dict.fromkeys(("FloatStorage", "IntStorage", "QInt32Storage"), 4),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("ByteStorage", "CharStorage", "BoolStorage", "UntypedStorage"), 1),
    **dict.fromkeys(("QInt8Storage", "QUInt8Storage"), 1),
    "ComplexDoubleStorage": 16,
}
_CHUNK = 1 << 20
# Storages are never compressed; code of TorchScript is, but no code inflates to this size.
_MAX_INFLATED = 1 << 30


@dataclass(frozen=True)
class TorchFile:
    """The contents of a file. texts: all text constants of its pickle, which include the names of its tensors."""

    storages: int
    texts: frozenset[str]
    remarks: tuple[str, ...]


def verify(stream: BinaryIO, what: str) -> TorchFile:
    """Prove one file by its structure and its CRCs. Raises Damaged."""
    if stream.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC:
        raise Unsupported(f"{what}: is of torch.save before 1.6 (no zip), whose storages carry no checksum")
    stream.seek(0)
    try:
        with zipfile.ZipFile(stream) as archive:
            return _verify_archive(archive, what)
    except Damaged:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"{what}: is no whole zip: {str(error)[:160]}") from error


def _verify_archive(archive: zipfile.ZipFile, what: str) -> TorchFile:
    entries = _entries_by_name(archive, what)
    root = _archive_root(entries, what)
    remarks = _check_bytes(archive, entries, what)
    texts: set[str] = set()
    storages = 0
    for pickled, folder in ((f"{root}/data.pkl", f"{root}/data/"), (f"{root}/constants.pkl", f"{root}/constants/")):
        if pickled not in entries:
            continue
        with archive.open(entries[pickled]) as stream:
            contents = read_pickle(cast("BinaryIO", stream), f"{what}: {pickled}")
        _refuse_harmful(contents, f"{what}: {pickled}")
        sizes = {name[len(folder) :]: entry.file_size for name, entry in entries.items() if name.startswith(folder)}
        storages += _check_storages(contents, sizes, f"{what}: {pickled}", remarks)
        texts |= contents.texts
    return TorchFile(storages, frozenset(texts), tuple(remarks))


def _entries_by_name(archive: zipfile.ZipFile, what: str) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.filename in entries:
            raise Damaged(f"{what}: has {entry.filename[:80]!r} twice, so that readers differ about it")
        if entry.flag_bits & 1:
            raise Damaged(f"{what}: {entry.filename[:80]!r} is encrypted")
        entries[entry.filename] = entry
    if sum(e.file_size for e in entries.values() if e.compress_type != zipfile.ZIP_STORED) > _MAX_INFLATED:
        raise Damaged(f"{what}: would inflate to more than {_MAX_INFLATED} bytes")
    return entries


def _archive_root(entries: Mapping[str, zipfile.ZipInfo], what: str) -> str:
    roots = {name.partition("/")[0] for name in entries}
    if len(roots) != 1:
        raise Damaged(f"{what}: has {len(roots)} top folders in place of one, so torch did not write it")
    root = roots.pop()
    missing = [name for name in ("data.pkl", "version") if f"{root}/{name}" not in entries]
    if missing:
        raise Damaged(f"{what}: has no {' and no '.join(missing)}, so torch did not write it")
    return root


def _check_bytes(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], what: str) -> list[str]:
    """Compare every record with its CRC. C(torch.serialization.set_crc32_options(False)) leaves all of them at 0."""
    remarks = []
    if all(entry.CRC == 0 for entry in entries.values() if entry.file_size):
        remarks.append(f"{what}: carries no CRCs, so nothing but lengths shows whether its storages were whole")
        for entry in entries.values():
            entry.CRC = cast("int", None)  # zipfile then compares nothing
    for entry in entries.values():
        with archive.open(entry) as stream:
            while stream.read(_CHUNK):  # raises BadZipFile at the end when the CRC differs
                pass
    return remarks


def _refuse_harmful(contents: PickleContents, what: str) -> None:
    harmful = contents.harmful()
    if harmful:
        raise Damaged(f"{what}: would run {', '.join(harmful[:5])[:200]} when it is loaded, which no checkpoint needs")


def _check_storages(contents: PickleContents, sizes: Mapping[str, int], what: str, remarks: list[str]) -> int:
    needed: dict[str, int | None] = {}
    for found in contents.persistent:
        key, length = _key_and_size(found, what)
        if key not in sizes:
            raise Damaged(f"{what}: storage {key!r} is missing")
        if length is not None and sizes[key] != length:
            raise Damaged(f"{what}: storage {key!r} has {sizes[key]} bytes and should have {length}")
        needed[key] = length
    unsized = sum(1 for length in needed.values() if length is None)
    if unsized:
        remarks.append(f"{what}: {unsized} storages are of a type whose size is not known here")
    if set(sizes) - set(needed):
        remarks.append(f"{what}: {len(set(sizes) - set(needed))} storages are referred to by nothing")
    return len(needed)


def _key_and_size(found: object, what: str) -> tuple[str, int | None]:
    """Key and bytes of one persistent id; bytes None where the type of the elements is unknown."""
    if not isinstance(found, tuple) or len(found) < 5 or found[0] != "storage":
        raise Damaged(f"{what}: holds a persistent id that is none of torch's")
    kind, key, count = found[1], found[2], found[4]
    if not isinstance(key, str) or not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise Damaged(f"{what}: holds a persistent id without key or length")
    element = _ELEMENT.get(kind.name) if isinstance(kind, PickleGlobal) else None
    return key, None if element is None else element * count
