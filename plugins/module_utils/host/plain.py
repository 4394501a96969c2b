# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts from outside, made safe for people to read: on a terminal, in the console, in results and notices."""

from __future__ import annotations

# Letters by Unicode that are nevertheless invisible: fillers, vowel carriers, the empty Braille cell.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def plain(text: object) -> str:
    """A text with control characters as escapes, so that it cannot move the cursor, change colours or fake a line.

    Marks that change the direction of writing and invisible characters are escaped too, since they can make one text
    look like another.
    """
    words = str(text)
    if words.isascii() and words.isprintable():
        return words
    return "".join(_visible(character) for character in words)


def one_line(text: object, longest: int | None = None) -> str:
    """A text as one plain line: white space becomes one blank, and a text that is too long ends in C(...)."""
    # Cut before escaping: a text from outside may have any length.
    line = plain(" ".join(str(text).split())[: None if longest is None else longest + 1])
    return line if longest is None else _shorten(line, longest)


def quoted(value: object, longest: int = 120) -> str:
    """A value as a Python literal on one line, for a message that it is invalid."""
    return _shorten(plain(repr(value[: longest + 1] if isinstance(value, str) else value)), longest)


def _shorten(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _visible(character: str) -> str:
    if character.isprintable() and character not in _UNSEEN:
        return character
    return character.encode("unicode_escape").decode()
