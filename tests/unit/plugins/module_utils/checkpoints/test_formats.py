# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each format's structure shows: whole files are accepted, cut and bent ones refused, and no pickle is loaded."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import gguf.constants
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import gguf as gguf_format
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.formats import detect, prove
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import Damaged, Unsupported
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.tree import read_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.checkpoints import builders

FIXTURES = Path(__file__).parents[4] / "fixtures/checkpoints"
OPEN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "torch": lambda at: builders.torch_zip(at / "m.pt"),
    "safetensors": lambda at: builders.safetensors_file(at / "m.safetensors"),
    "hf_sharded": lambda at: builders.hf_sharded(at / "hf"),
    "dcp": lambda at: builders.dcp(at / "dcp"),
    "gguf": lambda at: builders.gguf_file(at / "m.gguf"),
    "onnx": lambda at: builders.onnx_file(at / "m.onnx"),
    "llama_slots": lambda at: builders.llama_slot(at / "a-slot0.bin"),
}


def whole(path: Path, wanted: str | None = None) -> str:
    return prove(read_tree(path), wanted).format


def refused(path: Path, wanted: str | None = None) -> str:
    with pytest.raises(Damaged) as caught:
        prove(read_tree(path), wanted)
    return str(caught.value)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_whole_checkpoint_is_known_by_its_content(kind: str, tmp_path: Path) -> None:
    assert whole(BUILDERS[kind](tmp_path)) == kind


@pytest.mark.parametrize(
    ("name", "kind", "parts"),
    [
        ("torch-2.13.pt", "torch", 2),
        ("torch-2.13-without-crc.pt", "torch", 1),
        ("torchscript-2.13.pt", "torch", 2),
        ("dcp-torch-2.13", "dcp", 2),
    ],
)
def test_what_a_real_torch_wrote_is_whole(name: str, kind: str, parts: int) -> None:
    proof = prove(read_tree(FIXTURES / name))
    assert (proof.format, proof.parts) == (kind, parts)
    assert bool(proof.remarks) == ("without-crc" in name)


def test_a_torch_of_this_machine_is_read(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed, and is too large to be a test dependency")
    model = torch.nn.Linear(5, 3)
    torch.save({"model": model.state_dict(), "half": torch.zeros(7, dtype=torch.bfloat16)}, tmp_path / "m.pt")
    assert prove(read_tree(tmp_path / "m.pt")).parts == 3


@pytest.mark.parametrize("kind", ["torch", "safetensors", "gguf", "llama_slots"])
def test_a_file_that_ends_early_is_refused(kind: str, tmp_path: Path) -> None:
    path = BUILDERS[kind](tmp_path)
    content = path.read_bytes()
    # What follows the last tensor of a GGUF is padding; a slot's state has a form of its own.
    last = {"gguf": len(content) - 32, "llama_slots": 12 + 4 * 5 - 1}.get(kind, len(content) - 1)

    @OPEN
    @given(st.integers(0, last))
    def cut(length: int) -> None:
        path.write_bytes(content[:length])
        assert refused(path, kind)

    cut()


def test_an_onnx_that_ends_before_its_opset_is_refused(tmp_path: Path) -> None:
    path = builders.onnx_file(tmp_path / "m.onnx")
    content = path.read_bytes()
    opset = content.rindex(b"B")  # the tag of field 8, the last one

    @OPEN
    @given(st.integers(0, opset))
    def cut(length: int) -> None:
        path.write_bytes(content[:length])
        assert refused(path)

    cut()


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_bent_byte_is_refused_or_harmless_and_never_a_crash(kind: str, tmp_path: Path) -> None:
    root = BUILDERS[kind](tmp_path)
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())

    @OPEN
    @given(st.data())
    def bend(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(files))
        original = path.read_bytes()
        at = data.draw(st.integers(0, len(original) - 1))
        path.write_bytes(original[:at] + bytes([original[at] ^ data.draw(st.integers(1, 255))]) + original[at + 1 :])
        try:
            prove(read_tree(root), kind)
        except Damaged as problem:
            assert str(problem)
        finally:
            path.write_bytes(original)

    bend()


@pytest.mark.parametrize("kind", [*BUILDERS, "files"])
def test_rubbish_is_refused_in_every_format(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "rubbish"

    @OPEN
    @given(st.binary(max_size=400))
    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            prove(read_tree(path), kind)
        except Damaged:
            return
        assert kind in ("files", "llama_slots", "onnx")

    read()


class TestTorch:
    def test_a_value_that_was_changed_does_not_have_its_crc(self, tmp_path: Path) -> None:
        path = builders.torch_zip(tmp_path / "m.pt", {"w": 64})
        content = bytearray(path.read_bytes())
        at = content.index(struct.pack("<f", 5.0))
        content[at] ^= 1
        path.write_bytes(content)
        assert "CRC" in refused(path)

    def test_a_storage_that_is_missing_is_named(self, tmp_path: Path) -> None:
        path = builders.torch_zip(tmp_path / "m.pt", storages={"0": bytes(24)})
        assert "storage '1' is missing" in refused(path)

    def test_a_storage_of_the_wrong_length_is_named(self, tmp_path: Path) -> None:
        path = builders.torch_zip(tmp_path / "m.pt", storages={"0": bytes(20), "1": bytes(8)})
        assert "storage '0' has 20 bytes and should have 24" in refused(path)

    def test_the_form_before_1_6_is_said_to_be_unprovable(self, tmp_path: Path) -> None:
        path = tmp_path / "old.pt"
        path.write_bytes(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.rest")
        with pytest.raises(Unsupported, match=r"before 1\.6"):
            prove(read_tree(path))

    def test_another_zip_is_not_torch(self, tmp_path: Path) -> None:
        path = tmp_path / "m.pt"
        shutil.make_archive(str(tmp_path / "z"), "zip", FIXTURES)
        (tmp_path / "z.zip").rename(path)
        assert "torch did not write it" in refused(path)


class TestPicklesAreNeverLoaded:
    @pytest.fixture(autouse=True)
    def no_bomb(self) -> None:
        Path(builders.BOMB_FILE).unlink(missing_ok=True)
        yield
        assert not Path(builders.BOMB_FILE).exists(), "a pickle was loaded"

    def test_in_a_torch_file(self, tmp_path: Path) -> None:
        assert "would run posix.system" in refused(builders.torch_zip(tmp_path / "m.pt", before=builders.bomb()))

    def test_in_the_metadata_of_dcp(self, tmp_path: Path) -> None:
        assert "would run posix.system" in refused(builders.dcp(tmp_path / "d", before=builders.bomb()))

    def test_in_a_slice_of_dcp(self, tmp_path: Path) -> None:
        root = builders.dcp(tmp_path / "d")
        bomb = builders.torch_zip(tmp_path / "bomb", before=builders.bomb()).read_bytes()
        shutil.rmtree(root)
        builders.dcp(root, slices=[("__0_0.distcp", 0, len(bomb))])
        (root / "__0_0.distcp").write_bytes(bomb)
        assert "would run posix.system" in refused(root)

    def test_in_a_shard(self, tmp_path: Path) -> None:
        root = builders.hf_sharded(tmp_path / "hf", binary=True)
        assert whole(root) == "hf_sharded"
        shard = next(root.glob("*.bin"))
        builders.torch_zip(shard, {"a": 8, "b": 4}, before=builders.bomb())
        index = json.loads((root / "model.bin.index.json").read_text())
        index["weight_map"] = dict.fromkeys(("a", "b"), shard.name)
        (root / "model.bin.index.json").write_text(json.dumps(index))
        assert "would run posix.system" in refused(root)

    @pytest.mark.parametrize(
        "opcodes",
        [
            b"cbuiltins\neval\n(" + builders.text("1") + b"tR0",
            b"(" + builders.text("touch " + builders.BOMB_FILE) + b"ios\nsystem\n0",
            builders.text("torch.serialization") + builders.text("os.system") + b"\x930",
            builders.text("subprocess") + builders.text("Popen") + b"\x930",
        ],
    )
    def test_whatever_way_it_takes(self, opcodes: bytes, tmp_path: Path) -> None:
        assert "would run" in refused(builders.torch_zip(tmp_path / "m.pt", before=opcodes))


class TestShards:
    def test_a_missing_shard_is_named(self, tmp_path: Path) -> None:
        root = builders.hf_sharded(tmp_path / "hf")
        (root / "model-00002-of-00002.safetensors").unlink()
        assert "model-00002-of-00002.safetensors is missing" in refused(root)

    def test_a_tensor_that_is_not_in_its_shard_is_named(self, tmp_path: Path) -> None:
        root = builders.hf_sharded(tmp_path / "hf")
        builders.safetensors_file(root / "model-00002-of-00002.safetensors", {"d": 16})
        assert "lacks 1 of the tensors" in refused(root)

    @pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "a/../../b", ""])
    def test_an_index_leads_nowhere_else(self, shard: str, tmp_path: Path) -> None:
        root = builders.hf_sharded(tmp_path / "hf")
        (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
        assert "shard name" in refused(root)

    def test_a_slice_beyond_its_file_is_seen(self, tmp_path: Path) -> None:
        root = builders.dcp(tmp_path / "d")
        with (root / "__0_0.distcp").open("r+b") as file:
            file.truncate(500)
        assert "its slices end at" in refused(root)

    def test_a_directory_without_its_metadata_is_not_finished(self, tmp_path: Path) -> None:
        root = builders.dcp(tmp_path / "d")
        (root / ".metadata").unlink()
        assert "torch writes last" in refused(root, "dcp")


class TestOnnx:
    def test_external_data_is_found(self, tmp_path: Path) -> None:
        (tmp_path / "m").mkdir()
        builders.onnx_file(tmp_path / "m/m.onnx", external=True)
        assert whole(tmp_path / "m") == "onnx"

    def test_external_data_that_is_cut_or_gone_is_seen(self, tmp_path: Path) -> None:
        (tmp_path / "m").mkdir()
        builders.onnx_file(tmp_path / "m/m.onnx", external=True)
        os.truncate(tmp_path / "m/weights.data", 100)
        assert "which has 100" in refused(tmp_path / "m")
        (tmp_path / "m/weights.data").unlink()
        assert "is missing" in refused(tmp_path / "m")
        assert "give the directory" in refused(tmp_path / "m/m.onnx")

    def test_external_data_leads_nowhere_else(self, tmp_path: Path) -> None:
        path = builders.onnx_file(tmp_path / "m.onnx", external=True)
        path.write_bytes(path.read_bytes().replace(b"weights.data", b"../../../pwd"))
        assert "not a plain path" in refused(path)


def test_the_sizes_of_gguf_types_are_those_of_its_package() -> None:
    theirs = {int(kind): sizes for kind, sizes in gguf.constants.GGML_QUANT_SIZES.items()}
    assert {kind: sizes for kind, sizes in gguf_format.BLOCKS.items() if kind in theirs} == theirs


def test_a_tensor_that_overlaps_another_one_is_refused(tmp_path: Path) -> None:
    path = builders.safetensors_file(tmp_path / "m.safetensors")
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["b"]["data_offsets"] = header["w"]["data_offsets"]
    header["b"]["shape"] = header["w"]["shape"]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    assert "begins at" in refused(path)


def test_plain_files_are_files(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("hello")
    assert detect(read_tree(tmp_path)) == "files"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/etc/passwd", path)])
def test_what_is_no_regular_file_is_no_checkpoint(make: Callable[[str], None], tmp_path: Path) -> None:
    make(str(tmp_path / "odd"))
    with pytest.raises(Damaged, match="regular files only"):
        read_tree(tmp_path)
