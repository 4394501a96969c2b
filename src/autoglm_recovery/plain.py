# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers' texts where a person reads them: on a terminal, in the console, in reports and in notices."""

from __future__ import annotations

# Letters to Unicode, and yet nothing that anybody sees: fillers, vowel carriers, the empty Braille cell.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def plain(text: object) -> str:
    """Return a text in which nothing can move the cursor, change a colour or fake a line: controls are spelled out.

    So are marks that turn the direction of writing and characters that nobody sees, with which one text can be made to
    look like another.
    """
    return "".join(_shown(c) for c in str(text))


def _shown(character: str) -> str:
    if character.isprintable() and character not in _UNSEEN:
        return character
    return character.encode("unicode_escape").decode()
