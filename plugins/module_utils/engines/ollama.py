# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama.

Read in Ollama's docs/api.md and server/routes.go (0.5 and later); not run here.  One server has many models, loads one
when it is asked for and unloads it after C(keep_alive).  It tells which are loaded (C(/api/ps)), and nothing about
requests: neither those that run nor those that wait.
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
    scraped: ClassVar[Scraped] = Scraped(none="Ollama has no metrics")
    options: ClassVar[Mapping[str, Option]] = {
        "model": Option("text", "The model that this server is there for, such as C(llama3.2:latest)."),
    }
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": "Ollama cannot refuse new requests by itself; drain it at the load balancer",
        "pause": "Ollama cannot freeze requests; drain it at the load balancer",
        "resume_accepting": "Ollama cannot refuse new requests by itself, so there is nothing to resume",
        "abort_all": "Ollama has no request ids; only its client, or a restart, ends a request",
        "reset": "Ollama has no endpoint that empties its prompt cache; sleep and wake drop the model with it",
        "save_state": "Ollama cannot save the state of its generations",
        "load_state": "Ollama cannot load the state of its generations",
    }

    def live(self) -> Reading:
        return health(self._server, "/api/version", {200: (True, "")})

    def ready(self) -> Reading:
        """Has it the model, loaded or not? Without O(model), has it any?"""
        try:
            names = _names(self._server.get_json("/api/tags"))
        except EngineError as error:
            return unread(error)
        wanted = self._options["model"]
        if wanted is not None and _tagged(wanted) not in names:
            return Reading(False, f"/api/tags does not list {wanted}", status=200)
        if not names:
            return Reading(False, "/api/tags lists no model", status=200)
        return Reading(True, f"/api/tags lists {', '.join(names)}"[:200], status=200)

    def awake(self) -> Reading:
        """Is the model loaded? Without O(model), is any? An idle one is unloaded without anybody's order."""
        try:
            loaded = self._loaded()
        except EngineError as error:
            return unread(error)
        wanted = self._options["model"]
        there = bool(loaded) if wanted is None else _tagged(wanted) in loaded
        return Reading(there, f"/api/ps lists {', '.join(loaded) or 'no model'}"[:200], status=200)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        figures.document("models", "/api/tags", _names)
        figures.document("version", "/api/version", text_at("version"))
        for field in ("running", "waiting"):
            figures.missing(field, _UNTOLD)
        for field in ("kv_cache_usage", "tokens_per_second", "prompt_tokens_total", "generation_tokens_total"):
            figures.missing(field, "Ollama has no metrics")
        return figures.stats()

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Without a model: O(model), else one that is loaded, else the first that there is."""
        return completions.ollama(self._server, prompt, max_tokens, model or self._choose(), {})

    def sleep(self) -> None:
        """Unload what is loaded. Ollama does so when the requests in flight have ended."""
        wanted = self._options["model"]
        for name in self._loaded() if wanted is None else (wanted,):
            self._keep(name, {"keep_alive": 0}, "unload")

    def wake(self) -> None:
        """Load the model, until its C(keep_alive) runs out."""
        wanted = self._options["model"]
        if wanted is None:
            raise NotSupported("which model to load has to be said: the option model of engine ollama")
        self._keep(wanted, {}, "load")

    def _keep(self, name: str, more: Mapping[str, Any], expected: str) -> None:
        document = self._server.post_json(
            "/api/generate", {"model": name, "stream": False, **more}, self._server.patience
        )
        told = document if isinstance(document, dict) else {}
        if told.get("done") is not True or told.get("done_reason") not in (expected, None):
            raise EngineError("answered", f"/api/generate did not {expected} {name}: {str(document)[:150]}", 200)

    def _loaded(self) -> tuple[str, ...]:
        return _names(self._server.get_json("/api/ps"))

    def _choose(self) -> str:
        wanted = self._options["model"]
        if wanted is not None:
            return wanted
        names = self._loaded() or _names(self._server.get_json("/api/tags"))
        if not names:
            raise EngineError("answered", "/api/tags lists no model", 200)
        return names[0]


def _names(document: Any) -> tuple[str, ...]:
    entries = document.get("models") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise EngineError("answered", "the answer is not Ollama's list of models", 200)
    return tuple(each["name"] for each in entries if isinstance(each, dict) and isinstance(each.get("name"), str))


def _tagged(name: str) -> str:
    """The name as Ollama lists it: a name without a tag means C(latest)."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
