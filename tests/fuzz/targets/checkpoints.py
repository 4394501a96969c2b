# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints: each format, as a file that anybody may have written."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from autoglm_recovery.knowledge.checkpoints import (
    dcp,
    formats,
    gguf,
    hf_index,
    llama_slot,
    manifest,
    onnx,
    pickles,
    safetensors,
    torch_zip,
)
from autoglm_recovery.knowledge.checkpoints.problems import Damaged
from autoglm_recovery.knowledge.checkpoints.tree import Tree
from tests.fuzz.target import FIXTURES, Target, files
from tests.support.checkpoints import builders

_MANIFEST: dict[str, Any] = {
    "kind": manifest.KIND,
    "version": manifest.VERSION,
    "series": "s",
    "id": "20261128T120000.000000Z-00000000",
    "format": "files",
    "layout": "directory",
    "taken_at": "2026-11-28T12:00:00Z",
    "files": {"a/b.bin": {"bytes": 3, "sha256": "0" * 64}, "c": {"bytes": 0, "sha256": "f" * 64}},
}


class _Held(Tree):
    """A directory that is in memory."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        super().__init__(Path("/held"), {name: len(content) for name, content in contents.items()}, False)
        object.__setattr__(self, "_contents", contents)

    def open(self, name: str) -> BinaryIO:
        return io.BytesIO(self._contents[name])  # type: ignore[attr-defined]


def _read(read: Callable[[BinaryIO, str], object]) -> Callable[[bytes], object]:
    return lambda data: read(io.BytesIO(data), "it")


def _made(*make: Callable[[Path], Path], name: str = "file") -> Callable[[], list[bytes]]:
    """The bytes of what the builders make, which real programs can read."""

    @functools.cache
    def contents() -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            return [each(Path(folder, f"{number}{name}")).read_bytes() for number, each in enumerate(make)]

    return contents


def _torches() -> list[bytes]:
    return [*files(FIXTURES / "checkpoints", "*.pt"), *_made(builders.torch_zip)()]


@functools.cache
def _dcp_files() -> dict[str, bytes]:
    folder = FIXTURES / "checkpoints/dcp-torch-2.13"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _dcp(data: bytes) -> object:
    return dcp.verify(_Held({**_dcp_files(), dcp.METADATA: data}))


def _slice(data: bytes) -> object:
    name = next(name for name in _dcp_files() if name != dcp.METADATA)
    return dcp.verify(_Held({**_dcp_files(), name: data}))


def _index(data: bytes) -> object:
    tensors = _made(lambda path: builders.safetensors_file(path, {"a": 3}))()[0]
    return hf_index.verify(
        _Held({"model.safetensors.index.json": data, "a.safetensors": tensors}), "model.safetensors.index.json"
    )


def _onnx(data: bytes) -> object:
    # verify() asks for the size of a real file.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.onnx")
        path.write_bytes(data)
        return onnx.verify(Tree(Path(folder), {"m.onnx": len(data), "m.data": 64}, False), "m.onnx")


def _manifest(data: bytes) -> object:
    found = manifest.decode(data, "s", str(_MANIFEST["id"]), None)
    again = manifest.decode(manifest.encode(found.document, None), found.series, found.id, None)
    assert again.files == found.files
    assert again.document == found.document
    return found


def _manifest_with_its_digest(data: bytes) -> object:
    """Whoever changes a manifest on purpose can compute its digest anew."""
    try:
        document = json.loads(data)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        data = json.dumps({**document, "digest": hashlib.sha256(text).hexdigest()}).encode()
    except (ValueError, TypeError, RecursionError):
        pass
    return _manifest(data)


def _detected(data: bytes) -> object:
    return [formats.detect(_Held({name: data})) for name in ("a", "a.onnx", "a.bin", "a.gguf")]


_INDEX = b'{"metadata":{"total_size":12},"weight_map":{"a":"a.safetensors"}}'
_ALL = (Damaged,)

TARGETS = (
    Target("safetensors", _read(safetensors.verify), _made(builders.safetensors_file), _ALL),
    Target("gguf", _read(gguf.verify), _made(builders.gguf_file, name=".gguf"), _ALL),
    Target("llama-slot", _read(llama_slot.verify), _made(builders.llama_slot), _ALL),
    Target("torch-zip", _read(torch_zip.verify), _torches, _ALL),
    Target(
        "pickle",
        _read(pickles.read_pickle),
        lambda: [_dcp_files()[dcp.METADATA], builders.torch_pickle({"a": 3})],
        _ALL,
        growth=4096,
    ),
    Target("dcp-metadata", _dcp, lambda: [_dcp_files()[dcp.METADATA]], _ALL),
    Target(
        "dcp-slices", _slice, lambda: [content for name, content in _dcp_files().items() if name != dcp.METADATA], _ALL
    ),
    Target("hf-index", _index, lambda: [_INDEX], _ALL),
    Target("onnx", _onnx, _made(builders.onnx_file, name=".onnx"), _ALL),
    Target("manifest", _manifest, lambda: [manifest.encode(_MANIFEST, None)], _ALL),
    Target("manifest-of-a-forger", _manifest_with_its_digest, lambda: [json.dumps(_MANIFEST).encode()], _ALL),
    Target("checkpoint-format", _detected, lambda: [*_torches(), *_made(builders.onnx_file, name=".onnx")()], _ALL),
)
