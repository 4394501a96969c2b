# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all sections of a policy file: no unknown keys, durations with units, words from a list.

A section may name the policy's own actions and failure classes as well as the built-in ones.  ``declaring`` takes their
names from the raw file before any section is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from autoglm_recovery.durations import format_duration, parse_duration
from autoglm_recovery.knowledge.faults.classes import ACTIONS, FAILURE_CLASSES
from autoglm_recovery.policy.matchers import parse_matchers


class Section(BaseModel):
    """A mapping of the policy file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$", "examples": ["2s", "500ms", "1m30s"]}
    ),
]


# The names of own actions and classes; the database stores an action in 64 characters and a class in 32.
NAME = re.compile(r"[a-z][a-z\d_]*", re.ASCII)
LONGEST_ACTION, LONGEST_CLASS = 64, 32

_declared: ContextVar[Mapping[str, tuple[str, ...]]] = ContextVar("declared", default={})  # noqa: B039 - never written


@contextmanager
def declaring(data: object) -> Iterator[None]:
    """Make the names under ``actions`` and ``classes`` of a raw policy valid while its sections are read."""
    sections = {key: data.get(key) if isinstance(data, Mapping) else None for key in ("actions", "classes")}
    names = {
        key: tuple(name for name in section if isinstance(name, str)) if isinstance(section, Mapping) else ()
        for key, section in sections.items()
    }
    token = _declared.set(names)
    try:
        yield
    finally:
        _declared.reset(token)


def declared(section: str) -> tuple[str, ...]:
    """Return the names in ``actions`` or ``classes`` of the policy that is being read."""
    return _declared.get().get(section, ())


def known(words: Sequence[str], own: str | None = None) -> BeforeValidator:
    """Accept only one of ``words``, or one that the policy declares in the section ``own``."""

    def check(value: object) -> object:
        every = (*words, *(declared(own) if own else ()))
        if value not in every:
            raise PydanticCustomError("enum", "is not known", {"expected": ", ".join(every)})
        return value

    return BeforeValidator(check)


def choices(words: Sequence[str], *, or_own: bool = False) -> WithJsonSchema:
    """List the words in the JSON Schema."""
    listed: dict[str, Any] = {"type": "string", "enum": list(words)}
    # An editor offers these words, but cannot know the names that the file declares.
    return WithJsonSchema({"anyOf": [listed, {"type": "string", "pattern": f"^{NAME.pattern}$"}]} if or_own else listed)


class Misplaced(ValueError):
    """A mistake between two sections, with the key at which it is reported."""

    def __init__(self, location: Sequence[str | int], what: str) -> None:
        super().__init__(what)
        self.location = tuple(location)


FailureClass = Annotated[str, known(FAILURE_CLASSES, "classes"), choices(FAILURE_CLASSES, or_own=True)]
Action = Annotated[str, known(ACTIONS, "actions"), choices(ACTIONS, or_own=True)]


def _matcher_text(value: object) -> object:
    """Accept valid matchers, as one text or as a list of texts."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ",".join(value)
    if isinstance(value, str):
        parse_matchers(value)
    return value


Matchers = Annotated[str, BeforeValidator(_matcher_text)]


def positive(value: timedelta) -> timedelta:
    """Refuse a duration of zero where it would mean "at once, for ever"."""
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value
