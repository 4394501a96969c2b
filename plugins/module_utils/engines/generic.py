# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any server that speaks HTTP, with its paths and metrics given by the operator as options.

Whatever has no option set raises NotSupported: nothing is guessed from an answer of an unknown server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from .adapter import Adapter
from .completions import FORMATS
from .figures import Figures, text_at
from .options import Option
from .protocol import Generation, NotSupported, Reading, Stats
from .questions import command, health, lists_a_model, model_names
from .scraped import Scraped
from .watched import Match, WatchedMetrics, look
from .work import WorkSample

_ANSWERS = {200: (True, ""), 204: (True, ""), 500: (False, ""), 502: (False, ""), 503: (False, "")}

# Field of Stats -> the option that names its metric, and whether it counts things.
_METRICS = (
    ("running", "running_metric", True),
    ("waiting", "waiting_metric", True),
    ("kv_cache_usage", "kv_cache_usage_metric", False),
    ("prompt_tokens_total", "prompt_tokens_metric", True),
    ("generation_tokens_total", "generation_tokens_metric", True),
)
# Acting method -> the option that has its path.
_ORDERS = {
    "stop_accepting": "stop_accepting_path",
    "pause": "pause_path",
    "resume_accepting": "resume_accepting_path",
    "abort_all": "abort_path",
    "reset": "reset_path",
    "sleep": "sleep_path",
    "wake": "wake_path",
}


class Generic(Adapter):
    """A server behind the engine protocol that is described by its options."""

    name = "generic"
    scraped: ClassVar[Scraped] = Scraped(path_option="metrics_path")
    options: ClassVar[Mapping[str, Option]] = {
        "live_path": Option("path", "Answers HTTP 200 or 204 while the process is alive.", default="/health"),
        "ready_path": Option("path", "Answers HTTP 200 or 204 while it takes requests. Without it, O(live_path)."),
        "metrics_path": Option("path", "Metrics in the Prometheus text format."),
        "running_metric": Option("metric", "The gauge of requests that run. Label sets are added up."),
        "waiting_metric": Option("metric", "The gauge of requests that wait. Label sets are added up."),
        "kv_cache_usage_metric": Option("metric", "The gauge of the cache's use, from 0 to 1. The fullest counts."),
        "prompt_tokens_metric": Option("metric", "The counter of prompt tokens."),
        "generation_tokens_metric": Option("metric", "The counter of generated tokens."),
        "step_metric": Option(
            "metric",
            "A counter that grows at every step. With it, standing still while requests run is a deadlock.",
        ),
        "models_path": Option("path", "Lists the models in OpenAI's form."),
        "version_path": Option("path", "A JSON document with a text at C(version)."),
        "completion": Option("choice", "The form of a completion.", choices=("none", *FORMATS), default="none"),
        "completion_path": Option("path", "Where completions are asked for. Without it, the form's own path."),
        **{
            option: Option("path", f"An empty C(POST) to this path does {method}; HTTP 200 means that it was done.")
            for method, option in _ORDERS.items()
        },
    }
    cannot: ClassVar[Mapping[str, str]] = {
        "save_state": "a generic engine cannot save state",
        "load_state": "a generic engine cannot load state",
    }

    def live(self) -> Reading:
        return health(self._server, self._options["live_path"] or "/health", _ANSWERS)

    def ready(self) -> Reading:
        path = self._options["ready_path"] or self._options["live_path"] or "/health"
        told, models = health(self._server, path, _ANSWERS), self._options["models_path"]
        return told if told.value is not True or models is None else lists_a_model(self._server, models)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        self._read_metrics(figures)
        figures.missing("tokens_per_second", "a generic engine tells totals only; a rate needs two readings")
        for field, read in (("models", model_names), ("version", text_at("version"))):
            path = self._options[f"{field}_path"]
            if path is None:
                figures.missing(field, f"the option {field}_path was not given")
            else:
                figures.document(field, path, read)
        return figures.stats()

    def work(self) -> WorkSample:
        path, at = self._options["metrics_path"], time.monotonic()
        if path is None:
            return WorkSample(at, unread="the option metrics_path was not given")
        step = self._metric("step_metric")
        watched = WatchedMetrics(
            by=(),
            running=self._metric("running_metric"),
            waiting=self._metric("waiting_metric"),
            made=self._metric("generation_tokens_metric"),
            done=self._metric("prompt_tokens_metric") + step,
            steady=tuple(name for name, _labels in step),
        )
        return look(self._server, path, watched, at)[0]

    def _metric(self, option: str) -> tuple[Match, ...]:
        name = self._options[option]
        return () if name is None else ((name, {}),)

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        form = self._options["completion"]
        if form not in FORMATS:
            raise NotSupported("the option completion of engine generic does not say how a completion is asked for")
        return FORMATS[form](self._server, prompt, max_tokens, model, {}, self._options["completion_path"])

    def stop_accepting(self) -> None:
        self._post_order("stop_accepting")

    def pause(self) -> None:
        self._post_order("pause")

    def resume_accepting(self) -> None:
        self._post_order("resume_accepting")

    def abort_all(self) -> None:
        self._post_order("abort_all")

    def reset(self) -> None:
        self._post_order("reset")

    def clear(self) -> None:
        """By C(abort_path), then C(reset_path) where it is given."""
        self.abort_all()
        if self._options["reset_path"] is not None:
            self.reset()

    def sleep(self) -> None:
        self._post_order("sleep")

    def wake(self) -> None:
        self._post_order("wake")

    def _post_order(self, method: str) -> None:
        option = _ORDERS[method]
        path = self._options[option]
        if path is None:
            raise NotSupported(f"the option {option} of engine generic was not given, so that there is nothing to call")
        command(self._server, path, f"the server has nothing at the path that option {option} gives")

    def _read_metrics(self, figures: Figures) -> None:
        path = self._options["metrics_path"]
        if path is None:
            for field, _option, _whole in _METRICS:
                figures.missing(field, "the option metrics_path was not given")
            return
        found = figures.metrics(path)
        for field, option, whole in _METRICS:
            name = self._options[option]
            if name is None:
                figures.missing(field, f"the option {option} was not given")
            else:
                figures.metric(field, partial(found.total if whole else found.maximum, name), name, whole)
