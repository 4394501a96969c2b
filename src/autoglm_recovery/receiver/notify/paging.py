# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages that are no incident's: whom they go to, and sending them without a database, each within a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoglm_recovery.policy.notify import Route
from autoglm_recovery.receiver.notify.calls import call_each
from autoglm_recovery.receiver.notify.letters import Letter
from autoglm_recovery.receiver.notify.notifier import LONGEST_SEND_S, send
from autoglm_recovery.receiver.notify.recipients import of_route, scheme

OCCASION = "receiver"


@dataclass(frozen=True)
class PageResult:
    """What became of one letter: ``wrong`` is None where it was taken.  ``url`` may hold secrets, and is for no
    eyes."""

    url: str
    wrong: str | None


def addresses(routes: Sequence[Route]) -> tuple[list[str], list[str]]:
    """Return who is told about the receiver itself, each once, and what of the routes could not be read.

    A page about the receiver is about all that it looks after: it goes to the routes that take everything, and only
    where there is none, to those for some classes, pools or severities.
    """
    wanted = [(number, route) for number, route in enumerate(routes, 1) if OCCASION in route.occasions]
    general = [each for each in wanted if not (each[1].classes or each[1].pools or each[1].severities)]
    errors: list[str] = []
    found: dict[str, None] = {}
    for number, route in general or wanted:
        found.update(dict.fromkeys(of_route(number, route, errors)))
    return list(found), errors


def send_each(letters: Mapping[str, Letter], within_s: float = LONGEST_SEND_S) -> list[PageResult]:
    """Send a letter to each address, all at once; an address that hangs holds up no other one, nor the process' end."""
    answers = call_each(send, letters, within_s)
    slow = f"no answer in {within_s:.0f} s"
    return [PageResult(url, answers[url] if url in answers else f"{scheme(url)}: {slow}") for url in letters]
