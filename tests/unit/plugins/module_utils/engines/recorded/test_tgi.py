# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TGI's adapter against answers out of its OpenAPI document and metrics of its source."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError

ENGINE = "tgi"
pytestmark = pytest.mark.recorded

PREFILL = """tgi_queue_size 0
tgi_batch_inference_count{method="prefill"} %d
tgi_batch_inference_success{method="prefill"} 4
"""


@pytest.mark.parametrize(("answer", "value"), [((200, ""), True), ((503, "unhealthy"), False), ((404, ""), None)])
def test_health(play, answer, value) -> None:
    engine = play({"GET /health": answer}).engine
    assert (engine.live().value, engine.ready().value) == (value, value)


def test_figures(play) -> None:
    stats = play().engine.stats()
    assert (stats.running, stats.waiting, stats.in_flight) == (4, 7, 11)
    assert (stats.prompt_tokens_total, stats.generation_tokens_total) == (412, 8123)
    assert (stats.version, stats.models) == ("0.5.0", ("bigscience/blomm-560m",))
    assert set(stats.unread) == {"kv_cache_usage", "tokens_per_second"}


@pytest.mark.parametrize(
    ("metrics", "running"),
    [
        (PREFILL % 4 + "tgi_batch_current_size 0\n", 0),
        (PREFILL % 5 + "tgi_batch_current_size 0\n", 1),  # neither in the queue nor in the batch
        (PREFILL % 5 + "tgi_batch_current_size 3\n", 4),
        (PREFILL % 5, 1),
        (PREFILL % 4, None),
        ("tgi_queue_size 0\n", None),
        (PREFILL % 4 + "tgi_batch_current_size NaN\n", None),
    ],
)
def test_a_prefill_is_a_request_that_runs(play, metrics, running) -> None:
    assert play({"GET /metrics": (200, metrics)}).engine.stats().running == running


def test_a_completion(play) -> None:
    recording = play()
    made = recording.engine.generate("My name is Olivier and I", 8)
    assert (made.text, made.tokens, made.finish_reason) == ("test", 1, "length")
    assert recording.body_of("/generate")["parameters"]["details"] is True


@pytest.mark.parametrize(
    "document",
    [
        {"generated_text": "test"},  # without details there is no count
        {"generated_text": "", "details": {"finish_reason": "eos_token", "generated_tokens": 1}},
        {"generated_text": "test", "details": {"finish_reason": "length", "generated_tokens": 0}},
        {"generated_text": "test", "details": {"finish_reason": None, "generated_tokens": 1}},
        {"generated_text": "test", "details": None},
        [],
        {"error": "Request failed during generation", "error_type": "generation"},
    ],
)
def test_what_proves_nothing(play, document) -> None:
    with pytest.raises(EngineError) as caught:
        play({"POST /generate": (200, json.dumps(document))}).engine.generate("hi", 8)
    assert caught.value.kind == "not_proven"
