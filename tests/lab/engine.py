# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an inference server for text, as a user of it would."""

from __future__ import annotations

import httpx

from .hosts import Host

TOKENS = 48


def url(node: Host) -> str:
    """The server itself, past the balancer."""
    return f"http://{node.address}:8080"


def generates(node: Host, seconds: float = 2.0) -> str | None:
    """Return a completion of the full length that was asked for, else None."""
    body = {"prompt": "the people", "max_tokens": TOKENS, "temperature": 0}
    try:
        response = httpx.post(f"{url(node)}/v1/completions", json=body, timeout=seconds, trust_env=False)
        response.raise_for_status()
        answer = response.json()
    except httpx.HTTPError:
        return None
    complete = answer["usage"]["completion_tokens"] == TOKENS
    return str(answer["choices"][0]["text"]).strip() if complete else None
