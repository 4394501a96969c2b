# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sections of a policy file are made of: no unknown keys, durations with units, words from a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from autoglm_recovery.knowledge.faults.classes import ACTIONS, FAILURE_CLASSES
from autoglm_recovery.policy.durations import format_duration, parse_duration
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


def known(words: Sequence[str]) -> BeforeValidator:
    """Accept only one of ``words``."""

    def check(value: object) -> object:
        if value not in words:
            raise PydanticCustomError("enum", "is not known", {"expected": ", ".join(words)})
        return value

    return BeforeValidator(check)


def choices(words: Sequence[str]) -> WithJsonSchema:
    """Name the words in the JSON Schema."""
    return WithJsonSchema({"type": "string", "enum": list(words)})


FailureClass = Annotated[str, known(FAILURE_CLASSES), choices(FAILURE_CLASSES)]
Action = Annotated[str, known(ACTIONS), choices(ACTIONS)]


def _matcher_text(value: object) -> object:
    """Accept matchers as one text or as a list of texts, and only such as can be read."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ",".join(value)
    if isinstance(value, str):
        parse_matchers(value)
    return value


Matchers = Annotated[str, BeforeValidator(_matcher_text)]


def positive(value: timedelta) -> timedelta:
    """Refuse a duration of nothing where it would mean "at once, for ever"."""
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value
