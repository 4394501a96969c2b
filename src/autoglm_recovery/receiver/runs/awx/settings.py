# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the AWX launcher must be told."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Template:
    """A job template, or a workflow job template, by its name.  Names are unique within an organisation."""

    name: str
    organization: str | None = None
    workflow: bool = False


@dataclass(frozen=True)
class AwxSettings:
    """Where AWX is and how to speak to it.  All times are seconds.

    ``installation`` tells the runs of one receiver database from those of another one that uses the same AWX: two
    receivers with databases of their own must have different names.  ``token_file`` is read for every request, so that
    the token may rotate; ``template`` says which template carries out an action.

    ``settle_s``: for so long after a launch whose answer was lost the job may still appear.  AWX's own web server ends
    a request after 120 s.  ``queue_s``: a job that has waited so long for capacity is cancelled.  ``give_up_s``: a run
    that could not be launched for so long, because AWX does not answer, is given up.
    """

    url: str
    token_file: Path
    template: Callable[[str], Template]
    ca_file: Path | None = None
    api_path: str = "/api/v2"
    installation: str = "autoglm"
    call_timeout_s: float = 4.0
    look_timeout_s: float = 6.0
    poll_every_s: float = 2.0
    settle_s: float = 150.0
    queue_s: float = 900.0
    give_up_s: float = 900.0

    def __post_init__(self) -> None:
        """Raises ValueError if the address is none, or would send the token unencrypted over a network."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{self.url!r} is no address of an AWX; it looks like https://awx.example.com")
        if parts.username or parts.password:
            raise ValueError("the address of AWX must not hold a password; its token is in token_file")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError(f"{self.url} would send the token unencrypted; use https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
