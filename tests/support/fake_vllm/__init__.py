# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake vLLM for states that a CPU's vLLM does not get into by itself; see README.md for the source of each answer."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.servers.http_answers import Asked, Reply, answering_http


@dataclass
class Rank:
    """One engine core. ``rate``: tokens a second, 0 for one that is dead behind its API process."""

    running: int = 0
    waiting: int = 0
    rate: float = 0.0
    made: int = 1234
    cache: float = 0.0


@dataclass
class State:
    """What the server is like. ``delay``: seconds before every answer.  ``completion``: seconds until a completion is
    there."""

    ranks: list[Rank] = field(default_factory=list)
    delay: float = 0.0
    completion: float = 40.0
    asleep: bool = False
    restarts_after: float | None = None


MODEL = "m"
_JSON = {"Content-Type": "application/json"}
_PAGE = {"Content-Type": "text/plain; version=1.0.0; charset=utf-8"}
_USUAL_TOKENS = 16


class FakeVllm:
    """It listens on loopback. ``completions``: how many were asked for."""

    def __init__(self, state: State, port: int = 0) -> None:
        self.state = state
        self.completions = 0
        self.began = time.monotonic()
        self.ended = threading.Event()
        self.url = ""
        self._port = port

    @contextlib.contextmanager
    def serving(self) -> Iterator[FakeVllm]:
        """Serve until the end of the block."""
        with answering_http(self._answer, port=self._port) as server:
            self.url = server.url
            try:
                yield self
            finally:
                self.ended.set()

    def metrics(self) -> str:
        """The page of /metrics now."""
        seconds = time.monotonic() - self.began
        restarted = self.state.restarts_after is not None and seconds > self.state.restarts_after
        found: dict[str, list[str]] = {}
        for number, rank in enumerate(self.state.ranks):
            tokens = int((0 if restarted else rank.made) + seconds * rank.rate)
            labels = f'engine="{number}",model_name="{MODEL}"'
            for name, value in {
                "num_requests_running gauge": rank.running,
                "num_requests_waiting gauge": rank.waiting,
                "kv_cache_usage_perc gauge": rank.cache,
                "generation_tokens_total counter": tokens,
                "prompt_tokens_total counter": tokens,
            }.items():
                found.setdefault(name, []).append(f"{{{labels}}} {float(value)}")
            for state in ("awake", "weights_offloaded", "discard_all"):
                value = (state == "weights_offloaded") if self.state.asleep else (state == "awake")
                line = f'{{{labels},sleep_state="{state}"}} {float(value)}'
                found.setdefault("engine_sleep_state gauge", []).append(line)
        lines = []
        for name, values in found.items():
            lines.append(f"# TYPE vllm:{name}")
            lines += [f"vllm:{name.split()[0]}{value}" for value in values]
        return "\n".join([*lines, ""])

    def _answer(self, asked: Asked) -> Reply:
        if asked.path == "/v1/completions":
            return self._complete(asked) if asked.method == "POST" else _detail(405, "Method Not Allowed")
        self.ended.wait(self.state.delay)
        answers = {
            "/health": Reply,
            "/v1/models": lambda: _json({"object": "list", "data": [{"id": MODEL, "object": "model"}]}),
            "/version": lambda: _json({"version": "0.32.0"}),
            "/metrics": lambda: Reply(200, self.metrics().encode(), _PAGE),
        }
        if asked.path not in answers:
            return _detail(404, "Not Found")
        return answers[asked.path]() if asked.method == "GET" else _detail(405, "Method Not Allowed")

    def _complete(self, asked: Asked) -> Reply:
        try:
            order = asked.json() if _is_json(asked) else {}
        except ValueError:
            order = {}
        if not isinstance(order, dict) or "prompt" not in order:
            return _error(400, "BadRequestError", "a prompt as JSON is required")
        if order.get("model") not in (None, MODEL):
            return _error(404, "NotFoundError", f"The model `{order['model']}` does not exist.")
        self.completions += 1
        self.ended.wait(self.state.completion)
        made = int(order.get("max_tokens") or _USUAL_TOKENS)
        for rank in self.state.ranks[:1]:
            rank.made += made
        choice = {"index": 0, "text": " jumps over", "finish_reason": "length"}
        usage = {"prompt_tokens": 4, "completion_tokens": made, "total_tokens": 4 + made}
        return _json({"id": "x", "object": "text_completion", "model": MODEL, "choices": [choice], "usage": usage})


def _is_json(asked: Asked) -> bool:
    return (asked.headers["Content-Type"] or "").lower().split(";")[0] == "application/json"


def _json(document: dict[str, Any], status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), _JSON)


def _detail(status: int, said: str) -> Reply:
    return _json({"detail": said}, status)


def _error(status: int, kind: str, said: str) -> Reply:
    return _json({"error": {"message": said, "type": kind, "param": None, "code": status}}, status)
