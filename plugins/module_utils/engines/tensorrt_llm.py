# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TensorRT-LLM's own server, C(trtllm-serve).

Read in TensorRT-LLM 1.x (docs/source/commands/trtllm-serve, tensorrt_llm/serve/openai_server.py and
tensorrt_llm/metrics/collector.py); not run here. C(/metrics) is a queue of iterations that reading empties, so this
adapter does not read it. C(/prometheus/metrics) exists with C(return_perf_metrics: true). Its gauges are written when a
request ends, so its running and waiting requests are those of that moment.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from . import completions
from .adapter import Adapter
from .figures import Figures, text_at
from .protocol import Generation, Reading, Stats
from .questions import first_model, health, lists_a_model, model_names
from .scraped import Scraped
from .watched import WatchedMetrics, each, look
from .work import WorkSample

# Written when a request ends: growth proves progress, but standing still proves nothing.
WATCHED = WatchedMetrics(
    by=(),
    running=(),
    waiting=(),
    made=each("trtllm_generation_tokens_total"),
    done=each("trtllm_prompt_tokens_total", "trtllm_request_success_total"),
)

_STALE = (
    "trtllm-serve writes its gauges when a request ends, so that they do not tell what is in flight now; "
    "ask the load balancer"
)
_NO_CONTROL = "trtllm-serve has no endpoint for it"


class TensorrtLlm(Adapter):
    """trtllm-serve behind the engine protocol."""

    name = "tensorrt_llm"
    scraped: ClassVar[Scraped] = Scraped(path="/prometheus/metrics")
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": f"{_NO_CONTROL}; drain it at the load balancer",
        "pause": f"{_NO_CONTROL}; drain it at the load balancer",
        "resume_accepting": f"{_NO_CONTROL}, so there is nothing to resume",
        "abort_all": f"{_NO_CONTROL}; only the client, or a restart, ends a request",
        "reset": f"{_NO_CONTROL}; a restart empties its cache",
        "clear": f"{_NO_CONTROL}; only the client, or a restart, ends a request",
        "sleep": "trtllm-serve gives memory back for reinforcement learning only; stop the process instead",
        "wake": "trtllm-serve gives memory back for reinforcement learning only, so there is nothing to wake",
        "save_state": "trtllm-serve cannot save the state of its generations",
        "load_state": "trtllm-serve cannot load the state of its generations",
    }

    def live(self) -> Reading:
        return health(self._server, "/health", {200: (True, ""), 503: (False, "")})

    def ready(self) -> Reading:
        alive = self.live()
        return lists_a_model(self._server) if alive.value is True else alive

    def stats(self) -> Stats:
        figures = Figures(self._server)
        found = figures.metrics(self.scraped.path)
        usage = "trtllm_kv_cache_utilization"
        figures.metric("kv_cache_usage", lambda: found.maximum(usage), usage, whole=False)
        for field in ("prompt_tokens_total", "generation_tokens_total"):
            figures.metric(field, partial(found.total, f"trtllm_{field}"), f"trtllm_{field}")
        figures.missing("running", _STALE)
        figures.missing("waiting", _STALE)
        figures.missing("tokens_per_second", "trtllm-serve tells totals only; a rate needs two readings")
        figures.document("models", "/v1/models", model_names)
        figures.document("version", "/version", text_at("version"))
        return figures.stats()

    def work(self) -> WorkSample:
        return look(self._server, self.scraped.path, WATCHED, time.monotonic())[0]

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        asked = first_model(self._server) if model is None else model
        more = {"ignore_eos": True, "min_tokens": max_tokens}
        return completions.openai(self._server, prompt, max_tokens, asked, more)
