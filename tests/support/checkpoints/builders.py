# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes checkpoints: with the formats' own packages where they are small, by hand where that is torch.

The layout of torch's files is described in plugins/module_utils/checkpoints/torch_zip.py and dcp.py; what a real
torch wrote is in tests/fixtures/checkpoints, and both are read by the same tests.
"""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import gguf
import numpy
import onnx
import onnx.external_data_helper
import onnx.helper
import onnx.numpy_helper
import safetensors.numpy

# What a bomb touches if anybody ever loads it.
BOMB_FILE = "/tmp/autoglm-a-pickle-was-loaded"


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """BININT."""
    return b"J" + struct.pack("<i", value)


def bomb() -> bytes:
    """Opcodes that run a command when they are loaded; they leave nothing on the stack."""
    return b"cposix\nsystem\n(" + text(f"touch {BOMB_FILE}") + b"tR0"


def tensor(key: str, count: int, kind: bytes = b"FloatStorage") -> bytes:
    """A tensor of one dimension, as torch's pickles have it."""
    persistent = b"(" + text("storage") + b"ctorch\n" + kind + b"\n" + text(key) + text("cpu") + number(count) + b"tQ"
    shape = number(0) + b"(" + number(count) + b"t(" + number(1) + b"t\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + shape + b"tR"


def torch_pickle(tensors: dict[str, int], before: bytes = b"") -> bytes:
    """data.pkl of a dictionary of float tensors, by their number of elements."""
    items = b"".join(text(name) + tensor(str(key), count) for key, (name, count) in enumerate(tensors.items()))
    return b"\x80\x02" + before + b"}(" + items + b"u."


def torch_zip(
    path: Path, tensors: dict[str, int] | None = None, before: bytes = b"", storages: dict[str, bytes] | None = None
) -> Path:
    """A file of torch.save. storages: in place of the right ones."""
    tensors = {"w": 6, "b": 2} if tensors is None else tensors
    data = storages or {
        str(key): numpy.arange(count, dtype="<f4").tobytes() for key, count in enumerate(tensors.values())
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("m/data.pkl", torch_pickle(tensors, before))
        archive.writestr("m/byteorder", "little")
        for key, content in data.items():
            archive.writestr(f"m/data/{key}", content)
        archive.writestr("m/version", "3\n")
    return path


def safetensors_file(path: Path, tensors: dict[str, int] | None = None, fill: float = 1.0) -> Path:
    """A file of the package safetensors."""
    sizes = tensors or {"w": 6, "b": 2}
    arrays = {name: numpy.full(count, fill, dtype="float32") for name, count in sizes.items()}
    safetensors.numpy.save_file(arrays, str(path), metadata={"format": "np"})
    return path


def hf_sharded(directory: Path, binary: bool = False) -> Path:
    """A directory with an index and two shards."""
    directory.mkdir()
    suffix, write = (".bin", torch_zip) if binary else (".safetensors", safetensors_file)
    shards = [f"model-0000{number}-of-00002{suffix}" for number in (1, 2)]
    write(directory / shards[0], {"a": 8, "b": 4})
    write(directory / shards[1], {"c": 16})
    index = {"metadata": {"total_size": 112}, "weight_map": {"a": shards[0], "b": shards[0], "c": shards[1]}}
    (directory / f"model{suffix}.index.json").write_text(json.dumps(index))
    (directory / "config.json").write_text("{}")
    return directory


def dcp(directory: Path, before: bytes = b"", slices: list[tuple[str, int, int]] | None = None) -> Path:
    """A directory of torch.distributed.checkpoint, with two slices in one file. slices: other ones in the metadata."""
    directory.mkdir()
    parts = [torch_zip(directory / "part", {"w": count}).read_bytes() for count in (6, 3)]
    (directory / "part").unlink()
    (directory / "__0_0.distcp").write_bytes(b"".join(parts))
    lengths = [len(part) for part in parts]
    named = slices or [("__0_0.distcp", 0, lengths[0]), ("__0_0.distcp", lengths[0], lengths[1])]
    (directory / ".metadata").write_bytes(b"\x80\x02" + before + b"(" + b"".join(map(_slice, named)) + b"t.")
    return directory


def _slice(each: tuple[str, int, int]) -> bytes:
    name, offset, length = each
    state = text("relative_path") + text(name) + text("offset") + number(offset) + text("length") + number(length)
    return b"ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n)\x81}(" + state + b"ub"


def gguf_file(path: Path) -> Path:
    """A file of the package gguf."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "c"])
    writer.add_tensor("w", numpy.ones((4, 32), dtype="float32"))
    writer.add_tensor("b", numpy.ones(32, dtype="float16"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def onnx_file(path: Path, external: bool = False) -> Path:
    """A file of the package onnx; external: with the tensors in a file beside it."""
    weights = onnx.numpy_helper.from_array(numpy.ones((16, 32), dtype="float32"), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])
        for name, size in (("x", 16), ("y", 32))
    ]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights])
    model = onnx.helper.make_model(graph, producer_name="test")
    if external:
        onnx.external_data_helper.convert_model_to_external_data(model, location="weights.data", size_threshold=0)
    onnx.save(model, str(path))
    return path


def llama_slot(path: Path, tokens: int = 5) -> Path:
    """The header of a slot, and a state that only a llama-server could read."""
    path.write_bytes(b"qsgg" + struct.pack("<II", 2, tokens) + bytes(4 * tokens) + b"state")
    return path
