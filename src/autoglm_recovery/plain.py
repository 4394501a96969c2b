# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers' texts where a person reads them: on a terminal and in the console."""

from __future__ import annotations


def plain(text: object) -> str:
    """Return a text in which nothing can move the cursor, change a colour or fake a line: controls are spelled out.

    So are marks that turn the direction of writing, with which one text can be made to look like another.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
