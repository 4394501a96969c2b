# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make fuzz`: the same search as in the suite, another one each time, for as long as you like.

python -m tests.fuzz [--seconds N] [--list] [TARGET ...]      without a TARGET: all of them, in turn

What it finds is written to tests/fuzz/corpus/TARGET, where the suite replays it; exit code 1 then.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import traceback
from collections.abc import Callable

from tests.fuzz.hunting import CORPUS, Found, hunt, hunt_growth, keep, sweep
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Target

# So many inputs of one target before it is the next one's turn.
_EXAMPLES, _GROWN, _SWEPT = 400, 6, 4000
_LONGEST_TOLD = 12


def main() -> int:
    """Search until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Searches for inputs that break parsers.")
    parser.add_argument("target", nargs="*", help="names of targets; all of them if left out")
    parser.add_argument("--seconds", type=float, default=3600, help="how long (default: an hour)")
    parser.add_argument("--list", action="store_true", help="print the names of all targets")
    given = parser.parse_args()
    if unknown := set(given.target) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; try --list")
    if given.list:
        print("\n".join(TARGETS))
        return 0
    broken = _search([TARGETS[name] for name in given.target] or list(TARGETS.values()), given.seconds)
    print(f"{len(broken)} targets broke{': ' if broken else ''}{', '.join(broken)}")
    return 1 if broken else 0


def _search(targets: list[Target], seconds: float) -> list[str]:
    until, broken, rounds = time.monotonic() + seconds, list[str](), 0
    while time.monotonic() < until:
        rounds += 1
        for target in [each for each in targets if each.name not in broken]:
            if time.monotonic() > until:
                break
            # Printed, so that whoever interrupts a search can repeat it: hunt(target, examples, seed).
            seed = secrets.randbelow(1 << 32)
            print(f"round {rounds}, {target.name}, seed {seed}", flush=True)
            searches = ((sweep, _SWEPT), (hunt, _EXAMPLES), (hunt_growth, _GROWN))
            if not all(_holds(target, search, count, seed) for search, count in searches):
                broken.append(target.name)
        if len(broken) == len(targets):
            break
    return broken


def _holds(target: Target, search: Callable[[Target, int, int | None], None], examples: int, seed: int) -> bool:
    try:
        search(target, examples, seed)
    except Found as found:
        path = keep(target, found.data)
        told = traceback.format_exception(found.__cause__)[-_LONGEST_TOLD:]
        print(f"BROKEN {found}\n{''.join(told)}kept as {path.relative_to(CORPUS.parents[2])}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
