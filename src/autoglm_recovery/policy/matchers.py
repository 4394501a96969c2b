# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label matchers in Alertmanager's syntax: ``severity="page"``, ``alertname=~"Vllm.+"``, ``team!="x"``, ``a!~"b"``.

Regular expressions are Alertmanager's (RE2), and anchored on both sides.  A label that is absent counts as empty text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from autoglm_recovery.policy.expressions import Expression, compile_expression, fits

# The time of a match grows with the text, which comes from outside: a longer text is never matched.
LONGEST_MATCHED_VALUE = 4096

_MATCHER = re.compile(r"""\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|[^\s,"{}=!~]+)\s*""")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Matcher:
    """One condition on one label."""

    label: str
    operator: str
    value: str
    pattern: Expression | None = field(default=None, compare=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels of an alert meet this condition."""
        actual = labels.get(self.label, "")
        if self.pattern is None:
            equal = actual == self.value
        else:
            equal = len(actual) <= LONGEST_MATCHED_VALUE and fits(self.pattern, actual)
        return equal if self.operator in ("=", "=~") else not equal

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'


@lru_cache(maxsize=4096)
def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Read one or more comma-separated matchers, with or without braces.

    Raises ValueError, which names the part that could not be read.
    """
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1]
    matchers: list[Matcher] = []
    position = 0
    while position < len(body):
        match = _MATCHER.match(body, position)
        if not match:
            raise ValueError(
                f'cannot read {body[position:]!r} as a matcher; write for example alertname="X" or a=~"b.*"'
            )
        matchers.append(_build_matcher(*match.groups()))
        position = match.end()
        if position < len(body):
            if body[position] != ",":
                raise ValueError(f"expected a comma before {body[position:]!r}")
            position += 1
    if not matchers:
        raise ValueError("no matcher given; an empty one would match every alert")
    return tuple(matchers)


def _build_matcher(label: str, operator: str, raw: str) -> Matcher:
    value = (
        _ESCAPE.sub(lambda m: {"n": "\n"}.get(m[1], m[1] if m[1] in '"\\' else m[0]), raw[1:-1])
        if raw[0] == '"'
        else raw
    )
    return compile_matcher(label, operator, value, raw)


def compile_matcher(label: str, operator: str, value: str, written: str | None = None) -> Matcher:
    """Build a matcher from its parts; ``written`` is the value as it is written in the file.

    Raises ValueError if the value is not a regular expression where one is needed.
    """
    if operator not in ("=~", "!~"):
        return Matcher(label, operator, value)
    try:
        return Matcher(label, operator, value, compile_expression(value))
    except ValueError as error:
        raise ValueError(f"{label}{operator}{written or value}: not a regular expression: {error}") from error
