# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM's OpenAI-compatible server.

Seen on vLLM 0.32 (facts of the endpoints: vllm/entrypoints/serve): C(/health) is 503 once the engine core is dead, but
stays 200 while it is paused, asleep, shutting down or stopped by a signal, so only a completion proves the service.
The administrative endpoints exist when the server was started with C(VLLM_SERVER_DEV_MODE=1), else they are 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .adapter import Adapter
from .exposition import Exposition
from .figures import Figures, text_at
from .protocol import EngineError, Generation, NotSupported, Reading, Stats
from .server import decode, describe, generate, model_names, no_answer
from .transport import TransportError

_DEV_MODE = "not supported by this engine as it was started; vLLM has it with VLLM_SERVER_DEV_MODE=1"


class Vllm(Adapter):
    """The vLLM server behind the engine protocol."""

    name = "vllm"
    cannot: ClassVar[Mapping[str, str]] = {
        "save_state": "vLLM cannot save the state of its generations",
        "load_state": "vLLM cannot load the state of its generations",
    }

    def live(self) -> Reading:
        try:
            answer = self._server.get("/health")
        except TransportError as error:
            return no_answer(error)
        if answer.status == 200:
            return Reading(True, "/health answered HTTP 200", status=200, seconds=answer.seconds)
        if answer.status == 503:
            reason = "/health answered HTTP 503: the engine core is dead"
            return Reading(False, reason, status=503, seconds=answer.seconds)
        reason = f"/health answered {describe(answer)}, which vLLM does not say"
        return Reading(None, reason, status=answer.status, seconds=answer.seconds)

    def ready(self) -> Reading:
        """Live, not paused or asleep as far as the server tells, and serving at least one model."""
        health = self.live()
        if health.value is not True:
            return health
        for path, key in (("/is_paused", "is_paused"), ("/is_sleeping", "is_sleeping")):
            held = self._held_back(path, key)
            if held is not None:
                return held
        try:
            models = model_names(self._server.get_json("/v1/models"))
        except EngineError as error:
            return Reading(None, error.reason, kind=error.kind, status=error.status)
        if not models:
            return Reading(False, "/v1/models lists no model", status=200)
        return Reading(True, f"/v1/models lists {', '.join(models)}"[:200], status=200)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        _read_metrics(figures, figures.metrics() or Exposition((), 0))
        figures.missing("tokens_per_second", "vLLM tells totals only; a rate needs two readings")
        figures.document("models", "/v1/models", model_names)
        figures.document("version", "/version", text_at("version"))
        return figures.stats()

    def accepting(self) -> Reading:
        return self._not("/is_paused", "is_paused")

    def awake(self) -> Reading:
        return self._not("/is_sleeping", "is_sleeping")

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Without a model, the first one that the server lists is asked."""
        if model is None:
            names = model_names(self._server.get_json("/v1/models"))
            if not names:
                raise EngineError("answered", "/v1/models lists no model", 200)
            model = names[0]
        # min_tokens keeps the model from choosing its end first, whose token has no text.
        return generate(self._server, prompt, max_tokens, model, {"ignore_eos": True, "min_tokens": max_tokens})

    def stop_accepting(self) -> None:
        """Let the requests in flight end and hold back new ones: vLLM accepts them and makes them wait."""
        self._command("/pause?mode=wait")

    def resume_accepting(self) -> None:
        self._command("/resume")

    def abort_all(self) -> None:
        """End every request in flight; C(/abort_requests) would need ids that only the clients know.

        A server that was paused before stays paused.
        """
        paused_before = self._flag("/is_paused", "is_paused")
        self._command("/pause?mode=abort")
        if not paused_before:
            self._command("/resume")

    def reset(self) -> None:
        """Drop the prefix cache. vLLM answers 200 without saying whether blocks in use were kept."""
        self._command("/reset_prefix_cache")

    def sleep(self) -> None:
        """Level 1: weights go to main memory, the KV cache is dropped."""
        self._command("/sleep?level=1")

    def wake(self) -> None:
        self._command("/wake_up")

    def _not(self, path: str, key: str) -> Reading:
        """The opposite of a flag that the server tells."""
        try:
            flag = self._flag(path, key)
        except NotSupported as error:
            return Reading(None, str(error), kind="not_supported", status=404)
        except EngineError as error:
            return Reading(None, error.reason, kind=error.kind, status=error.status)
        return Reading(not flag, f"{path} says {str(flag).lower()}", status=200)

    def _held_back(self, path: str, key: str) -> Reading | None:
        """A reading that forbids readiness, or None when nothing does. A server without the endpoint tells nothing."""
        told = self._not(path, key)
        if told.value is True or told.kind == "not_supported":
            return None
        if told.value is None:
            return told
        return Reading(False, f"{path} says that the engine is held back", status=200)

    def _flag(self, path: str, key: str) -> bool:
        try:
            answer = self._server.get(path)
        except TransportError as error:
            raise EngineError(error.kind, error.reason) from error
        if answer.status == 404:
            raise NotSupported(f"{path}: {_DEV_MODE}")
        document: Any = decode(answer) if answer.status == 200 else None
        value = document.get(key) if isinstance(document, dict) else None
        if not isinstance(value, bool):
            raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)
        return value

    def _command(self, path: str) -> None:
        try:
            answer = self._server.post(path)
        except TransportError as error:
            raise EngineError(error.kind, f"{path}: {error.reason}") from error
        if answer.status == 404:
            raise NotSupported(f"{path}: {_DEV_MODE}")
        if answer.status != 200:
            raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)


def _read_metrics(figures: Figures, found: Exposition) -> None:
    def total(field: str, name: str) -> None:
        figures.metric(field, lambda: found.total(f"vllm:{name}"), f"vllm:{name}")

    # One label set for each engine of a data-parallel server: requests add up, cache use is that of the fullest.
    total("running", "num_requests_running")
    total("waiting", "num_requests_waiting")
    total("prompt_tokens_total", "prompt_tokens_total")
    total("generation_tokens_total", "generation_tokens_total")
    source = "vllm:kv_cache_usage_perc"
    figures.metric("kv_cache_usage", lambda: found.maximum(source), source, whole=False)
