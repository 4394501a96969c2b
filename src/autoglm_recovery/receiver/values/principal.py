# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who was recognised, and what somebody like that may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody was made for."""

    sender = "sender"
    viewer = "viewer"
    operator = "operator"


class Need(StrEnum):
    """What a route asks of whoever uses it."""

    nothing = "nothing"
    send = "send"
    read = "read"
    order = "order"


_MAY = {
    Role.sender: {Need.nothing, Need.send},
    Role.viewer: {Need.nothing, Need.read},
    Role.operator: {Need.nothing, Need.send, Need.read, Need.order},
}


@dataclass(frozen=True)
class Principal:
    """Somebody who was recognised.

    ``how`` is ``open``, ``bearer``, ``basic``, ``certificate`` or ``session``; ``address`` is the other end of the
    connection, whatever a header says.
    """

    name: str
    role: Role
    how: str
    address: str

    def may(self, need: Need) -> bool:
        """Tell whether the role covers the need."""
        return need in _MAY[self.role]

    def __str__(self) -> str:
        return f"{self.name} ({self.how}, {self.address})"
