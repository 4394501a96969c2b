# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Surveys: which are taken, and which answers.

After ``JobTemplateSurveySpec`` in ``awx/api/views/__init__.py`` and ``SurveyJobTemplateMixin`` in
``awx/main/models/mixins.py`` of AWX 24.6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.fake_awx.lists import Refused

HIDDEN = "$encrypted$"
_DEFAULTS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("text", "textarea", "password", "multiplechoice", "multiselect"), str),
    "integer": int,
    "float": (float, int),
}
_NUMBERS: dict[str, tuple[tuple[type, ...], str]] = {
    "integer": ((int,), "an integer"),
    "float": ((float, int), "a numeric type"),
}


def questions(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a launch of the template asks."""
    return list(template["survey_spec"].get("spec", [])) if template["survey_enabled"] else []


def passwords(template: Mapping[str, Any]) -> list[str]:
    """Return the variables that AWX encrypts in a job, and shows to nobody."""
    return [question["variable"] for question in questions(template) if question["type"] == "password"]


def defaults(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults that a job gets: those that would be taken for an answer."""
    with_one = [question for question in questions(template) if question.get("default") is not None]
    found = [(question, {question["variable"]: question["default"]}) for question in with_one]
    return {name: value for question, one in found if not wrong(question, one) for name, value in one.items()}


def wrong(question: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the answer to a question."""
    name, kind = question["variable"], question["type"]
    if name not in given:
        return [f"'{name}' value missing"] if question["required"] else []
    value = given[name]
    if kind in ("multiplechoice", "multiselect"):
        return _not_offered(question, name, value)
    types, words = _NUMBERS.get(kind, ((str,), "a string"))
    # By the type itself: a boolean is no integer.
    if type(value) not in types:
        return [f"Value {value} for '{name}' expected to be {words}."]
    size, of_length = (len(value), f"length is {len(value)} ") if isinstance(value, str) else (value, "")
    least, most = (question.get(key) for key in ("min", "max"))
    found = []
    if least not in ("", None) and size < least:
        found.append(f"'{name}' value {value} is too small ({of_length}must be at least {least}).")
    if most not in ("", None) and size > most:
        found.append(f"'{name}' value {value} is too large (must be no more than {most}).")
    return found


def _not_offered(question: Mapping[str, Any], name: str, value: Any) -> list[str]:
    offered = question["choices"]
    if isinstance(offered, str):
        offered = [choice for choice in offered.splitlines() if choice.strip()]
    several = question["type"] == "multiselect"
    if several and not isinstance(value, list):
        return [f"'{name}' value is expected to be a list."]
    chosen = value if several else [value]
    return [f"Value {each} for '{name}' expected to be one of {offered}." for each in chosen if each not in offered]


def check_spec(spec: Mapping[str, Any]) -> None:
    """Raises Refused if AWX would not keep this survey."""
    for field, expected in (("name", str), ("description", str), ("spec", list)):
        if not isinstance(spec.get(field), expected):
            raise Refused(400, {"error": f"Expected {expected.__name__} for field '{field}' of the survey spec."})
    if not spec["spec"]:
        raise Refused(400, {"error": "'spec' doesn't contain any items."})
    seen: set[str] = set()
    for place, question in enumerate(spec["spec"]):
        fault = _fault(question)
        if fault is None and question["variable"] in seen:
            fault = f"'variable' '{question['variable']}' duplicated"
        if fault:
            raise Refused(400, {"error": f"{fault} in survey question {place}."})
        seen.add(question["variable"])


def _fault(question: Any) -> str | None:
    if not isinstance(question, dict):
        return "no json object"
    for field, expected in (("type", str), ("question_name", str), ("variable", str), ("required", bool)):
        if not isinstance(question.get(field), expected):
            return f"'{field}' missing or of the wrong type"
    kind, default = question["type"], question.get("default", "")
    if kind not in _DEFAULTS:
        return f"'{kind}' is not one of the allowed question types"
    if default != "" and not isinstance(default, _DEFAULTS[kind]):
        return f"Default value {default} of the wrong type"
    if any(not isinstance(question.get(key), (int, type(None))) for key in ("min", "max")):
        return "The limit is no integer"
    return _choices_fault(question, default.splitlines()) if kind in ("multiplechoice", "multiselect") else None


def _choices_fault(question: Mapping[str, Any], chosen: list[str]) -> str | None:
    if "choices" not in question:
        return "no choices"
    if question["type"] == "multiplechoice" and len(chosen) > 1:
        return "more than one default value"
    return "Default choice not among the choices" if set(chosen) - set(question["choices"].splitlines()) else None
