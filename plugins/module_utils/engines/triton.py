# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA Triton Inference Server, and in part every server of the Open Inference Protocol (KServe v2).

Seen on Triton 2.51, without its LLM backends; those read in docs/additional_outputs.md of vllm_backend (24.12 and
later) and README.md of tensorrtllm_backend. Triton counts the requests that wait for a backend, but not those that run;
the TensorRT-LLM backend counts its active ones. Metrics have a port of their own. Models can be loaded and unloaded
when the server was started with C(--model-control-mode=explicit).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, urlsplit

from .adapter import Adapter
from .exposition import Exposition
from .figures import Figures, text_at
from .options import Option
from .protocol import EngineError, Generation, NotSupported, Reading, Stats
from .questions import health, unread
from .scraped import Scraped
from .server import EngineServer, describe
from .transport import TransportError
from .triton_generate import BACKENDS
from .watched import WatchedMetrics, each, look
from .work import WorkSample

# The TensorRT-LLM backend counts its iterations; the vLLM backend has vLLM's totals. Triton itself counts only finished
# requests, which do not move at every step.
WATCHED = WatchedMetrics(
    by=("model", "version"),
    running=(("nv_trt_llm_request_metrics", {"request_type": "active"}),),
    waiting=each("nv_inference_pending_request_count"),
    made=each("vllm:generation_tokens_total"),
    done=(
        ("vllm:prompt_tokens_total", {}),
        ("nv_inference_request_success", {}),
        ("nv_trt_llm_general_metrics", {"general_type": "iteration_counter"}),
    ),
    steady=("nv_trt_llm_general_metrics",),
)
_READY = {200: (True, ""), 400: (False, ""), 503: (False, "")}
_ACTIVE = "more than zero active requests in nv_trt_llm_request_metrics (of the TensorRT-LLM backend alone)"
# Triton answers HTTP 400 to every inference that fails. This text means that the process of a Python backend, such as
# vLLM's, has died, although the model still reports ready.
_DEAD_BACKEND = "is not healthy"
_EXPLICIT = "Triton loads and unloads models only when started with --model-control-mode=explicit"


class Triton(Adapter):
    """The Triton server behind the engine protocol."""

    name = "triton"
    scraped: ClassVar[Scraped] = Scraped(port=8002, health="/v2/health/live")
    options: ClassVar[Mapping[str, Option]] = {
        "model": Option("text", "The model that this server is there for. Needed for completions, sleep and wake."),
        "backend": Option(
            "choice",
            "Which backend serves it. Completions of others cannot be proven.",
            choices=tuple(BACKENDS),
        ),
        "metrics_url": Option("url", "Base URL of the metrics. Without it, port 8002 of the same host."),
    }
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": "Triton cannot hold back new requests by itself; drain it at the load balancer",
        "pause": "Triton cannot freeze requests; drain it at the load balancer",
        "resume_accepting": "Triton cannot hold back new requests by itself, so there is nothing to resume",
        "abort_all": "Triton has no order that ends requests; only the client, or a restart, does",
        "reset": "Triton has no order that empties a cache; sleep and wake load the model anew",
        "clear": "Triton has no order that ends requests; only the client, or a restart, does",
        "save_state": "Triton cannot save the state of its generations",
        "load_state": "Triton cannot load the state of its generations",
    }

    def live(self) -> Reading:
        return health(self._server, "/v2/health/live", _READY)

    def ready(self) -> Reading:
        """The model named by O(model), else the server. A server without models may call itself ready."""
        model = self._options["model"]
        path = "/v2/health/ready" if model is None else f"/v2/models/{quote(model, safe='')}/ready"
        return health(self._server, path, _READY)

    def awake(self) -> Reading:
        """Whether the model is loaded."""
        model = self._options["model"]
        if model is None:
            return self._untold("whether it sleeps, unless its option model says which model is meant")
        try:
            loaded = self._loaded_models()
        except EngineError as error:
            return unread(error)
        return Reading(model in loaded, f"loaded are {', '.join(loaded) or 'no models'}"[:200], status=200)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        figures.document("version", "/v2", text_at("version"))
        found = figures.metrics("/metrics", self._metrics_server())
        pending = "nv_inference_pending_request_count"
        figures.metric("waiting", lambda: found.total(pending), pending)
        figures.metric("running", lambda: _active_requests(found) or None, _ACTIVE)
        blocks = "nv_trt_llm_kv_cache_block_metrics (of the TensorRT-LLM backend alone)"
        figures.metric("kv_cache_usage", lambda: _used_blocks(found), blocks, whole=False)
        for field in ("tokens_per_second", "prompt_tokens_total", "generation_tokens_total"):
            figures.missing(field, "Triton counts requests, not tokens")
        figures.given("models", self._loaded_models)
        return figures.stats()

    def work(self) -> WorkSample:
        return look(self._metrics_server(), "/metrics", WATCHED, time.monotonic())[0]

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        asked, backend = model or self._options["model"], self._options["backend"]
        if asked is None or backend is None:
            raise NotSupported("Triton proves a completion only when the options model and backend say what serves it")
        ask = BACKENDS[backend]
        try:
            return ask(self._server, f"/v2/models/{quote(asked, safe='')}/generate", prompt, max_tokens)
        except EngineError as error:
            if error.status is not None and _DEAD_BACKEND in error.reason:
                raise EngineError("not_proven", error.reason, error.status) from error
            raise

    def sleep(self) -> None:
        """Unload the model. New requests for it fail, those in flight finish."""
        self._control_model("unload")

    def wake(self) -> None:
        self._control_model("load")

    def _control_model(self, order: str) -> None:
        model = self._options["model"]
        if model is None:
            raise NotSupported(f"which model to {order} has to be said: the option model of engine triton")
        path = f"/v2/repository/models/{quote(model, safe='')}/{order}"
        try:
            answer = self._server.post(path, {}, self._server.patience)
        except TransportError as error:
            raise EngineError(error.kind, f"{path}: {error.reason}") from error
        if answer.status == 404 or (answer.status != 200 and b"explicit" in answer.body.lower()):
            raise NotSupported(f"{_EXPLICIT} ({describe(answer)})")
        if answer.status != 200:
            raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)

    def _loaded_models(self) -> tuple[str, ...]:
        """The names of the models that are ready, from the repository's index. Raises EngineError."""
        document = self._server.post_json("/v2/repository/index", {"ready": True})
        if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
            raise EngineError("answered", "/v2/repository/index is not a list of models", 200)
        ready = [entry.get("name") for entry in document if entry.get("state") in ("READY", None)]
        return tuple(dict.fromkeys(name for name in ready if isinstance(name, str)))

    def _metrics_server(self) -> EngineServer:
        given = self._options["metrics_url"]
        if given is not None:
            return self._server.at(given)
        host = urlsplit(self._server.url).hostname or ""
        return self._server.at(f"http://{f'[{host}]' if ':' in host else host}:{self.scraped.port}")


def _active_requests(found: Exposition) -> float | None:
    """Active requests of the TensorRT-LLM backend at the end of its last iteration.

    A request in its first iteration is not counted, so zero does not prove idleness.
    """
    return found.total("nv_trt_llm_request_metrics", request_type="active")


def _used_blocks(found: Exposition) -> float | None:
    name = "nv_trt_llm_kv_cache_block_metrics"
    used, most = (found.total(name, kv_cache_block_type=kind) for kind in ("used", "max"))
    return None if used is None or not most else used / most
