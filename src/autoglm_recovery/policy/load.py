# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a policy file, and report every mistake with its line and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autoglm_recovery.knowledge.host import bounded_yaml
from autoglm_recovery.knowledge.host.redaction import redact_text
from autoglm_recovery.policy.mistakes import kind_of, of_yaml, shown, without_secrets
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.section import Misplaced

Location = tuple[str | int, ...]

LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class PolicyProblem:
    """One mistake in a policy file.  ``line`` counts from 1."""

    file: str
    line: int
    key: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}: {key}{self.message}{hint}"


class PolicyError(ValueError):
    """A policy file that must not be used, with all its mistakes."""

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load_policy(path: str | Path) -> Policy:
    """Read the policy at ``path``.

    Raises PolicyError if it cannot be read or is wrong in any way.
    """
    name = str(path)
    try:
        with open(path, "rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise PolicyError([PolicyProblem(name, 1, "", f"larger than {LARGEST_FILE} bytes: not a policy file")])
        return parse_policy(raw.decode("utf-8"), name)
    except OSError as error:
        raise PolicyError([PolicyProblem(name, 1, "", f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise PolicyError([PolicyProblem(name, 1, "", f"is not UTF-8 text: {error.reason}")]) from error


def parse_policy(text: str, name: str = "<policy>") -> Policy:
    """Read a policy from text; ``name`` stands for the file in messages.

    Raises PolicyError if it is wrong in any way.
    """
    try:
        root = yaml.compose(text, Loader=bounded_yaml.loader())
        lines, problems = _index_lines(root, name)
        data = bounded_yaml.load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise PolicyError(
            [PolicyProblem(name, line, "", f"not YAML: {of_yaml(error.problem or error.context)}")]
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyError([PolicyProblem(name, 1, "", f"not YAML: {of_yaml(error)}")]) from error
    if problems:
        raise PolicyError(problems)
    if data is None:
        return Policy()
    if not isinstance(data, dict):
        raise PolicyError([PolicyProblem(name, 1, "", "must be a mapping with keys such as monitoring and recovery")])
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        found = [_problem_from(name, lines, detail) for detail in error.errors(include_url=False)]
        raise PolicyError(sorted(found, key=lambda problem: problem.line)) from error


def _index_lines(root: yaml.Node | None, name: str) -> tuple[dict[Location, int], list[PolicyProblem]]:
    """Map every key's path, as text, to its line.

    YAML keeps the last of two equal keys in silence; here it is a mistake.
    """
    lines: dict[Location, int] = {(): 1}
    problems: list[PolicyProblem] = []

    def walk(node: yaml.Node, path: Location) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here = (*path, str(getattr(key, "value", key)))
                line = key.start_mark.line + 1
                if here in lines:
                    problems.append(
                        PolicyProblem(name, line, _dotted_path(here), f"given twice, first in line {lines[here]}")
                    )
                lines[here] = line
                walk(value, here)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                lines[(*path, str(index))] = value.start_mark.line + 1
                walk(value, (*path, str(index)))

    if root is not None:
        walk(root, ())
    return lines, problems


def _problem_from(name: str, lines: dict[Location, int], detail: ErrorDetails) -> PolicyProblem:
    location = tuple(part for part in detail["loc"] if part != "[key]")
    misplaced = detail.get("ctx", {}).get("error")
    if isinstance(misplaced, Misplaced):
        location += misplaced.location
    known: Location = tuple(map(str, location))
    while known not in lines:
        known = known[:-1]
    return PolicyProblem(name, lines[known], _dotted_path(location), _message_of(detail), _suggestion(location, detail))


def _message_of(detail: ErrorDetails) -> str:
    kind, text, value = detail["type"], detail["msg"], detail["input"]
    in_notify = detail["loc"][:1] == ("notify",)
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "value_error":
        return redact_text(text.removeprefix("Value error, "))
    if kind == "enum":
        return f"{shown(value, only_words=in_notify)} is not known"
    text = f"{text[0].lower()}{text[1:]}"
    if in_notify or kind == "missing":
        return text
    return f"{text}, not {kind_of(value) if kind.endswith('_type') else shown(value)}"


def _dotted_path(location: Location) -> str:
    return ".".join(without_secrets(str(part)) for part in location)


def _suggestion(location: Location, detail: ErrorDetails) -> str | None:
    """Suggest the nearest valid word, or all of them if none is near."""
    if detail["type"] == "extra_forbidden":
        word, words = str(location[-1]), sorted(_keys_at(location[:-1]))
    elif detail["type"] == "enum":
        word, words = str(detail["input"]), _expected_words(detail)
    else:
        return None
    near = difflib.get_close_matches(word, words, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(words)}" if words else None


def _expected_words(detail: ErrorDetails) -> list[str]:
    expected = str(detail.get("ctx", {}).get("expected", ""))
    return [word.strip(" '") for word in expected.replace(" or ", ", ").split(",") if word.strip(" '")]


def _keys_at(location: Location) -> set[str]:
    """Return the keys that the policy allows at a path, by walking the models' annotations."""
    models: list[type[BaseModel]] = [Policy]
    for part in location:
        fields = [model.model_fields[str(part)].annotation for model in models if str(part) in model.model_fields]
        # A list's index, or a key that the operator chose: the models are those of the members.
        models = [model for field in fields for model in _models_in(field)] or ([] if fields else models)
    return {field.alias or key for model in models for key, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation such as ``Model | None``, ``dict[str, Model]`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]
