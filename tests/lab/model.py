# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny language model: random weights in a GGUF file that llama-server loads in milliseconds.

It talks nonsense, but through every step of a real engine: tokenizer, prefill, KV cache, sampling,
streaming. The end token and the byte tokens can never be sampled, so that a request always yields
exactly ``max_tokens`` printable words and an answer that is too short is a fault, never chance.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gguf
    import numpy as np
    from numpy.typing import NDArray

WORDS = (
    "the of and to in is it you that he was for on are with as they be at one have this from or had by hot but some "
    "what there we can out other were all your when up use word how said an each she which do their time if will way "
    "about many then them would write like so these her long make thing see him two has look more day could go come "
    "did my sound no most number who over know water than call first people may down side been now find"
).split()

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

SPACE = "\u2581"  # how SentencePiece spells a blank
UNKNOWN, CONTROL, BYTE, NORMAL = 2, 3, 6, 1  # gguf.TokenType, spelt out so that a cached model needs no gguf


@dataclass(frozen=True)
class Shape:
    """Sizes of the model. Many heads make attention scores large, which ``faults.out_of_memory`` relies on;
    many layers make a token slow enough (about 1 ms) that streams are seen in flight."""

    layers: int = 16
    dim: int = 64
    heads: int = 8
    feed_forward: int = 128
    context: int = 8192
    seed: int = 1

    @property
    def key(self) -> str:
        """Name of this shape among the cached files; the source is part of it, so an edit rebuilds."""
        text = f"{self}{Path(__file__).read_text(encoding='utf-8')}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def ensure(cache: Path, shape: Shape | None = None) -> Path:
    """Return the model file, written on first use. Atomic: an interrupted write leaves no model."""
    shape = shape or Shape()
    path = cache / f"tiny-{shape.key}.gguf"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        _write(unfinished, shape)
        unfinished.rename(path)
    return path


def _vocabulary() -> list[tuple[str, float, int]]:
    """(text, score, type) per token. Every prefix of a word must be a token, or SPM cannot merge up to it."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    pieces = dict.fromkeys([SPACE, *map(chr, range(33, 127))], -1000.0)
    for word in WORDS:
        for end in range(1, len(word) + 1):
            pieces.setdefault(SPACE + word[:end], 0.0)
    tokens += [(text, score - len(tokens) - rank, NORMAL) for rank, (text, score) in enumerate(pieces.items())]
    return tokens


def _write(path: Path, shape: Shape) -> None:
    import gguf  # noqa: PLC0415  (only the first run on a machine needs it)

    writer = gguf.GGUFWriter(str(path), "llama")
    tokens = _vocabulary()
    _describe(writer, shape, tokens)
    for name, tensor in _tensors(shape, [text for text, _, _ in tokens]).items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, shape: Shape, tokens: list[tuple[str, float, int]]) -> None:
    writer.add_name("tiny-random")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.dim // shape.heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def _tensors(shape: Shape, texts: list[str]) -> dict[str, NDArray[np.float32]]:
    """Random weights, but dimension 0 of the residual stream is a constant that no layer may write to.

    Through it every token that is not a whole word gets a logit so low that it is never sampled.
    """
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng(shape.seed)

    def normal(*size: int, scale: float = 0.3) -> NDArray[np.float32]:
        return (random.standard_normal(size) * scale).astype(np.float32)

    words = {SPACE + word for word in WORDS}
    embedding = normal(len(texts), shape.dim, scale=1.0)
    embedding[:, 0] = 8.0
    output = normal(len(texts), shape.dim, scale=0.6)
    output[:, 0] = 0.0
    for row, text in enumerate(texts):
        if text not in words:
            output[row] = 0.0
            output[row, 0] = -200.0
    tensors = {"token_embd.weight": embedding, "output_norm.weight": np.ones(shape.dim, np.float32)}
    tensors["output.weight"] = output
    damping = 0.3 / max(1.0, shape.layers / 2) ** 0.5
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"{block}{name}.weight"] = np.ones(shape.dim, np.float32)
        for name in ("attn_q", "attn_k", "attn_v"):
            tensors[f"{block}{name}.weight"] = normal(shape.dim, shape.dim)
        for name in ("ffn_gate", "ffn_up"):
            tensors[f"{block}{name}.weight"] = normal(shape.feed_forward, shape.dim)
        for name, width in (("attn_output", shape.dim), ("ffn_down", shape.feed_forward)):
            back = normal(shape.dim, width, scale=damping)
            back[0] = 0.0
            tensors[f"{block}{name}.weight"] = back
    return tensors
