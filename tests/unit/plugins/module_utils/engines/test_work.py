# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which figures of an engine tell of its work: read out of pages that real servers wrote, or after their source."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import ENGINES, open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.health.motion import judge_motion

# After python/sglang/srt/metrics/collector.py: totals of the tokenizer manager, figures of each scheduler.
SGLANG = """sglang:generation_tokens_total{model_name="m"} 900
sglang:prompt_tokens_total{model_name="m"} 400
sglang:num_running_reqs{model_name="m",dp_rank="0",tp_rank="0"} {r0}
sglang:num_queue_reqs{model_name="m",dp_rank="0",tp_rank="0"} 0
sglang:num_used_tokens{model_name="m",dp_rank="0",tp_rank="0"} 64
sglang:realtime_tokens_total{model_name="m",dp_rank="0",tp_rank="0",mode="decode"} {d0}
sglang:num_running_reqs{model_name="m",dp_rank="1",tp_rank="0"} {r1}
sglang:num_queue_reqs{model_name="m",dp_rank="1",tp_rank="0"} 0
sglang:num_used_tokens{model_name="m",dp_rank="1",tp_rank="0"} 64
sglang:realtime_tokens_total{model_name="m",dp_rank="1",tp_rank="0",mode="decode"} {d1}
"""
# After router/src and backends/v3/src/backend.rs: forward passes are counted one by one.
TGI = """tgi_queue_size 7
tgi_batch_current_size 4
tgi_batch_inference_success{method="prefill"} 9
tgi_batch_inference_success{method="decode"} {steps}
tgi_request_generated_tokens_sum 8123
"""
# After README.md of tensorrtllm_backend, and docs/metrics.md of Triton.
TRITON = """nv_inference_pending_request_count{model="a",version="1"} {pending}
nv_inference_request_success{model="a",version="1"} {done}
"""
TRITON_TENSORRT = """nv_trt_llm_request_metrics{model="a",request_type="active",version="1"} 3
nv_trt_llm_general_metrics{general_type="iteration_counter",model="a",version="1"} {steps}
"""


def page(text: str, **values: int) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def kind(fake_transport, name: str, before: str, after: str, seconds: float = 60.0, **options: str) -> str:
    """What two looks tell, this many seconds apart."""
    transport = fake_transport({})
    engine = open_engine(name, "http://127.0.0.1:1", options=options, transport=transport)
    seen = []
    for at, text in ((0.0, before), (seconds, after)):
        for path in ("/metrics", "/prometheus/metrics"):
            transport.answers[f"GET {path}"] = (200, text)
        look = engine.work()
        seen.append(type(look)(at, look.lanes, look.held_back, look.unread, look.waited, look.lag))
    return judge_motion(seen, 20).kind


def test_vllm_as_it_was_recorded(fake_transport, recorded) -> None:
    text = recorded("vllm_metrics.txt")
    assert kind(fake_transport, "vllm", text, text) == "stalled"
    later = text.replace(
        'generation_tokens_total{engine="0",model_name="tiny"} 1749.0',
        'generation_tokens_total{engine="0",model_name="tiny"} 1750.0',
    )
    assert later != text
    assert kind(fake_transport, "vllm", text, later) == "generates"


def test_vllm_counts_a_prompt_only_with_its_first_token_but_fills_its_cache(fake_transport, recorded) -> None:
    text = recorded("vllm_metrics.txt")
    fuller = text.replace("} 0.0007325112928824318", "} 0.0107325112928824318")
    assert fuller != text
    assert kind(fake_transport, "vllm", text, fuller) == "works"
    assert kind(fake_transport, "vllm", fuller, text) == "stalled", "a cache that empties is clients that give up"


def test_vllm_that_waits_for_somebody_elses_data_has_nothing_in_hand(fake_transport, recorded) -> None:
    text = recorded("vllm_metrics.txt").replace(
        'num_requests_running{engine="0",model_name="tiny"} 4.0',
        'num_requests_running{engine="0",model_name="tiny"} 0.0',
    )
    assert kind(fake_transport, "vllm", text, text) == "stalled"
    deferred = text.replace('reason="capacity"} 1.0', 'reason="capacity"} 0.0').replace(
        'reason="deferred"} 0.0', 'reason="deferred"} 1.0'
    )
    assert kind(fake_transport, "vllm", deferred, deferred) == "idle"


def test_vllm_whose_clients_gave_up_has_not_finished_anything(fake_transport, recorded) -> None:
    text = recorded("vllm_metrics.txt")
    aborted = text.replace(
        'finished_reason="abort",model_name="tiny"} 0.0', 'finished_reason="abort",model_name="tiny"} 9.0'
    )
    assert aborted != text
    assert kind(fake_transport, "vllm", text, aborted) == "stalled"


def test_vllm_that_sleeps_is_held(fake_transport, recorded) -> None:
    text = recorded("vllm_metrics.txt").replace('sleep_state="awake"} 1.0', 'sleep_state="awake"} 0.0')
    assert kind(fake_transport, "vllm", text, text) == "held"


def test_vllm_has_an_engine_for_each_rank(fake_transport, recorded) -> None:
    one = recorded("vllm_metrics.txt")
    two = one.replace('engine="0"', 'engine="1"')
    moved = two.replace("} 1749.0", "} 9749.0")
    assert kind(fake_transport, "vllm", one + two, one + moved) == "stalled", "one of them is dead"


def test_llama_cpp_as_it_was_recorded(fake_transport, recorded) -> None:
    text = recorded("llama_cpp_metrics.txt")
    assert kind(fake_transport, "llama_cpp", text, text) == "idle"
    busy = text.replace("llamacpp:requests_processing 0", "llamacpp:requests_processing 2")
    assert busy != text
    assert kind(fake_transport, "llama_cpp", busy, busy) == "stalled"
    assert kind(fake_transport, "llama_cpp", busy, busy.replace("n_decode_total 11", "n_decode_total 12")) == "works"


@pytest.mark.parametrize("form", ["list", "object"])
def test_llama_cpp_tells_tokens_of_requests_that_have_not_ended(fake_transport, recorded, form: str) -> None:
    def slots(tokens: int) -> str:
        told = {"n_decoded": tokens}
        return json.dumps([{"id": 0, "id_task": 7, "next_token": [told] if form == "list" else told}])

    busy = recorded("llama_cpp_metrics.txt").replace("llamacpp:requests_processing 0", "llamacpp:requests_processing 2")
    transport = fake_transport({"GET /metrics": (200, busy), "GET /slots": (200, slots(5))})
    engine = open_engine("llama_cpp", "http://127.0.0.1:1", transport=transport)
    first = engine.work()
    transport.answers["GET /slots"] = (200, slots(9))
    assert judge_motion([first, engine.work()]).kind == "generates"


def test_sglang_has_ranks_and_totals_of_all(fake_transport) -> None:
    before = page(SGLANG, r0=2, d0=100, r1=2, d1=100)
    assert kind(fake_transport, "sglang", before, page(SGLANG, r0=2, d0=140, r1=2, d1=140)) == "generates"
    assert kind(fake_transport, "sglang", before, page(SGLANG, r0=2, d0=140, r1=2, d1=100)) == "stalled"
    assert kind(fake_transport, "sglang", before, page(SGLANG, r0=2, d0=140, r1=0, d1=100)) == "generates"
    assert kind(fake_transport, "sglang", before, before, seconds=45.0) == "still", "its gauges may be 30 s late"
    quiet = page(SGLANG, r0=0, d0=100, r1=0, d1=100)
    assert kind(fake_transport, "sglang", quiet, quiet) == "idle"


def test_tgi_counts_forward_passes(fake_transport) -> None:
    before = page(TGI, steps=500)
    assert kind(fake_transport, "tgi", before, page(TGI, steps=501)) == "generates"
    assert kind(fake_transport, "tgi", before, before) == "stalled"


def test_triton_counts_what_has_ended_which_proves_nothing_by_standing_still(fake_transport) -> None:
    before = page(TRITON, pending=3, done=10)
    assert kind(fake_transport, "triton", before, before) == "unread"
    assert kind(fake_transport, "triton", before, page(TRITON, pending=3, done=11)) == "works"


def test_triton_with_tensorrt_llm_counts_iterations(fake_transport) -> None:
    before = page(TRITON_TENSORRT, steps=10)
    assert kind(fake_transport, "triton", before, page(TRITON_TENSORRT, steps=11)) == "works"
    assert kind(fake_transport, "triton", before, before) == "stalled"


def test_tensorrt_llm_proves_progress_and_never_a_deadlock(fake_transport) -> None:
    text = "trtllm_generation_tokens_total 5\ntrtllm_num_requests_running 3\n"
    assert kind(fake_transport, "tensorrt_llm", text, text) == "unread"
    assert kind(fake_transport, "tensorrt_llm", text, text.replace(" 5", " 6")) == "generates"


def test_a_generic_engine_stands_still_only_where_it_says_what_moves_at_every_step(fake_transport) -> None:
    options = {"metrics_path": "/metrics", "running_metric": "r", "generation_tokens_metric": "t"}
    assert kind(fake_transport, "generic", "r 3\nt 5\n", "r 3\nt 5\n", **options) == "unread"
    assert kind(fake_transport, "generic", "r 3\nt 5\n", "r 3\nt 6\n", **options) == "generates"
    stepping = {**options, "step_metric": "s"}
    assert kind(fake_transport, "generic", "r 3\nt 5\ns 1\n", "r 3\nt 5\ns 1\n", **stepping) == "stalled"
    assert kind(fake_transport, "generic", "r 3\nt 5\ns 1\n", "r 3\nt 5\ns 2\n", **stepping) == "works"


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_an_engine_that_cannot_be_read_says_why(fake_transport, name: str) -> None:
    engine = open_engine(name, "http://127.0.0.1:1", transport=fake_transport({}))
    work = engine.work()
    assert work.unread
    assert not work.lanes


@pytest.mark.parametrize("text", ["", "not metrics", "vllm:generation_tokens_total NaN", "other_total 5"])
def test_a_page_without_its_figures_is_unread(fake_transport, text: str) -> None:
    transport = fake_transport({"GET /metrics": (200, text)})
    assert open_engine("vllm", "http://127.0.0.1:1", transport=transport).work().unread
