# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines, and how one is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .adapter import Adapter
from .generic import Generic
from .llama_cpp import LlamaCpp
from .ollama import Ollama
from .onnx_runtime import OnnxRuntime
from .protocol import Engine
from .server import EngineServer
from .sglang import Sglang
from .tensorrt_llm import TensorrtLlm
from .tgi import Tgi
from .transport import HttpTransport, Transport
from .triton import Triton
from .vllm import Vllm

_ADAPTERS = (Generic, LlamaCpp, Ollama, OnnxRuntime, Sglang, TensorrtLlm, Tgi, Triton, Vllm)
ENGINES: Mapping[str, type[Adapter]] = {adapter.name: adapter for adapter in _ADAPTERS}


def open_engine(
    name: str,
    url: str,
    *,
    timeout: float = 5.0,
    generate_timeout: float | None = None,
    api_key: str | None = None,
    options: Mapping[str, Any] | None = None,
    transport: Transport | None = None,
) -> Engine:
    """The adapter of one server. Contacts nothing yet. Raises ValueError.

    timeout: seconds for each request.  generate_timeout: seconds for a completion, and for a command that the server
    answers after carrying it out; C(timeout) by default.  options: those that the adapter's C(options) lists.
    """
    try:
        adapter = ENGINES[name]
    except KeyError:
        raise ValueError(f"unknown engine {name!r}; known are {', '.join(sorted(ENGINES))}") from None
    longest = timeout if generate_timeout is None else generate_timeout
    if not (0 < timeout < math.inf and 0 < longest < math.inf):
        raise ValueError("a timeout must be a number of seconds above 0")
    return adapter(EngineServer(url, transport or HttpTransport(), timeout, api_key, generate_timeout), options)
