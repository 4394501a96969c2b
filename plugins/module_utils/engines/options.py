# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an engine beside its address. An unknown option is an error, never silently ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .transport import check_url

_PATH = re.compile(r"/[!-~]*\Z")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")


@dataclass(frozen=True)
class Option:
    """One option. C(kind): C(text), C(path) (of a URL), C(url), C(metric) (its name), C(flag) or C(choice)."""

    kind: str
    meaning: str
    default: str | None = None
    choices: tuple[str, ...] = ()


def read_options(engine: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, str | None]:
    """Every known option with its value, the default where it was not given. Raises ValueError."""
    for name in given:
        if name not in known:
            instead = f"known are {', '.join(sorted(known))}" if known else "it has none"
            raise ValueError(f"engine {engine} has no option {name!r}; {instead}")
    return {name: _read_option(engine, name, option, given.get(name)) for name, option in known.items()}


def _read_option(engine: str, name: str, option: Option, value: Any) -> str | None:
    if value is None:
        return option.default
    if option.kind == "flag":
        value = str(value).lower()
    complaint = _complaint(option, value)
    if complaint:
        raise ValueError(f"option {name} of engine {engine} {complaint}, not {value!r}")
    return check_url(value) if option.kind == "url" else str(value)


def _complaint(option: Option, value: Any) -> str:
    """What is wrong with a value, or an empty text."""
    if not isinstance(value, str) or not value or not value.isprintable():
        return "must be a text"
    choices = ("true", "false") if option.kind == "flag" else option.choices
    if option.kind in ("choice", "flag") and value not in choices:
        return f"must be one of {', '.join(choices)}"
    if option.kind == "path" and (not _PATH.match(value) or "#" in value):
        return "must be a path that begins with a slash and holds no blanks"
    if option.kind == "metric" and not _METRIC.match(value):
        return "must be the name of a metric"
    return ""
