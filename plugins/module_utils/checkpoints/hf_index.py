# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sharded directories of Hugging Face: an index maps each tensor to a file."""

from __future__ import annotations

import json
from typing import Any

from . import safetensors, torch_zip
from .names import check_relative
from .problems import Damaged
from .tree import Tree

SUFFIX = ".index.json"
_MAX_INDEX = 256 << 20


def indexes(tree: Tree) -> list[str]:
    """Names of the indexes in a directory."""
    return [name for name in tree.files if name.endswith(SUFFIX)]


def verify(tree: Tree, index: str) -> tuple[int, tuple[str, ...]]:
    """Prove all shards of one index and that each has its tensors. Returns the number of shards, and remarks."""
    weight_map = _read_weight_map(tree, index)
    shards: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        shards.setdefault(check_relative(shard, f"{index}: shard"), set()).add(tensor)
    remarks: list[str] = []
    for shard, wanted in sorted(shards.items()):
        # The names of shards are relative to the index.
        name = index.rpartition("/")[0] + "/" + shard if "/" in index else shard
        if name not in tree.files:
            raise Damaged(f"{index}: shard {name[:120]} is missing")
        missing = sorted(wanted - _tensors_of_shard(tree, name, remarks))
        if missing:
            raise Damaged(f"{name}: lacks {len(missing)} of the tensors that {index} says it has: {missing[0][:80]}")
    return len(shards), tuple(remarks)


def _tensors_of_shard(tree: Tree, name: str, remarks: list[str]) -> frozenset[str]:
    with tree.open(name) as stream:
        if name.endswith(".safetensors"):
            return frozenset(safetensors.verify(stream, name))
        found = torch_zip.verify(stream, name)
        remarks.extend(found.remarks)
        return found.texts


def _read_weight_map(tree: Tree, index: str) -> dict[str, Any]:
    if tree.files[index] > _MAX_INDEX:
        raise Damaged(f"{index}: has {tree.files[index]} bytes, which no index needs")
    try:
        with tree.open(index) as stream:
            document = json.loads(stream.read())
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{index}: is no JSON") from error
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise Damaged(f"{index}: has no weight_map")
    return weight_map
