# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module options that describe one inference server; the documentation fragment C(engine) in code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import Engine
from .registry import ENGINES, open_engine
from .transport import HttpTransport


def engine_arguments(required: bool = False) -> dict[str, Any]:
    """The part of an argument spec that describes a server. C(required): whether the module needs one."""
    return {
        "engine": {"type": "str", "choices": sorted(ENGINES), "required": required},
        "engine_options": {"type": "dict", "default": {}},
        "url": {"type": "str", "required": required},
        "api_key": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "timeout": {"type": "float", "default": 5.0},
    }


def engine_of(params: Mapping[str, Any], generate_timeout: float | None = None) -> Engine:
    """The server that a module's options describe. Contacts nothing yet. Raises ValueError for bad options."""
    return open_engine(
        params["engine"],
        params["url"],
        timeout=params["timeout"],
        generate_timeout=generate_timeout,
        api_key=params["api_key"],
        options=params["engine_options"],
        transport=HttpTransport(params["validate_certs"], params["ca_path"]),
    )
