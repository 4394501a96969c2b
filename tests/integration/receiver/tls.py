# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver that serves TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from .running import Receiver


@dataclass
class TlsReceiver(Receiver):
    """A receiver that serves TLS."""

    authority: Path | None = None
    client: httpx.Client = field(default_factory=httpx.Client)

    def __post_init__(self) -> None:
        super().__post_init__()
        context = ssl.create_default_context(cafile=self.authority)
        headers = {"Authorization": f"Bearer {self.tokens[0]}"}
        self.client = httpx.Client(timeout=30, trust_env=False, verify=context, headers=headers)

    @property
    def url(self) -> str:
        """Return its address, as its certificate has it."""
        return f"https://localhost:{self.port}"
