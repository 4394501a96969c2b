# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what is being done and how long it has taken so far, on a terminal as well as in a log file."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SAY_EVERY = 10.0  # seconds between signs of life in a log


def say(text: str) -> None:
    """Print one line, at once even into a pipe."""
    print(text, flush=True)


@contextmanager
def step(text: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Announce a step, show that it lives while it lasts, and say how long it took.

    ``detail`` is asked now and then for what the step is just doing.
    """
    started = time.monotonic()
    over = threading.Event()
    ticker = threading.Thread(target=_tick, args=(text, detail, started, over), daemon=True)
    ticker.start()
    try:
        yield
    except BaseException:
        _finish(ticker, over)
        say(f"  {text}: stopped after {time.monotonic() - started:.1f} s")
        raise
    _finish(ticker, over)
    say(f"  {text}: {time.monotonic() - started:.1f} s")


def _finish(ticker: threading.Thread, over: threading.Event) -> None:
    over.set()
    ticker.join()


def _tick(text: str, detail: Callable[[], str], started: float, over: threading.Event) -> None:
    terminal = sys.stdout.isatty()
    while not over.wait(0.5 if terminal else SAY_EVERY):
        line = f"  {text} ... {time.monotonic() - started:.0f} s  {detail()}"
        if terminal:
            sys.stdout.write(f"\r\033[K{line[:110]}")
            sys.stdout.flush()
        else:
            say(line)
    if terminal:
        sys.stdout.write("\r\033[K")
        sys.stdout.flush()
