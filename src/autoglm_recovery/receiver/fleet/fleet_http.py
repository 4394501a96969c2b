# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to what the fleet runs for itself, Alertmanager and Prometheus: no proxy, and no answer without an end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Protocol

import httpx

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.host.token_file import first_token


class Setting(Protocol):
    """What a policy says about whom to ask: a file with a bearer token, one of authorities, and a timedelta."""

    @property
    def token_file(self) -> Path | None: ...
    @property
    def ca_path(self) -> Path | None: ...
    @property
    def timeout(self) -> timedelta: ...


def client(url: str, setting: Setting) -> httpx.Client:
    """Return a client of one server.

    Raises OSError or ValueError if a file cannot be read, or holds no token.
    """
    token = None if setting.token_file is None else first_token(setting.token_file)
    return bounded_http.client(token, setting.ca_path, base_url=url, timeout=setting.timeout.total_seconds())


def shown(url: str) -> str:
    """Return an address without what may be a secret in it: a name and a password, and what stands behind a ``?``."""
    try:
        read = httpx.URL(url)
    except httpx.InvalidURL:
        return "an address that is none"
    if read.scheme not in ("http", "https"):
        # Without them nobody knows where a password would end.
        return "an address without http:// or https://"
    return str(read.copy_with(userinfo=b"", query=None))
