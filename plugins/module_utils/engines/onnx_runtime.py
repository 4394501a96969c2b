# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of ONNX models on ONNX Runtime.

C(sessions): ONNX Runtime Server (github.com/kibae/onnxruntime-server), the maintained one; read in its
docs/swagger/openapi.yaml, version 1.30.0.  C(predict): Microsoft's C(onnxruntime_server), retired in 2021; read in
docs/ONNX_Runtime_Server_Usage.md and onnxruntime/server/main.cc of ONNX Runtime 1.8, which has one path, to which
predictions are posted.  Neither was run here.  An ONNX model behind Triton, OpenVINO Model Server or another server of
the Open Inference Protocol is engine C(triton) here. These servers take tensors and not text, so there is no completion
to request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .adapter import Adapter
from .figures import Figures
from .options import Option
from .protocol import EngineError, Generation, NotSupported, Reading, Stats
from .questions import health, unread
from .scraped import Scraped
from .server import no_answer
from .transport import TransportError

_NO_CONTROL = "ONNX Runtime servers have no endpoint for it"
_UNTOLD = "ONNX Runtime servers do not tell anything about their requests; ask the load balancer"


class OnnxRuntime(Adapter):
    """An ONNX Runtime server behind the engine protocol."""

    name = "onnx_runtime"
    scraped: ClassVar[Scraped] = Scraped(none="ONNX Runtime's server has no metrics of its own")
    options: ClassVar[Mapping[str, Option]] = {
        "api": Option(
            "choice",
            "C(sessions) for ONNX Runtime Server, C(predict) for Microsoft's retired onnxruntime_server.",
            default="sessions",
            choices=("sessions", "predict"),
        ),
        "model": Option("text", "The model whose session must be there, as C(NAME/VERSION)."),
    }
    cannot: ClassVar[Mapping[str, str]] = {
        "stop_accepting": f"{_NO_CONTROL}; drain it at the load balancer",
        "pause": f"{_NO_CONTROL}; drain it at the load balancer",
        "resume_accepting": f"{_NO_CONTROL}, so there is nothing to resume",
        "abort_all": f"{_NO_CONTROL}; only the client, or a restart, ends a request",
        "reset": f"{_NO_CONTROL}; they keep no state between requests",
        "clear": f"{_NO_CONTROL}; only the client, or a restart, ends a request",
        "sleep": f"{_NO_CONTROL}; stop the process instead",
        "wake": f"{_NO_CONTROL}, so there is nothing to wake",
        "save_state": f"{_NO_CONTROL}; they keep no state between requests",
        "load_state": f"{_NO_CONTROL}; they keep no state between requests",
    }

    def live(self) -> Reading:
        if self._options["api"] == "sessions":
            return health(self._server, "/health", {200: (True, "")})
        try:
            answer = self._server.get("/")
        except TransportError as error:
            return no_answer(error)
        reason = f"it answers HTTP {answer.status}; onnxruntime_server has no health endpoint to ask"
        return Reading(True, reason, status=answer.status, seconds=answer.seconds)

    def ready(self) -> Reading:
        """Whether the model's session exists, or any session. Clients create sessions; a started server has none."""
        if self._options["api"] == "predict":
            return self._untold("whether it is ready; its model is loaded before it listens")
        try:
            names = _session_names(self._server.get_json("/api/sessions"))
        except EngineError as error:
            return unread(error)
        wanted = self._options["model"]
        if wanted is not None and wanted not in names:
            return Reading(False, f"/api/sessions does not list {wanted}", status=200)
        return Reading(bool(names), f"/api/sessions lists {', '.join(names) or 'no session'}"[:200], status=200)

    def stats(self) -> Stats:
        figures = Figures(self._server)
        if self._options["api"] == "sessions":
            figures.document("models", "/api/sessions", _session_names)
            figures.given("version", self._runtime_version, "/api/version")
        else:
            figures.missing("models", "onnxruntime_server does not tell its model")
            figures.missing("version", "onnxruntime_server does not tell its version")
        for field in ("running", "waiting"):
            figures.missing(field, _UNTOLD)
        for field in ("kv_cache_usage", "tokens_per_second", "prompt_tokens_total", "generation_tokens_total"):
            figures.missing(field, "ONNX Runtime servers know tensors, not tokens")
        return figures.stats()

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:  # noqa: ARG002
        raise NotSupported("ONNX Runtime servers take tensors and know no text, so there is no completion to ask for")

    def _runtime_version(self) -> str | None:
        """The version of ONNX Runtime, as plain text."""
        try:
            answer = self._server.get("/api/version")
        except TransportError as error:
            raise EngineError(error.kind, error.reason) from error
        text = answer.body[:100].decode("utf-8", "replace").strip() if answer.status == 200 else ""
        return text if text and text.isprintable() else None


def _session_names(document: Any) -> tuple[str, ...]:
    if not isinstance(document, list):
        raise EngineError("answered", "/api/sessions is not a list of sessions", 200)
    named = [(entry.get("model"), entry.get("version")) for entry in document if isinstance(entry, dict)]
    return tuple(f"{model}/{version}" for model, version in named if isinstance(model, str) and version is not None)
