# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may speak to the receiver."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from pathlib import Path

SHORTEST_TOKEN = 16


class AuthError(ValueError):
    """A configuration under which anybody could order a restart, or a token file that cannot be used."""


def read_tokens(path: Path) -> tuple[str, ...]:
    """Read a token file: one token a line, so that a new one can be added before the old one goes.

    :raises AuthError: if the file cannot be read, or a token is short enough to be guessed.
    """
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise AuthError(f"token file {path} cannot be read: {error}") from error
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise AuthError(f"token file {path} holds no token")
    if any(len(token) < SHORTEST_TOKEN for token in tokens):
        raise AuthError(
            f"token file {path}: a token needs {SHORTEST_TOKEN} characters or more; try: openssl rand -hex 32"
        )
    return tokens


def check_open(host: str, tokens: Sequence[str]) -> None:
    """Refuse to listen beyond this machine without a token.

    :raises AuthError: says what to do.
    """
    if tokens or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise AuthError(f"listening on {host} without a token would let anybody order a restart; give --token-file")


def allowed(header: str | None, tokens: Sequence[str]) -> bool:
    """Tell whether an Authorization header carries one of the tokens, in time that does not tell how near it was."""
    if not tokens:
        return True
    scheme, _, given = (header or "").partition(" ")
    offered = given.strip().encode("utf-8", "surrogateescape")
    # Every token is compared, whichever matches.
    matches = [hmac.compare_digest(offered, token.encode()) for token in tokens]
    return scheme.lower() == "bearer" and any(matches)
