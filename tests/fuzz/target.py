# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One parser as it is fuzzed: what it is called with, what it may raise, and what must hold of what it returns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
FIXTURES = CHECKOUT / "tests/fixtures"
RECORDED = CHECKOUT / "tests/unit/plugins/fixtures"

# A parser that takes time or memory in proportion to its input shows it below this; one that does not, too.
LARGEST_TRIED = 96 << 10


@dataclass(frozen=True)
class Target:
    """A parser of what others wrote.

    name: also the name of its folder in the corpus.  read: bytes in, what the parser made of them out.
    specimens: real inputs, which are mutated.  refuses: the errors that the parser documents; any other one is a bug.
    holds: asserts what must be true of the result of an input.  words: what the parser looks for, put in anywhere.
    largest: bytes that its caller lets through.  growth: how many times larger than its input a result may be shown.
    longest_error: characters of a refusal.  costly: an input takes tens of milliseconds, so that the suite tries fewer.
    """

    name: str
    read: Callable[[bytes], object]
    specimens: Callable[[], Sequence[bytes]]
    refuses: tuple[type[Exception], ...] = ()
    holds: Callable[[bytes, object], None] | None = None
    words: tuple[bytes, ...] = ()
    largest: int = LARGEST_TRIED
    growth: int = 32
    longest_error: int = 6000
    costly: bool = False

    @functools.cached_property
    def seeds(self) -> tuple[bytes, ...]:
        """The specimens, none of which is longer than what a parser gets."""
        seeds = tuple(seed[: self.largest] for seed in self.specimens())
        assert seeds, f"{self.name} has no specimens"
        return seeds


@dataclass(frozen=True)
class Refused:
    """The parser said no, in the way that it documents."""

    error: Exception


def text(data: bytes) -> str:
    """Bytes as a parser of text gets them: read with errors replaced, as all our readers of files and answers do."""
    return data.decode("utf-8", "replace")


def files(folder: Path, pattern: str) -> list[bytes]:
    """The contents of the fixtures that a pattern names."""
    found = [path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()]
    assert found, f"{folder} has no {pattern}"
    return found
