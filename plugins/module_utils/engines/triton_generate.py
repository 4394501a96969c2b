# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Completions by Triton's generate extension, whose answers have a token count or finish reason only on request.

The fields that request them differ by backend: docs/additional_outputs.md of vllm_backend (24.12 and later), and
C(return_log_probs) of tensorrtllm_backend, which returns one log probability per token, all zero if not requested.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from . import completions
from .protocol import Generation
from .server import EngineServer


def by_vllm(server: EngineServer, path: str, prompt: str, max_tokens: int) -> Generation:
    """A completion by the vLLM backend. Raises EngineError."""
    body = {
        "text_input": prompt,
        "exclude_input_in_output": True,
        "return_finish_reason": True,
        "return_num_output_tokens": True,
        "parameters": {"stream": False, "temperature": 0, "max_tokens": max_tokens, "ignore_eos": True},
    }
    return prove_vllm(*completions.ask(server, path, body))


def by_tensorrt_llm(server: EngineServer, path: str, prompt: str, max_tokens: int) -> Generation:
    """A completion by the TensorRT-LLM backend's ensemble or BLS model. Raises EngineError."""
    body = {
        "text_input": prompt,
        "max_tokens": max_tokens,
        "bad_words": "",
        "stop_words": "",
        "return_log_probs": True,
        "exclude_input_in_output": True,
    }
    return prove_tensorrt_llm(*completions.ask(server, path, body), prompt)


def prove_vllm(document: Any, seconds: float) -> Generation:
    """The completion in an answer with the additional outputs."""
    whole = document if isinstance(document, dict) else {}
    tokens, finish = _unwrap_single(whole.get("num_output_tokens")), _unwrap_single(whole.get("finish_reason"))
    text, model = _unwrap_single(whole.get("text_output")), whole.get("model_name")
    return completions.proven(text, tokens, finish, completions.OPENAI_ENDS, seconds, model)


def prove_tensorrt_llm(document: Any, seconds: float, prompt: str) -> Generation:
    """The completion in an answer with log probabilities. There is no finish reason: an unfinished request fails."""
    whole = document if isinstance(document, dict) else {}
    text, model = _unwrap_single(whole.get("text_output")), whole.get("model_name")
    made = text[len(prompt) :] if isinstance(text, str) and text.startswith(prompt) else text
    tokens = _count_log_probs(whole.get("output_log_probs"))
    finish = "not told" if "error" not in whole else "error"
    return completions.proven(made, tokens, finish, ("not told",), seconds, model)


BACKENDS: Mapping[str, Callable[[EngineServer, str, str, int], Generation]] = {
    "vllm": by_vllm,
    "tensorrt_llm": by_tensorrt_llm,
}


def _count_log_probs(log_probs: Any) -> int | None:
    """The number of log probabilities; None where they are all zero, which means that none were computed."""
    values = log_probs if isinstance(log_probs, list) else [log_probs]
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return None
    return len(values) if any(value != 0 for value in values) else None


def _unwrap_single(value: Any) -> Any:
    """The value of a tensor of one element, which Triton writes as the element or as a list of it."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
