# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a checkpoint: the list of its files. A checkpoint is committed by writing its manifest.

C(digest) is the SHA-256 of the manifest without C(digest) and C(hmac), as JSON with sorted keys and no blanks, so that
any change of content is detected. An attacker can compute it for changed files, but not C(hmac), the HMAC-SHA256 of the
same text under a key that the store does not have.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from . import names
from .formats import FORMATS
from .problems import Damaged

FILE = "manifest.json"
KIND = "autoglm.recovery/checkpoint"
VERSION = 1
MAX_BYTES = 64 << 20
_LAYOUTS = ("file", "directory")


@dataclass(frozen=True)
class ManifestEntry:
    """One file: its bytes and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A checked manifest. signed: whether it has an HMAC, which was verified if a key was given."""

    id: str
    series: str
    format: str
    layout: str
    taken_at: str
    files: Mapping[str, ManifestEntry]
    document: Mapping[str, Any]
    sha256: str
    signed: bool

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.bytes for entry in self.files.values())


def encode(document: Mapping[str, Any], key: str | None) -> bytes:
    """The bytes of a manifest, with its digest and, with a key, its HMAC."""
    text = _canonical_json(document)
    guarded = {**document, "digest": hashlib.sha256(text).hexdigest()}
    if key:
        guarded["hmac"] = _hmac(text, key)
    return (json.dumps(guarded, indent=2, sort_keys=True) + "\n").encode()


def decode(content: bytes, series: str, identity: str, key: str | None) -> Manifest:
    """Parse and check the manifest of this checkpoint. Raises Damaged."""
    document = _parse_document(content)
    digest, signature = document.pop("digest", None), document.pop("hmac", None)
    text = _canonical_json(document)
    if digest != hashlib.sha256(text).hexdigest():
        raise Damaged("the manifest was changed: its digest is not the one of its text")
    if key:
        _check_signature(signature, text, key)
    if document.get("kind") != KIND or document.get("version") != VERSION:
        raise Damaged(f"the manifest is of kind {document.get('kind')!r:.80}, version {document.get('version')!r:.80}")
    if document.get("series") != series or document.get("id") != identity:
        raise Damaged("the manifest is the one of another checkpoint")
    if document.get("format") not in FORMATS or document.get("layout") not in _LAYOUTS:
        raise Damaged("the manifest names a format or a layout that is not known")
    files = _parse_files(document.get("files"))
    if document["layout"] == "file" and len(files) != 1:
        raise Damaged(f"the manifest is of one file and names {len(files)}")
    return Manifest(
        id=identity,
        series=series,
        format=document["format"],
        layout=document["layout"],
        taken_at=str(document.get("taken_at", "")),
        files=files,
        document=document,
        sha256=hashlib.sha256(content).hexdigest(),
        signed=signature is not None,
    )


def _parse_document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damaged("the manifest is no JSON, so it was torn or changed") from error
    if not isinstance(document, dict):
        raise Damaged("the manifest is no JSON object")
    return document


def _check_signature(signature: Any, text: bytes, key: str) -> None:
    if signature is None:
        raise Damaged("the manifest is not signed, and signing_key was given")
    if not isinstance(signature, str) or not hmac.compare_digest(signature.encode(), _hmac(text, key).encode()):
        raise Damaged("the manifest's signature is wrong: it was changed, or signed with another key")


def _parse_files(listed: Any) -> dict[str, ManifestEntry]:
    if not isinstance(listed, dict) or not listed:
        raise Damaged("the manifest names no file")
    files: dict[str, ManifestEntry] = {}
    for name, listing in listed.items():
        names.check_relative(name, "the manifest's file")
        entry = listing if isinstance(listing, dict) else {}
        size, digest = entry.get("bytes"), entry.get("sha256")
        if set(entry) != {"bytes", "sha256"} or not names.is_count(size) or not _is_digest(digest):
            raise Damaged(f"the manifest describes {name[:80]!r} as something other than a regular file")
        files[name] = ManifestEntry(cast("int", size), str(digest))
    for name in files:
        parents = name.split("/")
        if any("/".join(parents[:depth]) in files for depth in range(1, len(parents))):
            raise Damaged(f"the manifest has {name[:80]!r} below a file")
    return files


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def _canonical_json(document: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise Damaged("the manifest holds values that are no JSON") from error


def _hmac(text: bytes, key: str) -> str:
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
