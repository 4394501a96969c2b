# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers' texts where a person reads them: on a terminal, in the console, in a task's result, in notices."""

from __future__ import annotations

# Letters to Unicode, and yet nothing that anybody sees: fillers, vowel carriers, the empty Braille cell.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def plain(text: object) -> str:
    """A text in which nothing can move the cursor, change a colour or fake a line: controls are spelled out.

    So are marks that turn the direction of writing and characters that nobody sees, with which one text can be made to
    look like another.
    """
    words = str(text)
    if words.isascii() and words.isprintable():
        return words
    return "".join(_seen(character) for character in words)


def one_line(text: object, longest: int | None = None) -> str:
    """A text as one plain line: white space is one blank, and what is too long ends in C(...)."""
    # Cut before it is spelled out: a stranger's text may be as long as it likes.
    line = plain(" ".join(str(text).split())[: None if longest is None else longest + 1])
    return line if longest is None else _cut(line, longest)


def quoted(value: object, longest: int = 120) -> str:
    """A value as Python writes it, which is one line, for a message that it is not what it should be."""
    return _cut(plain(repr(value[: longest + 1] if isinstance(value, str) else value)), longest)


def _cut(line: str, longest: int) -> str:
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _seen(character: str) -> str:
    if character.isprintable() and character not in _UNSEEN:
        return character
    return character.encode("unicode_escape").decode()
