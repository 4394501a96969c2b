# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang's HTTP server.

Read in SGLang 0.5.23 (srt/entrypoints/http_server.py, v1_loads.py, srt/managers/tokenizer_manager.py, load_snapshot.py,
scheduler_components/weight_updater.py); not run here. C(/ready) is 503 while the server starts, is paused, unhealthy or
shutting down; C(/ping) likewise, but not for a pause; older servers have neither. C(/health) generates a token, and may
take 20 s to report a failure. The schedulers answer C(/server_info) themselves; C(/v1/loads) shows what they last wrote
into shared memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from . import completions
from .adapter import Adapter
from .exposition import Exposition
from .figures import LARGEST, Figures, text_at
from .protocol import EngineError, Generation, NotSupported, Reading, Stats
from .questions import command, first_model, health, lists_a_model, model_names
from .scraped import Progress, Scraped
from .watched import WatchedMetrics, each

_OLDER = "this server does not have it; SGLang 0.5 has"
_HEALTH = {200: (True, ""), 503: (False, "")}

# One load for each data-parallel rank: requests are summed, cache use is the highest.
_LOADS = (
    ("running", "num_running_reqs", math.fsum, True),
    ("waiting", "num_waiting_reqs", math.fsum, True),
    ("kv_cache_usage", "token_usage", max, False),
    ("tokens_per_second", "gen_throughput", math.fsum, False),
)

# Read in SGLang's srt/metrics/collector.py and srt/observability: the totals without a rank are counted when a request
# ends, the others every few steps (--decode-log-interval); the gauges of a server that has become idle are corrected
# only after 30 s.
WATCHED = WatchedMetrics(
    by=("dp_rank",),
    running=each("sglang:num_running_reqs"),
    waiting=each("sglang:num_queue_reqs"),
    made=(("sglang:generation_tokens_total", {}), ("sglang:realtime_tokens_total", {"mode": "decode"})),
    done=(("sglang:prompt_tokens_total", {}), ("sglang:realtime_tokens_total", {"mode": "prefill_compute"})),
    levels=each("sglang:num_used_tokens", "sglang:token_usage"),
    steady=("sglang:realtime_tokens_total", "sglang:num_used_tokens"),
    lag=30.0,
)
# For the rules: generation_tokens_total and prompt_tokens_total are counted when a request has ended,
# realtime_tokens_total (since 0.5.6) by the scheduler as it goes.
PROGRESS = Progress(
    requests=("sglang:num_running_reqs", "sglang:num_queue_reqs"),
    work=(
        "sglang:realtime_tokens_total",
        "sglang:generation_tokens_total",
        "sglang:prompt_tokens_total",
        "sglang:num_requests_total",
        "sglang:inter_token_latency_seconds_count",
    ),
    cache=("sglang:token_usage",),
    waiting="sglang:num_queue_reqs",
    # srt/observability/metrics_collector.py. It counts aborted requests only, which are as often the client's doing.
    until_first="sglang:time_to_first_token_seconds",
    until_done="sglang:e2e_request_latency_seconds",
)


class Sglang(Adapter):
    """The SGLang server behind the engine protocol."""

    name = "sglang"
    watched = WATCHED
    scraped: ClassVar[Scraped] = Scraped(progress=PROGRESS)
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": "SGLang's pause freezes or ends the requests in flight too; drain it at the load balancer",
        "save_state": "SGLang cannot save the state of its generations",
        "load_state": "SGLang cannot load the state of its generations",
    }

    def live(self) -> Reading:
        """Whether the HTTP server answers. ready() and a completion show whether its schedulers do."""
        return health(self._server, "/v1/models", {200: (True, "")})

    def ready(self) -> Reading:
        """By C(/ready) where there is one, C(/health), which makes an idle server generate a token, and the models."""
        told = health(self._server, "/ready", _HEALTH)
        if told.value is False or told.kind != "answered":
            return told
        healthy = health(self._server, "/health", _HEALTH)
        return healthy if healthy.value is not True else lists_a_model(self._server)

    def accepting(self) -> Reading:
        told = health(self._server, "/ready", _HEALTH)
        if told.status == 404:
            return self._untold("whether it holds new requests back; newer versions do, at /ready")
        if told.value is not False:
            return told
        alive = health(self._server, "/ping", _HEALTH)
        if alive.value is True:
            return Reading(False, "/ready answered HTTP 503 and /ping HTTP 200: it is paused", status=503)
        return Reading(None, f"{told.reason}: it starts, stops or is unhealthy", status=503)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        fresh = figures.document("version", "/server_info", text_at("version"))
        loads = figures.ask(lambda: _loads(self._server.get_json("/v1/loads?include=core"))) or []
        for field, key, join, whole in _LOADS:
            figures.number(field, _combine_ranks(loads, key, join), f"{key} of /v1/loads", whole)
        _read_totals(figures, figures.metrics())
        if not fresh:
            for field in ("running", "waiting"):
                figures.missing(field, "the schedulers did not answer at /server_info; /v1/loads may be of the past")
        elif self.accepting().value is False:
            figures.missing("waiting", "SGLang does not count the requests that it holds back while it is paused")
        figures.document("models", "/v1/models", model_names)
        return figures.stats()

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        asked = first_model(self._server) if model is None else model
        more = {"ignore_eos": True, "min_tokens": max_tokens}
        return completions.openai(self._server, prompt, max_tokens, asked, more)

    def pause(self) -> None:
        """Pause in mode C(in_place): requests in flight keep their state and their KV cache."""
        command(self._server, "/pause_generation", _OLDER, {"mode": "in_place"})

    def resume_accepting(self) -> None:
        command(self._server, "/continue_generation", _OLDER, {})

    def abort_all(self) -> None:
        """Abort all requests. SGLang answers before they have ended."""
        command(self._server, "/abort_request", _OLDER, {"abort_all": True})

    def reset(self) -> None:
        """Flush the radix cache. SGLang refuses while there are requests."""
        command(self._server, "/flush_cache", _OLDER, {})

    def clear(self) -> None:
        """Abort all requests, then flush the radix cache and the pools.

        scheduler_components/flush_wrapper.py holds the flush back until the requests have ended, where older servers
        refuse it.  Not by the pause in mode C(abort): that one waits with the lock held that its end needs
        (tokenizer_manager.py: pause_generation), so that a scheduler which stands would close the API process for good.
        """
        if self.accepting().value is False:
            raise EngineError("answered", "SGLang was paused by somebody's order; undo that first", 200)
        self.abort_all()
        command(self._server, f"/flush_cache?timeout={self._server.patience / 2:g}", _OLDER, {})

    def sleep(self) -> None:
        """Refused unless the server is known to be idle: SGLang's scheduler ends itself when it is not."""
        if not self._can_give_memory_back():
            raise NotSupported("SGLang gives its memory back only when started with --enable-memory-saver")
        stats = self.stats()
        if stats.in_flight != 0:
            why = stats.in_flight_unread or f"{stats.in_flight} requests are in flight"
            raise EngineError("answered", f"SGLang must be idle before it gives its memory back: {why}")
        command(self._server, "/release_memory_occupation", _OLDER, {})

    def wake(self) -> None:
        if not self._can_give_memory_back():
            raise NotSupported("SGLang was started without --enable-memory-saver, so there is nothing to wake")
        command(self._server, "/resume_memory_occupation", _OLDER, {})

    def _can_give_memory_back(self) -> bool:
        document = self._server.get_json("/server_info")
        return isinstance(document, dict) and document.get("enable_memory_saver") is True


def _read_totals(figures: Figures, found: Exposition) -> None:
    for field in ("prompt_tokens_total", "generation_tokens_total"):
        name = f"sglang:{field}"
        figures.metric(field, partial(found.total, name), name)


def _loads(document: Any) -> list[Mapping[str, Any]]:
    loads = document.get("loads") if isinstance(document, dict) else None
    if not isinstance(loads, list) or not all(isinstance(load, dict) for load in loads):
        raise EngineError("answered", "/v1/loads holds no list of loads", 200)
    return loads


def _combine_ranks(loads: list[Mapping[str, Any]], key: str, join: Any) -> float | None:
    """Sum or maximum over all ranks, or None unless every rank has a number."""
    values = [load.get(key) for load in loads]
    if not values or not all(map(_is_figure, values)):
        return None
    return float(join(values))


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST
