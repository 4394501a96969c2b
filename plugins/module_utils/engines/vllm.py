# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM's OpenAI-compatible server.

Seen on vLLM 0.32 (facts of the endpoints: vllm/entrypoints/serve and rl): C(/health) is 503 once the engine core is
dead, but stays 200 while it is paused, asleep, shutting down or stopped by a signal, so only a completion proves the
service. The administrative endpoints exist when the server was started with C(VLLM_SERVER_DEV_MODE=1), else they are
404. C(/is_sleeping) is true for a pause as well, C(/wake_up) ends a pause as well, and the metrics do not count the
requests that a pause or a sleep makes wait; C(/load) counts them, but only with C(--enable-server-load-tracking).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from . import completions
from .adapter import Adapter
from .exposition import Exposition
from .figures import Figures, text_at
from .options import Option
from .protocol import EngineError, Generation, NotSupported, Reading, Stats
from .questions import command, first_model, flag, health, lists_a_model, model_names, unread
from .scraped import Progress, Scraped
from .server import decode
from .transport import TransportError
from .watched import WatchedMetrics, each, look
from .work import WorkSample

_BAD_REQUEST = (400, 422)
# Read in vLLM 0.32, vllm/v1/metrics/loggers.py and stats.py: the engine core updates its gauges after each step, and
# counts the tokens of a prompt with the first generated token, so only a growing cache shows work on a long prompt.
# Requests that wait as "deferred" wait for another server's data. The API process counts aborted ones.
WATCHED = WatchedMetrics(
    by=("engine", "model_name"),
    running=each("vllm:num_requests_running"),
    waiting=each("vllm:num_requests_waiting"),
    not_ours=(("vllm:num_requests_waiting_by_reason", {"reason": "deferred"}),),
    made=each("vllm:generation_tokens_total"),
    done=(
        ("vllm:prompt_tokens_total", {}),
        ("vllm:request_success_total", {"finished_reason": "stop"}),
        ("vllm:request_success_total", {"finished_reason": "length"}),
    ),
    levels=each("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    steady=("vllm:generation_tokens_total",),
)
# vllm/v1/metrics/loggers.py.  A prompt's tokens are counted when all of it has been read.
PROGRESS = Progress(
    requests=("vllm:num_requests_running", "vllm:num_requests_waiting"),
    work=(
        "vllm:generation_tokens_total",
        "vllm:prompt_tokens_total",
        "vllm:request_success_total",
        "vllm:iteration_tokens_total_count",
    ),
    cache=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    waiting="vllm:num_requests_waiting",
    until_first="vllm:time_to_first_token_seconds",
    until_done="vllm:e2e_request_latency_seconds",
    failed=(
        ("vllm:request_success_total", 'finished_reason="error"'),
        # Its health page is asked with GET.
        ("http_requests_total", 'method="POST", status="5xx"'),
    ),
)
_DEV_MODE = "not supported by this engine as it was started; vLLM has it with VLLM_SERVER_DEV_MODE=1"


class Vllm(Adapter):
    """The vLLM server behind the engine protocol."""

    name = "vllm"
    watched = WATCHED
    scraped: ClassVar[Scraped] = Scraped(progress=PROGRESS)
    cannot: ClassVar[Mapping[str, str]] = {
        "save_state": "vLLM cannot save the state of its generations",
        "load_state": "vLLM cannot load the state of its generations",
    }

    options: ClassVar[Mapping[str, Option]] = {
        "load_tracking": Option(
            "flag",
            "Whether it was started with C(--enable-server-load-tracking), which counts what a pause holds back.",
            default="false",
        ),
    }

    def live(self) -> Reading:
        meanings = {200: (True, ""), 503: (False, "/health answered HTTP 503: the engine core is dead")}
        return health(self._server, "/health", meanings)

    def ready(self) -> Reading:
        """Live, not paused or asleep as far as the server tells, and serving at least one model."""
        alive = self.live()
        if alive.value is not True:
            return alive
        for told in (self.accepting(), self.awake()):
            if told.value is not True and told.kind != "not_supported":
                return told
        return lists_a_model(self._server)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        # The engine core answers these between two steps, so the metrics that are read next are not older.
        states = (self._read_negated("/is_sleeping", "is_sleeping"), self.accepting())
        found = figures.metrics()
        _read_metrics(figures, found)
        _withdraw_stale_counts(figures, states, self._requests_beyond_running(found))
        figures.missing("tokens_per_second", "vLLM tells totals only; a rate needs two readings")
        figures.document("models", "/v1/models", model_names)
        figures.document("version", "/version", text_at("version"))
        return figures.stats()

    def work(self) -> WorkSample:
        """The work by the metrics; a sleeping server counts as held back."""
        work, found = look(self._server, "/metrics", WATCHED, time.monotonic())
        awake = found.values("vllm:engine_sleep_state", sleep_state="awake")
        if awake and min(awake) == 0:
            return replace(work, held_back="vllm:engine_sleep_state says that it sleeps")
        return work

    def accepting(self) -> Reading:
        return self._read_negated("/is_paused", "is_paused")

    def awake(self) -> Reading:
        told = self._read_negated("/is_sleeping", "is_sleeping")
        if told.value is not False or self.accepting().value is not False:
            return told
        # Asleep or only paused: the metrics alone distinguish the two.
        figures = Figures(self._server)
        if figures.metrics().total("vllm:engine_sleep_state", sleep_state="awake") == 1:
            return Reading(True, "vllm:engine_sleep_state says awake, and /is_paused true: it is paused", status=200)
        return told

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Ask for a completion, of the first model that the server lists where C(model) is None."""
        asked = first_model(self._server) if model is None else model
        # min_tokens keeps the model from generating the end token first, which has no text.
        more = {"ignore_eos": True, "min_tokens": max_tokens}
        return completions.openai(self._server, prompt, max_tokens, asked, more)

    def stop_accepting(self) -> None:
        """Let the requests in flight finish and hold back new ones, which vLLM accepts and makes wait.

        vLLM answers only when the last request has ended, but has stopped even if the caller does not wait for that.
        """
        try:
            self._post_command("/pause?mode=wait")
        except EngineError as error:
            if error.kind != "timeout" or self.accepting().value is not False:
                raise

    def pause(self) -> None:
        self._post_command("/pause?mode=keep")

    def resume_accepting(self) -> None:
        """Resume. Refused for a sleeping server: vLLM would schedule requests onto memory that it has freed."""
        if self.awake().value is False:
            raise EngineError("answered", "vLLM is asleep: wake it, which lets it accept requests as well", 200)
        self._post_command("/resume")

    def abort_all(self) -> None:
        """End every request in flight. An older vLLM needs request ids, so it is paused instead."""
        try:
            command(self._server, "/abort_requests", _DEV_MODE, {})
        except EngineError as error:
            if error.status not in _BAD_REQUEST:
                raise
            self._abort_by_pause()

    def _abort_by_pause(self) -> None:
        """Abort by a pause in mode C(abort). A server that was paused before stays paused."""
        paused_before = flag(self._server, "/is_paused", "is_paused", _DEV_MODE)
        self._post_command("/pause?mode=abort")
        if not paused_before:
            self._post_command("/resume")

    def reset(self) -> None:
        """Drop the prefix cache. Fails while requests use it, which older servers do not report."""
        answer = command(self._server, "/reset_prefix_cache", _DEV_MODE)
        if answer.body.strip() and decode(answer) == {"success": False}:
            raise EngineError("answered", "vLLM did not drop its prefix cache: requests still use it", 200)

    def clear(self) -> None:
        """Pause in mode C(abort), then resume. Refused for a server that somebody has paused or put to sleep.

        vllm/v1/engine/core.py, pause_scheduler(): that pause ends every request that the scheduler has, also one that
        the API process has forgotten, and drops all caches; C(/abort_requests) ends what the API process knows, and
        answers although the core stands.  A pause that failed is resumed too: a late one must not leave it closed.
        """
        for told in (self.accepting(), self.awake()):
            if told.value is False:
                raise EngineError("answered", f"{told.reason}: somebody has paused it, or put it to sleep", 200)
        try:
            self._post_command("/pause?mode=abort")
        except EngineError:
            with contextlib.suppress(TransportError):
                self._server.post("/resume")
            raise
        self._post_command("/resume")

    def sleep(self) -> None:
        """Level 1: weights go to main memory, the KV cache is dropped. Ends the requests in flight."""
        self._post_command("/sleep?level=1")

    def wake(self) -> None:
        answer = command(self._server, "/wake_up", _DEV_MODE)
        told = decode(answer) if answer.body.strip() else {}
        if isinstance(told, dict) and told.get("status") == "sleeping":
            raise EngineError("answered", "vLLM is not fully awake", 200)

    def _requests_beyond_running(self, found: Exposition) -> int | None:
        """Requests that the API server counts beyond those that run; None where it keeps no count.

        None too where it counts fewer than run: tracking is off, or a request asked for several completions.
        """
        if self._options["load_tracking"] != "true":
            return None
        running, waiting = (found.total(f"vllm:num_requests_{state}") for state in ("running", "waiting"))
        try:
            document = self._server.get_json("/load")
        except EngineError:
            return None
        load = document.get("server_load") if isinstance(document, dict) else None
        if running is None or waiting is None or not isinstance(load, int) or isinstance(load, bool) or load < running:
            return None
        return max(load - int(running), int(waiting))

    def _read_negated(self, path: str, key: str) -> Reading:
        """The negation of a flag that the server reports."""
        try:
            value = flag(self._server, path, key, _DEV_MODE)
        except NotSupported as error:
            return Reading(None, str(error), kind="not_supported", status=404)
        except EngineError as error:
            return unread(error)
        return Reading(not value, f"{path} says {str(value).lower()}", status=200)

    def _post_command(self, path: str) -> None:
        command(self._server, path, _DEV_MODE)


def _withdraw_stale_counts(figures: Figures, states: tuple[Reading, ...], tracked: int | None) -> None:
    """Withdraw counts that may be stale, or that lack the requests which a pause or a sleep makes wait.

    The metrics of a stopped engine core do not change, and a paused or sleeping one does not count new requests.
    """
    for told in states:
        if told.value is None and told.kind != "not_supported":
            for field in ("running", "waiting"):
                figures.missing(field, f"/metrics may be of the past: {told.reason}")
            return
        if told.value is False and tracked is None:
            figures.missing("waiting", f"{told.reason}: vLLM does not count the requests that it holds back meanwhile")
    if tracked is not None:
        figures.number("waiting", tracked, "server_load of /load less those that run")


def _read_metrics(figures: Figures, found: Exposition) -> None:
    def total(field: str, name: str) -> None:
        figures.metric(field, lambda: found.total(f"vllm:{name}"), f"vllm:{name}")

    # One label set for each engine of a data-parallel server: requests are summed, cache use is the highest.
    total("running", "num_requests_running")
    total("waiting", "num_requests_waiting")
    total("prompt_tokens_total", "prompt_tokens_total")
    total("generation_tokens_total", "generation_tokens_total")
    source = "vllm:kv_cache_usage_perc"
    figures.metric("kv_cache_usage", lambda: found.maximum(source), source, whole=False)
