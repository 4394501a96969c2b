# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama.

Read in Ollama's docs/api.md and server/routes.go (0.5 and later); not run here. One server has many models, loads one
when a request names it and unloads it after C(keep_alive). It lists the loaded models (C(/api/ps)), but says nothing
about running or waiting requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from . import completions
from .adapter import Adapter
from .figures import Figures, text_at
from .options import Option
from .protocol import EngineError, Generation, NotSupported, Reading, Stats
from .questions import health, unread
from .scraped import Scraped

_UNTOLD = "Ollama does not tell anything about its requests; ask the load balancer"


class Ollama(Adapter):
    """The Ollama server behind the engine protocol."""

    name = "ollama"
    scraped: ClassVar[Scraped] = Scraped(none="Ollama has no metrics", health="/api/version")
    options: ClassVar[Mapping[str, Option]] = {
        "model": Option("text", "The model that this server is there for, such as C(llama3.2:latest)."),
    }
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": "Ollama cannot refuse new requests by itself; drain it at the load balancer",
        "pause": "Ollama cannot freeze requests; drain it at the load balancer",
        "resume_accepting": "Ollama cannot refuse new requests by itself, so there is nothing to resume",
        "abort_all": "Ollama has no request ids; only its client, or a restart, ends a request",
        "reset": "Ollama has no endpoint that empties its prompt cache; sleep and wake drop the model with it",
        "clear": "Ollama has no request ids; only its client, or a restart, ends a request",
        "save_state": "Ollama cannot save the state of its generations",
        "load_state": "Ollama cannot load the state of its generations",
    }

    def live(self) -> Reading:
        return health(self._server, "/api/version", {200: (True, "")})

    def ready(self) -> Reading:
        """Whether the server has the model, loaded or not; without O(model), whether it has any."""
        try:
            names = _model_names(self._server.get_json("/api/tags"))
        except EngineError as error:
            return unread(error)
        wanted = self._options["model"]
        if wanted is not None and _with_tag(wanted) not in names:
            return Reading(False, f"/api/tags does not list {wanted}", status=200)
        if not names:
            return Reading(False, "/api/tags lists no model", status=200)
        return Reading(True, f"/api/tags lists {', '.join(names)}"[:200], status=200)

    def awake(self) -> Reading:
        """Whether the model is loaded; without O(model), whether any is. Ollama unloads idle models by itself."""
        try:
            loaded = self._loaded_models()
        except EngineError as error:
            return unread(error)
        wanted = self._options["model"]
        there = bool(loaded) if wanted is None else _with_tag(wanted) in loaded
        return Reading(there, f"/api/ps lists {', '.join(loaded) or 'no model'}"[:200], status=200)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        figures.document("models", "/api/tags", _model_names)
        figures.document("version", "/api/version", text_at("version"))
        for field in ("running", "waiting"):
            figures.missing(field, _UNTOLD)
        for field in ("kv_cache_usage", "tokens_per_second", "prompt_tokens_total", "generation_tokens_total"):
            figures.missing(field, "Ollama has no metrics")
        return figures.stats()

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Ask for a completion. The default model is O(model), else a loaded one, else the first in the list."""
        return completions.ollama(self._server, prompt, max_tokens, model or self._default_model(), {})

    def sleep(self) -> None:
        """Unload O(model), or every loaded model. Ollama does so once the requests in flight have ended."""
        wanted = self._options["model"]
        for name in self._loaded_models() if wanted is None else (wanted,):
            self._set_keep_alive(name, {"keep_alive": 0}, "unload")

    def wake(self) -> None:
        """Load the model, until its C(keep_alive) runs out."""
        wanted = self._options["model"]
        if wanted is None:
            raise NotSupported("which model to load has to be said: the option model of engine ollama")
        self._set_keep_alive(wanted, {}, "load")

    def _set_keep_alive(self, name: str, more: Mapping[str, Any], expected: str) -> None:
        document = self._server.post_json(
            "/api/generate", {"model": name, "stream": False, **more}, self._server.patience
        )
        told = document if isinstance(document, dict) else {}
        if told.get("done") is not True or told.get("done_reason") not in (expected, None):
            raise EngineError("answered", f"/api/generate did not {expected} {name}: {str(document)[:150]}", 200)

    def _loaded_models(self) -> tuple[str, ...]:
        return _model_names(self._server.get_json("/api/ps"))

    def _default_model(self) -> str:
        wanted = self._options["model"]
        if wanted is not None:
            return wanted
        names = self._loaded_models() or _model_names(self._server.get_json("/api/tags"))
        if not names:
            raise EngineError("answered", "/api/tags lists no model", 200)
        return names[0]


def _model_names(document: Any) -> tuple[str, ...]:
    entries = document.get("models") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise EngineError("answered", "the answer is not Ollama's list of models", 200)
    return tuple(each["name"] for each in entries if isinstance(each, dict) and isinstance(each.get("name"), str))


def _with_tag(name: str) -> str:
    """The name as Ollama lists it: a name without a tag means C(latest)."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
