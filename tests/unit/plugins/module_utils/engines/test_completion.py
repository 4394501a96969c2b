# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proves that a server generates, and what only looks like it."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.completions import prove_openai
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.server import EngineServer
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import Response
from hypothesis import given
from hypothesis import strategies as st


def completion(text="hello", tokens=1, finish="length"):
    return {"choices": [{"text": text, "finish_reason": finish}], "usage": {"completion_tokens": tokens}, "model": "m"}


def test_a_produced_completion_is_proof() -> None:
    made = prove_openai(completion(" the", 4, "stop"), 0.5)
    assert (made.text, made.tokens, made.finish_reason, made.seconds, made.model) == (" the", 4, "stop", 0.5, "m")


@pytest.mark.parametrize(
    "document",
    [
        completion(finish="abort"),  # vLLM that shuts down: HTTP 200
        completion(finish=None),  # its queued request: HTTP 200, no reason
        completion(finish="error"),
        completion(text=""),
        completion(text=None),
        completion(text=["a"]),
        completion(tokens=0),
        completion(tokens=None),
        completion(tokens=True),
        completion(tokens="4"),
        {**completion(), "usage": None},
        {**completion(), "choices": []},
        {**completion(), "choices": ["text"]},
        {"error": {"message": "EngineCore encountered an issue"}},
        [],
        None,
        "ok",
    ],
)
def test_what_proves_nothing(document) -> None:
    with pytest.raises(EngineError) as caught:
        prove_openai(document, 0.1)
    assert caught.value.kind == "not_proven"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["choices", "text", "usage"]), inner),
    max_leaves=8,
)


@given(json_values)
def test_no_document_without_tokens_is_proof(document) -> None:
    with pytest.raises(EngineError):
        prove_openai(document, 0.1)  # it has no finish_reason, whatever else it has


def test_the_key_is_sent_and_never_shown() -> None:
    asked = []

    def transport(request):
        asked.append(request)
        return Response(200, b"{}", 0.0)

    server = EngineServer("http://127.0.0.1:1/", transport, api_key="s3cret")
    server.get("/health")
    assert asked[0].headers["Authorization"] == "Bearer s3cret"
    assert asked[0].url == "http://127.0.0.1:1/health"
    assert "s3cret" not in repr(server)


@pytest.mark.parametrize("key", ["a\r\nX: y", "a\0", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_telling_it(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        EngineServer("http://a", lambda _request: Response(200, b"", 0.0), api_key=key)
    assert key not in str(caught.value)
