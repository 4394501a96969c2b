# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regular expressions as Alertmanager and Prometheus read them: RE2's syntax, anchored on both sides.

The expression may come from outside (silences of Alertmanager), and so may the text (labels of alerts).  RE2's time is
proportional to both; Python's own engine backtracks, and an expression can make it need hours for forty letters.
"""

from __future__ import annotations

from typing import Protocol

import re2

LONGEST = 16 << 10
# The memory of a compiled expression: enough for thousands of names; the worst expression that fits takes a quarter of
# a second for 4096 characters.
_MOST_BYTES = 256 << 10


class Expression(Protocol):
    """A compiled expression."""

    def fullmatch(self, text: bytes) -> object | None:
        """Return something that is not None if the whole of a text matches."""


def compile_expression(text: str) -> Expression:
    """Compile an expression of an operator, or from outside.

    Raises ValueError, which says why the expression is invalid, or that it is too large.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters, and may have {LONGEST}")
    options = re2.Options()
    options.max_mem, options.never_capture, options.log_errors = _MOST_BYTES, True, False
    try:
        compiled: Expression = re2.compile(text.encode(), options)
    except re2.error as error:
        why = error.args[0]
        raise ValueError((why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why))[:200]) from error
    return compiled


def fits(expression: Expression, text: str) -> bool:
    """Tell whether the whole of a text matches.  A lone surrogate counts as a question mark."""
    return expression.fullmatch(text.encode("utf-8", "replace")) is not None
