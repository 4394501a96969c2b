# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which metrics an engine shows that it has work, and that it does some of it.

Only counters that grow while a request is under way: one that grows when a request has ended says nothing about a long
one.  Real pages of vLLM 0.32 and llama-server lie in tests/unit/plugins/fixtures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineMetrics:
    """Names of one engine's metrics.

    C(requests) are gauges of what runs or waits.  C(work) are counters, the first of which has to be there for the
    engine to be judged.  C(cache) are gauges of the KV cache's use, which grows while a long prompt is read in pieces.
    C(pace) are counters of the seconds and of the tokens of all prompts that were read, for an engine that counts
    nothing while it reads a batch of a prompt.
    """

    requests: tuple[str, ...]
    work: tuple[str, ...]
    cache: tuple[str, ...] = ()
    pace: tuple[str, str] | None = None


ENGINES = {
    # vllm/v1/metrics/loggers.py.  A prompt's tokens are counted when all of it has been read.
    "vllm": EngineMetrics(
        requests=("vllm:num_requests_running", "vllm:num_requests_waiting"),
        work=(
            "vllm:generation_tokens_total",
            "vllm:prompt_tokens_total",
            "vllm:request_success_total",
            "vllm:iteration_tokens_total_count",
        ),
        cache=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    ),
    # llama.cpp, tools/server: a prompt's and an answer's tokens are counted at their end, each decoding when it is
    # over.  A prompt is decoded in batches of C(--batch-size) tokens, 2048 unless told otherwise: a second or two on a
    # GPU, half a minute where weights lie in main memory.  Newer releases answer meanwhile, and nothing they say moves.
    "llama_cpp": EngineMetrics(
        requests=("llamacpp:requests_processing", "llamacpp:requests_deferred"),
        work=("llamacpp:n_decode_total", "llamacpp:tokens_predicted_total", "llamacpp:prompt_tokens_total"),
        pace=("llamacpp:prompt_seconds_total", "llamacpp:prompt_tokens_total"),
    ),
    # SGLang, srt/metrics/collector.py: generation_tokens_total and prompt_tokens_total are counted when a request has
    # ended, realtime_tokens_total (since 0.5.6) by the scheduler as it goes.
    "sglang": EngineMetrics(
        requests=("sglang:num_running_reqs", "sglang:num_queue_reqs"),
        work=(
            "sglang:realtime_tokens_total",
            "sglang:generation_tokens_total",
            "sglang:prompt_tokens_total",
            "sglang:num_requests_total",
            "sglang:inter_token_latency_seconds_count",
        ),
        cache=("sglang:token_usage",),
    ),
    # text-generation-inference, router: one for each forward pass.
    "tgi": EngineMetrics(
        requests=("tgi_queue_size", "tgi_batch_current_size"),
        work=("tgi_batch_inference_success", "tgi_request_success"),
    ),
}

REQUESTS = tuple(name for engine in ENGINES.values() for name in engine.requests)
WORK = tuple(name for engine in ENGINES.values() for name in engine.work)
NEEDED = tuple(engine.work[0] for engine in ENGINES.values())
CACHE = tuple(name for engine in ENGINES.values() for name in engine.cache)
_PACES = tuple(engine.pace for engine in ENGINES.values() if engine.pace)
PACE_SECONDS = tuple(seconds for seconds, _ in _PACES)
PACE_TOKENS = tuple(tokens for _, tokens in _PACES)
ALL = (*REQUESTS, *WORK, *CACHE, *PACE_SECONDS)


def pattern(names: tuple[str, ...]) -> str:
    """Return a regular expression, anchored as Prometheus does it, that finds exactly these names."""
    return "|".join(names)
