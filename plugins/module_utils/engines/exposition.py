# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A parser of the Prometheus text exposition: a line that does not parse is left out and counted, never guessed.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|(?=\}))')
_END = re.compile(r"\s*\}")
_ESCAPE = re.compile(r"\\(.)")
_SPECIAL = {"+inf": math.inf, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")


@dataclass(frozen=True)
class Sample:
    """One line. C(value) may be NaN or infinite, as the format allows."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Exposition:
    """All samples in order. C(rubbish) counts the lines that are neither sample, comment nor blank."""

    samples: tuple[Sample, ...]
    rubbish: int

    def values(self, name: str, **labels: str) -> list[float]:
        """Every finite value of a metric, over all its label sets, or over those that have these labels."""
        return [value for value in self._values_with(name, labels) if math.isfinite(value)]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum over all these label sets, or None when there is none or any of the values is not finite.

        A sum that leaves out the one NaN among several engines would look like a smaller queue than there is.
        """
        values = self._values_with(name, labels)
        if not values or not all(math.isfinite(value) for value in values):
            return None
        return math.fsum(values)

    def maximum(self, name: str) -> float | None:
        """The largest value over all label sets, under the same condition as total()."""
        return None if self.total(name) is None else max(self.values(name))

    def _values_with(self, name: str, labels: Mapping[str, str]) -> list[float]:
        return [s.value for s in self.samples if s.name == name and labels.items() <= dict(s.labels).items()]


def parse(text: str) -> Exposition:
    """Read an exposition. Never raises: a line that is not understood is counted in C(rubbish)."""
    samples, rubbish = [], 0
    for line in _payload_lines(text):
        sample = parse_line(line)
        if sample is None:
            rubbish += 1
        else:
            samples.append(sample)
    return Exposition(tuple(samples), rubbish)


def parse_line(line: str) -> Sample | None:
    """One sample line, or None. An optional timestamp after the value is checked and dropped."""
    name = _NAME.match(line)
    if name is None:
        return None
    labels, rest = _labels(line, name.end())
    if labels is None:
        return None
    fields = rest.split()
    if not 1 <= len(fields) <= 2:
        return None
    value = _parse_number(fields[0])
    if value is None or (len(fields) == 2 and _parse_number(fields[1]) is None):
        return None
    return Sample(name.group(), labels, value)


def _payload_lines(text: str) -> Iterable[str]:
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def _labels(line: str, at: int) -> tuple[dict[str, str] | None, str]:
    rest = line[at:].lstrip()
    if not rest.startswith("{"):
        return ({}, rest) if at < len(line) and line[at] in " \t" else (None, "")
    labels: dict[str, str] = {}
    position = 1
    while True:
        end = _END.match(rest, position)
        if end is not None:
            return labels, rest[end.end() :]
        match = _LABEL.match(rest, position)
        if match is None:
            return None, ""
        labels[match.group(1)] = _ESCAPE.sub(lambda m: "\n" if m.group(1) == "n" else m.group(1), match.group(2))
        position = match.end()


def _parse_number(word: str) -> float | None:
    special = _SPECIAL.get(word.lower())
    if special is not None:
        return special
    # float() would also take "1_000" and "infinity", which no scraper accepts.
    return float(word) if _NUMBER.match(word) else None
