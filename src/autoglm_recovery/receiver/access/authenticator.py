# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a request carries to who sent it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_recovery.receiver.access.principal import Principal, Role
from autoglm_recovery.receiver.access.tokens import allowed


@dataclass(frozen=True)
class Credentials:
    """What a request carries that may say who sent it."""

    address: str
    authorization: str | None = None


class Unrecognised(Exception):
    """Nobody known sent this."""

    status = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012 - never written to


class Authenticator:
    """Knows the credentials in force."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens

    def recognise(self, credentials: Credentials) -> Principal:
        """Return who sent a request.

        :raises Unrecognised: if it carries nothing that is known.
        """
        if not self._tokens:
            return Principal("anybody on this machine", Role.operator, "open", credentials.address)
        if not allowed(credentials.authorization, self._tokens):
            raise Unrecognised("a bearer token is required")
        return Principal("token", Role.operator, "bearer", credentials.address)
