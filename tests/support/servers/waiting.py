# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a condition, as long as a busy machine may need, and saying what was waited for in vain."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx

T = TypeVar("T")

PATIENCE_S = 300.0


def until(what: str, ask: Callable[[], T | None], seconds: float = PATIENCE_S, every: float = 0.02) -> T:
    """Ask again and again, and return the first answer that is true.

    A server that hangs up has not answered yet: it closes kept connections after some idle seconds, which pass between
    two looks where a machine is busy.
    """
    deadline = time.monotonic() + seconds
    while True:
        cut_off: httpx.TransportError | None = None
        try:
            answer = ask()
        except httpx.TransportError as error:
            answer, cut_off = None, error
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}") from cut_off
        time.sleep(every)
