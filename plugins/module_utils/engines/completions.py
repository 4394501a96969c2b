# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for a tiny completion, and the proof that an answer contains generated tokens.

A 200 alone proves nothing: an aborted request ends with 200 too, with text and tokens.  Whatever the shape of the
answer, the proof is the same: text that is not empty, a token count of at least one, and a finish reason that only a
produced completion has.  Every other answer is an EngineError of kind C(not_proven).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import EngineError, Generation
from .server import EngineServer, decode, describe
from .transport import TransportError

# C(abort) comes with HTTP 200 from a vLLM that shuts down; a queued request that was dropped has no reason at all.
OPENAI_ENDS = ("stop", "length")
# TGI 3.3, docs/openapi.json: FinishReason.
TGI_ENDS = ("length", "eos_token", "stop_sequence")


def ask(server: EngineServer, path: str, body: Mapping[str, Any]) -> tuple[Any, float]:
    """Post a request for a completion. Returns the document and the seconds it took. Raises EngineError."""
    try:
        answer = server.post(path, body, server.patience)
    except TransportError as error:
        raise EngineError(error.kind, error.reason) from error
    if answer.status != 200:
        raise EngineError("answered", f"the completion was refused: {describe(answer)}", answer.status)
    return decode(answer), answer.seconds


def openai(
    server: EngineServer,
    prompt: str,
    max_tokens: int,
    model: str | None,
    more: Mapping[str, Any],
    path: str | None = None,
) -> Generation:
    """OpenAI's C(/v1/completions), with more fields that only this engine knows."""
    body = {
        "prompt": prompt,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": False,
        **_model_field(model),
        **more,
    }
    return prove_openai(*ask(server, path or "/v1/completions", body))


def openai_chat(
    server: EngineServer,
    prompt: str,
    max_tokens: int,
    model: str | None,
    more: Mapping[str, Any],
    path: str | None = None,
) -> Generation:
    """OpenAI's C(/v1/chat/completions)."""
    messages = [{"role": "user", "content": prompt}]
    body = {
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": False,
        **_model_field(model),
        **more,
    }
    return prove_openai_chat(*ask(server, path or "/v1/chat/completions", body))


def tgi(
    server: EngineServer,
    prompt: str,
    max_tokens: int,
    model: str | None,
    more: Mapping[str, Any],
    path: str | None = None,
) -> Generation:
    """TGI's C(/generate), which serves one model and has no field to name it by."""
    parameters = {"max_new_tokens": max_tokens, "details": True, "do_sample": False, "return_full_text": False}
    document, seconds = ask(server, path or "/generate", {"inputs": prompt, "parameters": {**parameters, **more}})
    return prove_tgi(document, seconds, model)


def ollama(
    server: EngineServer,
    prompt: str,
    max_tokens: int,
    model: str | None,
    more: Mapping[str, Any],
    path: str | None = None,
) -> Generation:
    """Ollama's C(/api/generate). It loads the model if it is not in memory."""
    options = {"num_predict": max_tokens, "temperature": 0}
    body = {"prompt": prompt, "raw": True, "stream": False, "options": options, **_model_field(model), **more}
    return prove_ollama(*ask(server, path or "/api/generate", body))


def prove_openai(document: Any, seconds: float) -> Generation:
    """The completion in an answer of C(/v1/completions)."""
    choice, tokens, model = _first_choice(document)
    return proven(choice.get("text"), tokens, choice.get("finish_reason"), OPENAI_ENDS, seconds, model)


def prove_openai_chat(document: Any, seconds: float) -> Generation:
    """The completion in an answer of C(/v1/chat/completions). Reasoning content counts as text too."""
    choice, tokens, model = _first_choice(document)
    message = choice.get("message")
    texts = [message.get(key) for key in ("content", "reasoning_content")] if isinstance(message, dict) else []
    text = next((each for each in texts if each), None)
    return proven(text, tokens, choice.get("finish_reason"), OPENAI_ENDS, seconds, model)


def prove_tgi(document: Any, seconds: float, model: str | None = None) -> Generation:
    """The completion in an answer of TGI's C(/generate), which has a token count only if details were requested."""
    whole = document if isinstance(document, dict) else {}
    told = whole.get("details")
    details: dict[str, Any] = told if isinstance(told, dict) else {}
    tokens, finish = details.get("generated_tokens"), details.get("finish_reason")
    return proven(whole.get("generated_text"), tokens, finish, TGI_ENDS, seconds, model)


def prove_ollama(document: Any, seconds: float) -> Generation:
    """The completion in an answer of Ollama's C(/api/generate). Finish reasons C(load) and C(unload) have none."""
    whole = document if isinstance(document, dict) else {}
    if whole.get("done") is not True:
        raise EngineError("not_proven", "the answer is not the end of a completion", 200)
    text = whole.get("response") or whole.get("thinking")
    return proven(text, whole.get("eval_count"), whole.get("done_reason"), OPENAI_ENDS, seconds, whole.get("model"))


def proven(text: Any, tokens: Any, finish: Any, ends: tuple[str, ...], seconds: float, model: Any) -> Generation:
    """The Generation, if text, count and finish reason all prove it. Raises EngineError that names what does not."""
    if finish not in ends:
        raise EngineError("not_proven", f"the completion ended with finish_reason {finish!r}"[:200], 200)
    if not isinstance(text, str) or not text:
        raise EngineError("not_proven", "the completion holds no text", 200)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        raise EngineError("not_proven", f"the completion counts {tokens!r} tokens"[:200], 200)
    return Generation(text, tokens, finish, seconds, model if isinstance(model, str) else None)


FORMATS = {"openai": openai, "openai_chat": openai_chat, "tgi": tgi, "ollama": ollama}


def _model_field(name: str | None) -> dict[str, str]:
    return {} if name is None else {"model": name}


def _first_choice(document: Any) -> tuple[dict[str, Any], Any, Any]:
    """The first choice, the count of tokens and the model's name in an answer of OpenAI's form."""
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise EngineError("not_proven", "the answer holds no completion", 200)
    usage = document.get("usage")
    return choices[0], usage.get("completion_tokens") if isinstance(usage, dict) else None, document.get("model")
