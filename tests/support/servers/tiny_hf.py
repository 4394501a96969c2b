# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a tiny Llama of random weights in Hugging Face's format. Run by vLLM's own Python, which has what it takes.

python tiny_hf.py DIRECTORY

Its tokens are bytes, so any prompt can be told to it and anything it says has a text; what it says has no sense.
"""

from __future__ import annotations

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ("<unk>", "<s>", "</s>")


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate((*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())))}
    byte_level = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=byte_level, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def model(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=8192,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=False,
            dtype=torch.float32,
        )
    )


def main(directory: str) -> None:
    speaks = tokenizer()
    speaks.save_pretrained(directory)
    model(len(speaks)).save_pretrained(directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
