# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hugging Face's Text Generation Inference.

Read in TGI 2.4 to 3.3 (docs/openapi.json, docs/source/reference/metrics.md, backends/v3/src/backend.rs and queue.rs);
not run here. C(/health) asks the shards to allocate, or to generate after a failure. Between the queue and the end of
its prefill a request is in no gauge, but there are counters of prefills begun and ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from . import completions
from .adapter import Adapter
from .exposition import Exposition
from .figures import Figures, text_at
from .protocol import Generation, Reading, Stats
from .questions import health
from .scraped import Progress, Scraped
from .watched import WatchedMetrics, each

_HEALTH = {200: (True, ""), 503: (False, "")}
# Each forward pass is counted when it has succeeded; the tokens of a request when it ends.
WATCHED = WatchedMetrics(
    by=(),
    running=each("tgi_batch_current_size"),
    waiting=each("tgi_queue_size"),
    made=(
        ("tgi_request_generated_tokens_sum", {}),
        ("tgi_batch_inference_success", {"method": "decode"}),
        ("tgi_batch_inference_success", {"method": "next_token"}),
    ),
    done=(("tgi_batch_inference_success", {"method": "prefill"}), ("tgi_request_success", {})),
    steady=("tgi_batch_inference_success",),
)
# text-generation-inference, router: one for each forward pass.
PROGRESS = Progress(
    requests=("tgi_queue_size", "tgi_batch_current_size"),
    work=("tgi_batch_inference_success", "tgi_request_success"),
    waiting="tgi_queue_size",
    until_done="tgi_request_duration",
    # "validation", "overloaded" and "dropped" are the client's doing, or no failure of the model.
    failed=(("tgi_request_failure", 'err="generation"'),),
)
_NO_CONTROL = "TGI has no endpoint that controls it"


class Tgi(Adapter):
    """The TGI router behind the engine protocol. It serves one model."""

    name = "tgi"
    watched = WATCHED
    scraped: ClassVar[Scraped] = Scraped(progress=PROGRESS)
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": f"{_NO_CONTROL}; drain it at the load balancer",
        "pause": f"{_NO_CONTROL}; drain it at the load balancer",
        "resume_accepting": f"{_NO_CONTROL}, so there is nothing to resume",
        "abort_all": f"{_NO_CONTROL}; only the client, or a restart, ends a request",
        "reset": f"{_NO_CONTROL}; a restart empties its cache",
        "clear": f"{_NO_CONTROL}; only the client, or a restart, ends a request",
        "sleep": f"{_NO_CONTROL}; stop the process instead",
        "wake": f"{_NO_CONTROL}, so there is nothing to wake",
        "save_state": "TGI cannot save the state of its generations",
        "load_state": "TGI cannot load the state of its generations",
    }

    def live(self) -> Reading:
        return health(self._server, "/health", _HEALTH)

    def ready(self) -> Reading:
        """The router listens only after the shards have loaded the model and warmed up."""
        return health(self._server, "/health", _HEALTH)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        found = figures.metrics()
        figures.metric("running", lambda: _running_at_least(found), "tgi_batch_current_size")
        figures.metric("waiting", lambda: found.total("tgi_queue_size"), "tgi_queue_size")
        # Histograms whose sums are tokens: of the prompts, and of what was generated.
        for field, name in (
            ("prompt_tokens_total", "tgi_request_input_length_sum"),
            ("generation_tokens_total", "tgi_request_generated_tokens_sum"),
        ):
            figures.metric(field, partial(found.total, name), name)
        figures.missing("kv_cache_usage", "TGI does not tell how full its cache is")
        figures.missing("tokens_per_second", "TGI tells totals only; a rate needs two readings")
        figures.document("models", "/info", _models)
        figures.document("version", "/info", text_at("version"))
        return figures.stats()

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        return completions.tgi(self._server, prompt, max_tokens, model, {})


def _running_at_least(found: Exposition) -> float | None:
    """A lower bound of the running requests: the batch that is decoding, plus 1 for a prefill under way.

    None where neither is known: a server creates the gauge with its first batch.
    """
    begun = found.total("tgi_batch_inference_count", method="prefill")
    if begun is None:
        return found.total("tgi_batch_current_size")
    ended = [found.total(f"tgi_batch_inference_{end}", method="prefill") or 0 for end in ("success", "failure")]
    decoding = found.total("tgi_batch_current_size")
    under_way = 1 if begun > sum(ended) else 0
    if decoding is None:
        return under_way or None
    return decoding + under_way


def _models(document: Any) -> tuple[str, ...] | None:
    name = text_at("model_id")(document)
    return None if name is None else (name,)
