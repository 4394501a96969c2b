# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp's C(llama-server).

Seen on llama-server 0.7 (build 11669) and documented in its tools/server/README.md: C(/health) needs no key and is 200
or 503 "loading model"; a feature that is not enabled answers 501 with the flag that enables it; there are no request
ids, so only the client of a request can end it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from . import completions
from .adapter import Adapter
from .exposition import Exposition
from .figures import Figures, text_at
from .protocol import EngineError, Generation, NotSupported, Reading, SavedState, Stats
from .questions import health, model_names, unread
from .scraped import Progress, Scraped
from .server import decode, describe
from .transport import Response, TransportError
from .watched import WatchedMetrics, each, look
from .work import WorkSample

# Read in tools/server (server_metrics): prompts are counted when they have been worked on, tokens when their request
# ends, and calls of llama_decode() one by one. The thread that decodes answers /metrics as well, between two calls.
WATCHED = WatchedMetrics(
    by=(),
    running=each("llamacpp:requests_processing"),
    waiting=each("llamacpp:requests_deferred"),
    made=each("llamacpp:tokens_predicted_total"),
    done=each("llamacpp:prompt_tokens_total", "llamacpp:n_decode_total"),
    steady=("llamacpp:n_decode_total",),
)
# llama.cpp, tools/server: a prompt's and an answer's tokens are counted at their end, each decoding when it is over.  A
# prompt is decoded in batches of C(--batch-size) tokens, 2048 unless told otherwise: a second or two on a GPU, half a
# minute where weights lie in main memory.  Newer releases answer meanwhile, but none of their counters moves.
PROGRESS = Progress(
    requests=("llamacpp:requests_processing", "llamacpp:requests_deferred"),
    work=("llamacpp:n_decode_total", "llamacpp:tokens_predicted_total", "llamacpp:prompt_tokens_total"),
    pace=("llamacpp:prompt_seconds_total", "llamacpp:prompt_tokens_total"),
    waiting="llamacpp:requests_deferred",
)


class LlamaCpp(Adapter):
    """The llama.cpp server behind the engine protocol."""

    name = "llama_cpp"
    watched = WATCHED
    scraped: ClassVar[Scraped] = Scraped(progress=PROGRESS)
    requests_path: ClassVar[str] = "/slots"
    state_format: ClassVar[str] = "llama_slots"
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": "llama.cpp cannot refuse new requests by itself; drain it at the load balancer",
        "pause": "llama.cpp cannot freeze requests; drain it at the load balancer",
        "resume_accepting": "llama.cpp cannot refuse new requests by itself, so there is nothing to resume",
        "abort_all": "llama.cpp has no request ids; only its client, or a restart, ends a request",
        "clear": "llama.cpp has no order that ends a request; only its client, or a restart, does",
        "sleep": "llama-server sleeps by itself (--sleep-idle-seconds) and not by order; stop the process instead",
        "wake": "llama-server has no order that wakes it; the next request does",
    }

    def live(self) -> Reading:
        return health(self._server, "/health", {200: (True, ""), 503: (True, "/health says that the model is loading")})

    def ready(self) -> Reading:
        return health(self._server, "/health", {200: (True, ""), 503: (False, "")})

    def stats(self) -> Stats:
        figures = Figures(self._server)
        _read_metrics(figures, figures.metrics())
        figures.document("models", "/v1/models", model_names)
        figures.document("version", "/props", text_at("build_info"))
        return figures.stats()

    def work(self) -> WorkSample:
        """Add the tokens of requests that have not ended, from C(/slots), where the server offers it."""
        work, _found = look(self._server, "/metrics", WATCHED, time.monotonic())
        lane = work.lanes.get("")
        if lane is None or not lane.in_hand:
            return work
        return replace(work, lanes={"": replace(lane, made={**lane.made, **self._decoded_tokens()})})

    def _decoded_tokens(self) -> dict[str, float]:
        """Tokens generated so far for each request that has a slot; empty where the slots cannot be read."""
        try:
            slots = self._server.get_json("/slots")
        except EngineError:
            return {}
        found = {}
        for slot in slots if isinstance(slots, list) else []:
            count = _n_decoded(slot)
            if count is not None:
                found[f"slot {slot.get('id')}, task {slot.get('id_task')}"] = count
        return found

    def awake(self) -> Reading:
        """A server started with C(--sleep-idle-seconds) sleeps by itself, and the next request wakes it."""
        try:
            document = self._server.get_json("/props")
        except EngineError as error:
            return unread(error)
        asleep = document.get("is_sleeping") if isinstance(document, dict) else None
        if not isinstance(asleep, bool):
            return self._untold("whether it sleeps")
        return Reading(not asleep, f"/props says is_sleeping {str(asleep).lower()}", status=200)

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        # Without ignore_eos a model may end at once, which proves nothing; a cached prompt skips half of the work.
        more = {"ignore_eos": True, "cache_prompt": False}
        return completions.openai(self._server, prompt, max_tokens, model, more)

    def reset(self) -> None:
        """Erase the prompt cache of every slot. Needs C(--slot-save-path), as every slot action does."""
        for slot in self._idle_slots():
            self._slot_action(slot, "erase", {}, "n_erased")

    def save_state(self, name: str) -> SavedState:
        """Save every slot as C(NAME-slotN.bin) under C(--slot-save-path).

        A busy slot is refused: llama.cpp would wait for the end of its request and save that, not the middle of it.
        """
        files = {slot: f"{name}-slot{slot}.bin" for slot in self._idle_slots()}
        return SavedState(
            {file: self._slot_action(slot, "save", {"filename": file}, "n_saved") for slot, file in files.items()}
        )

    def load_state(self, name: str) -> SavedState:
        files = {slot: f"{name}-slot{slot}.bin" for slot in self._idle_slots()}
        return SavedState(
            {file: self._slot_action(slot, "restore", {"filename": file}, "n_restored") for slot, file in files.items()}
        )

    def _idle_slots(self) -> list[int]:
        try:
            answer = self._server.get("/slots")
        except TransportError as error:
            raise EngineError(error.kind, error.reason) from error
        _refuse_unsupported(answer, "the slots endpoint")
        slots = decode(answer) if answer.status == 200 else None
        if not isinstance(slots, list) or not all(map(_is_slot, slots)):
            raise EngineError("answered", f"/slots answered {describe(answer)}", answer.status)
        busy = [slot["id"] for slot in slots if slot.get("is_processing") is not False]
        if busy:
            raise EngineError("answered", f"slots {busy} are busy; drain the server first", answer.status)
        return [slot["id"] for slot in slots]

    def _slot_action(self, slot: int, action: str, body: dict[str, Any], count: str) -> int:
        try:
            answer = self._server.post(f"/slots/{slot}?action={action}", body)
        except TransportError as error:
            raise EngineError(error.kind, error.reason) from error
        _refuse_unsupported(answer, "slot actions")
        document = decode(answer) if answer.status == 200 else None
        done = document.get(count) if isinstance(document, dict) else None
        if done is None or not _is_index(done):
            raise EngineError("answered", f"slot {slot}: {action} answered {describe(answer)}", answer.status)
        return int(done)


def _read_metrics(figures: Figures, found: Exposition) -> None:
    def read(field: str, name: str, whole: bool = True) -> None:
        figures.metric(field, lambda: found.total(f"llamacpp:{name}"), f"llamacpp:{name}", whole)

    read("running", "requests_processing")
    read("waiting", "requests_deferred")
    read("tokens_per_second", "predicted_tokens_seconds", whole=False)
    read("prompt_tokens_total", "prompt_tokens_total")
    read("generation_tokens_total", "tokens_predicted_total")
    # Only older servers have this metric. It is not estimated from the slots.
    read("kv_cache_usage", "kv_cache_usage_ratio", whole=False)


def _n_decoded(slot: Any) -> float | None:
    """C(next_token) is an object in older servers, and a list of them in newer ones."""
    told = slot.get("next_token") if isinstance(slot, dict) else None
    first = told[0] if isinstance(told, list) and told else told
    count = first.get("n_decoded") if isinstance(first, dict) else None
    return float(count) if count is not None and _is_index(count) else None


def _refuse_unsupported(answer: Response, what: str) -> None:
    if answer.status in (404, 501):
        raise NotSupported(f"{what}: not supported by this engine as it was started ({describe(answer)})")


def _is_slot(value: Any) -> bool:
    return isinstance(value, dict) and _is_index(value.get("id"))


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
