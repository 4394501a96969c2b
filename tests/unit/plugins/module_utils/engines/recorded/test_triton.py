# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Triton's adapter against answers out of its documentation and that of its backends."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.triton_generate import prove_tensorrt_llm

ENGINE = "triton"
pytestmark = pytest.mark.recorded

NOT_EXPLICIT = (400, '{"error":"explicit model load / unload is not allowed if polling is enabled"}')


def test_health_of_the_server_and_of_one_model(play) -> None:
    assert play().engine.ready().value is True
    recording = play({"GET /v2/models/a%2Fb/ready": (400, "")}, model="a/b")
    assert recording.engine.ready().value is False
    assert recording.paths == ["GET /v2/models/a%2Fb/ready"]


def test_figures_come_from_a_port_of_their_own(play) -> None:
    recording = play()
    stats = recording.engine.stats()
    assert (stats.waiting, stats.version, stats.models) == (0, "2.53.0", ("ensemble", "tensorrt_llm"))
    assert stats.kv_cache_usage == 1 / 6239
    assert "http://10.0.0.1:8002/metrics" in [each.url for each in recording.transport.asked]
    assert not any("Authorization" in each.headers for each in recording.transport.asked if ":8002" in each.url)
    moved = play(metrics_url="http://10.0.0.9:9/triton")
    moved.engine.stats()
    assert "http://10.0.0.9:9/triton/metrics" in [each.url for each in moved.transport.asked]


def test_requests_that_run_are_not_known_to_be_none(play) -> None:
    assert play().engine.stats().in_flight is None, "active is 0 while a first iteration runs"
    busy = 'nv_trt_llm_request_metrics{request_type="active"} 3\nnv_inference_pending_request_count{model="a"} 2\n'
    assert play({"GET /metrics": (200, busy)}).engine.stats().in_flight == 5


def test_models_are_unloaded_and_loaded(play) -> None:
    recording = play(model="ensemble")
    assert recording.engine.awake().value is True
    recording.engine.sleep()
    recording.engine.wake()
    assert play(model="old").engine.awake().value is False
    assert play().engine.awake().kind == "not_supported"
    with pytest.raises(NotSupported, match="option model"):
        play().engine.sleep()
    with pytest.raises(NotSupported, match="--model-control-mode=explicit"):
        play({"POST /v2/repository/models/ensemble/unload": NOT_EXPLICIT}, model="ensemble").engine.sleep()
    with pytest.raises(EngineError, match="busy"):
        play({"POST /v2/repository/models/ensemble/load": (400, '{"error":"busy"}')}, model="ensemble").engine.wake()


def test_a_completion_of_the_vllm_backend(play) -> None:
    recording = play(model="vllm_model", backend="vllm")
    made = recording.engine.generate("What is Triton?", 8)
    assert (made.tokens, made.finish_reason, made.text) == (8, "length", " a server for models")
    assert recording.body_of("/generate")["return_num_output_tokens"] is True


def test_a_completion_without_the_additional_outputs_proves_nothing(play) -> None:
    bare = (200, json.dumps({"model_name": "mymodel", "model_version": "1", "text_output": "model output"}))
    with pytest.raises(EngineError, match="finish_reason None"):
        play({"POST /v2/models/m/generate": bare}, model="m", backend="vllm").engine.generate("hi", 8)


def test_a_completion_of_the_tensorrt_llm_backend_is_counted_by_its_log_probabilities(play) -> None:
    with pytest.raises(EngineError, match="None tokens"):
        play(model="ensemble", backend="tensorrt_llm").engine.generate("What is machine learning?", 8)
    document = {"text_output": "hi there", "output_log_probs": [-0.5, -0.1, 0.0], "model_name": "ensemble"}
    made = prove_tensorrt_llm(document, 0.1, "hi")
    assert (made.text, made.tokens) == (" there", 3)
    with pytest.raises(EngineError, match="no text"):
        prove_tensorrt_llm({**document, "text_output": "hi"}, 0.1, "hi")  # an echo of the prompt


@pytest.mark.parametrize("options", [{}, {"model": "ensemble"}, {"backend": "vllm"}])
def test_which_completion_could_be_proven_has_to_be_said(play, options) -> None:
    with pytest.raises(NotSupported, match="options model and backend"):
        play(**options).engine.generate("hi", 8)


def test_the_process_of_a_model_that_died_is_no_wrong_question(play) -> None:
    """HTTP 400 is Triton's status for every failed inference. Seen on 2.51."""
    dead = (400, '{"error":"Stub process \'words_0\' is not healthy."}')
    with pytest.raises(EngineError) as caught:
        play({"POST /v2/models/m/generate": dead}, model="m", backend="vllm").engine.generate("hi", 8)
    assert caught.value.kind == "not_proven"
    wrong = (400, '{"error":"unexpected inference input"}')
    with pytest.raises(EngineError) as caught:
        play({"POST /v2/models/m/generate": wrong}, model="m", backend="vllm").engine.generate("hi", 8)
    assert caught.value.kind == "answered"
