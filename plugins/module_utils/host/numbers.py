# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers in texts from outside.

C(str.isdigit) is also true for superscripts, which C(int) refuses, and for digits of other scripts, which no program
read here writes; and C(int) refuses thousands of digits, or needs a time that grows with their square.
"""

from __future__ import annotations

from typing import Any

# The digits of the largest number of 64 bits.
_MOST_DIGITS = 20


def whole_number(text: Any) -> int | None:
    """The number in a text of ASCII digits, of at most about 64 bits; None for anything else."""
    if isinstance(text, str) and len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit():
        return int(text)
    return None
