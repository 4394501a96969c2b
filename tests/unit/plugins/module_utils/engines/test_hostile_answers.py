# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a server answers, an adapter tells a reading, a figure or an error of the protocol, and nothing else."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.adapter import ACTS
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import ENGINES, open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import (
    ERROR_KINDS,
    Response,
    TransportError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

# All that the adapters look for, so that documents often have the right keys with wrong values.
KEYS = """
data id models name model version choices text finish_reason message content usage completion_tokens done response
done_reason eval_count generated_text details generated_tokens loads num_running_reqs num_waiting_reqs token_usage
gen_throughput enable_memory_saver is_paused is_sleeping is_processing n_saved n_erased n_restored state server_load
text_output num_output_tokens output_log_probs success status model_id build_info error
"""
METRICS = """
vllm:num_requests_running vllm:num_requests_waiting llamacpp:requests_processing llamacpp:requests_deferred
tgi_queue_size tgi_batch_current_size nv_inference_pending_request_count trtllm_kv_cache_utilization
"""

numbers = st.integers() | st.floats() | st.booleans() | st.none()
documents = st.recursive(
    numbers | st.text(max_size=8) | st.sampled_from(["READY", "stop", "length", "sleeping"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=6),
    max_leaves=12,
)
lines = st.builds("{} {}".format, st.sampled_from(METRICS.split()), numbers)
bodies = documents.map(json.dumps) | st.lists(lines, max_size=6).map("\n".join) | st.text(max_size=30) | st.just("")
answers = st.tuples(st.sampled_from([200, 200, 200, 204, 301, 400, 401, 404, 500, 503]), bodies) | st.sampled_from(
    ERROR_KINDS
)

OPTIONS = {
    "ollama": {"model": "m"},
    "triton": {"model": "m", "backend": "vllm"},
    "vllm": {"load_tracking": True},
    "generic": {
        "metrics_path": "/metrics",
        "running_metric": "tgi_queue_size",
        "waiting_metric": "tgi_batch_current_size",
        "models_path": "/v1/models",
        "version_path": "/v",
        "completion": "openai_chat",
        "abort_path": "/abort",
    },
}


class Hostile:
    """Answers the questions in turn, and then the last one for ever."""

    def __init__(self, said: list) -> None:
        self._said = list(said)

    def __call__(self, _request) -> Response:
        answer = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        if isinstance(answer, str):
            raise TransportError(answer, f"it was {answer}")
        return Response(answer[0], answer[1].encode("utf-8", "surrogatepass"), 0.01)


def open_hostile(name: str, said: list):
    return open_engine(name, "http://a", options=OPTIONS.get(name), transport=Hostile(said))


@pytest.mark.parametrize("name", sorted(ENGINES))
@settings(max_examples=40, deadline=None)
@given(said=st.lists(answers, min_size=1, max_size=6))
def test_questions_never_raise_and_tell_no_figure_that_cannot_be(name: str, said: list) -> None:
    for question in ("live", "ready", "accepting", "awake"):
        told = getattr(open_hostile(name, said), question)()
        assert told.value in (True, False, None)
        assert told.reason
    stats = open_hostile(name, said).stats()
    for field in ("running", "waiting", "prompt_tokens_total", "generation_tokens_total", "in_flight"):
        value = getattr(stats, field)
        assert value is None or (type(value) is int and value >= 0)
    for field in ("running", "waiting", "models", "version", "kv_cache_usage"):
        assert (getattr(stats, field) is None) == (field in stats.unread), field


@pytest.mark.parametrize("name", sorted(ENGINES))
@settings(max_examples=40, deadline=None)
@given(said=st.lists(answers, min_size=1, max_size=6))
def test_orders_and_completions_fail_only_as_the_protocol_has_it(name: str, said: list) -> None:
    for act in ACTS:
        try:
            getattr(open_hostile(name, said), act)(*(["x"] if act.endswith("_state") else []))
        except (EngineError, NotSupported) as error:
            assert str(error)
    try:
        made = open_hostile(name, said).generate("hi", 8)
    except (EngineError, NotSupported) as error:
        assert str(error)
    else:
        assert made.text
        assert made.tokens >= 1
