# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of a checkpoint, and the proof by its structure that it is complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from . import dcp, gguf, hf_index, llama_slot, onnx, safetensors, torch_zip
from .problems import Damaged
from .tree import Tree

# C(files) stands for any files, which only the manifest can prove later.
FORMATS = ("torch", "safetensors", "hf_sharded", "dcp", "gguf", "onnx", "llama_slots", "files")
_TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
_START = 64


@dataclass(frozen=True)
class FormatProof:
    """The result of a proof. parts: how many tensors, storages, slices or slots; remarks: what was not proven."""

    format: str
    parts: int
    remarks: tuple[str, ...] = ()


def prove(tree: Tree, wanted: str | None = None) -> FormatProof:
    """Check a checkpoint by its structure. wanted: the format that it must have. Raises Damaged."""
    if not tree.files:
        raise Damaged(f"{tree.root} holds no file")
    kind = wanted or detect(tree)
    return _PROVERS[kind](tree)


def detect(tree: Tree) -> str:
    """The format by content; C(files) for an unknown one. Does not check that the checkpoint is complete."""
    if dcp.METADATA in tree.files:
        return "dcp"
    if hf_index.indexes(tree):
        return "hf_sharded"
    kinds = {_format_of_file(tree, name) for name in tree.files} - {"files"}
    # A directory with several formats is none that could be proven as a whole.
    return kinds.pop() if len(kinds) == 1 else "files"


def _format_of_file(tree: Tree, name: str) -> str:
    lower = name.lower()
    with tree.open(name) as stream:
        start = stream.read(_START)
        stream.seek(0)
        # The first record of torch's zips is the pickle; its name stands in the local header.
        zipped = start.startswith(torch_zip.MAGIC) and (b"/data.pkl" in start or lower.endswith(_TORCH_SUFFIXES))
        signs = {
            "gguf": start.startswith(gguf.MAGIC) or lower.endswith(".gguf"),
            "llama_slots": start.startswith(llama_slot.MAGIC),
            "torch": zipped or start.startswith(torch_zip.LEGACY_MAGIC),
            "safetensors": safetensors.looks_like(start) or lower.endswith(".safetensors"),
            "onnx": lower.endswith(".onnx") or onnx.looks_like(stream, tree.files[name]),
        }
    return next((kind for kind, there in signs.items() if there), "files")


def _files_of_format(tree: Tree, kind: str) -> list[str]:
    names = list(tree.files) if tree.is_file else [name for name in tree.files if _format_of_file(tree, name) == kind]
    if not names:
        raise Damaged(f"{tree.root} holds no file of the format {kind}")
    return names


def _prove_torch(tree: Tree) -> FormatProof:
    parts, remarks = 0, list[str]()
    for name in _files_of_format(tree, "torch"):
        with tree.open(name) as stream:
            found = torch_zip.verify(stream, name)
        parts += found.storages
        remarks.extend(found.remarks)
    return FormatProof("torch", parts, tuple(remarks))


def _prove_safetensors(tree: Tree) -> FormatProof:
    parts = 0
    for name in _files_of_format(tree, "safetensors"):
        with tree.open(name) as stream:
            parts += len(safetensors.verify(stream, name))
    return FormatProof("safetensors", parts, (_NO_CHECKSUM,))


def _prove_gguf(tree: Tree) -> FormatProof:
    parts = 0
    for name in _files_of_format(tree, "gguf"):
        with tree.open(name) as stream:
            parts += gguf.verify(stream, name)
    return FormatProof("gguf", parts, (_NO_CHECKSUM,))


def _prove_llama_slots(tree: Tree) -> FormatProof:
    for name in _files_of_format(tree, "llama_slots"):
        with tree.open(name) as stream:
            llama_slot.verify(stream, name)
    return FormatProof("llama_slots", len(tree.files), (_NO_CHECKSUM,))


def _prove_onnx(tree: Tree) -> FormatProof:
    names = _files_of_format(tree, "onnx")
    for name in names:
        onnx.verify(tree, name)
    return FormatProof("onnx", len(names), (_NO_CHECKSUM,))


def _prove_hf_sharded(tree: Tree) -> FormatProof:
    names = hf_index.indexes(tree)
    if tree.is_file or not names:
        raise Damaged(f"{tree.root} is no directory with an index of shards")
    parts, remarks = 0, list[str]()
    for name in names:
        shards, found = hf_index.verify(tree, name)
        parts += shards
        remarks.extend(found)
    return FormatProof("hf_sharded", parts, tuple(remarks))


def _prove_dcp(tree: Tree) -> FormatProof:
    if tree.is_file or dcp.METADATA not in tree.files:
        raise Damaged(f"{tree.root} has no {dcp.METADATA}, which torch writes last")
    parts, remarks = dcp.verify(tree)
    return FormatProof("dcp", parts, remarks)


def _prove_files(tree: Tree) -> FormatProof:
    return FormatProof(
        "files", len(tree.files), ("nothing but the manifest shows later whether these files are whole",)
    )


_NO_CHECKSUM = "the format has no checksums: changed values are seen by the manifest only"
_PROVERS: dict[str, Callable[[Tree], FormatProof]] = {
    "torch": _prove_torch,
    "safetensors": _prove_safetensors,
    "hf_sharded": _prove_hf_sharded,
    "dcp": _prove_dcp,
    "gguf": _prove_gguf,
    "onnx": _prove_onnx,
    "llama_slots": _prove_llama_slots,
    "files": _prove_files,
}
