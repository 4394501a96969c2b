# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of ``autoglm_services`` and ``autoglm_pools``, for editors of inventories, made of the options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoglm_recovery.declarable.described import EXAMPLES
from autoglm_recovery.declarable.mistakes import FLAGS, NUMBERS, TEMPLATE
from autoglm_recovery.declarable.options import (
    BALANCER,
    BALANCER_NEEDS,
    CHECKPOINT,
    POOL,
    SERVICE,
    SERVICE_NAMES,
    WITH_PID_FILE,
    Options,
)

_TEMPLATE = {"type": "string", "pattern": TEMPLATE.pattern}
_PLAIN: Mapping[str, list[dict[str, Any]]] = {
    "str": [{"type": ["string", "number"]}],
    "path": [{"type": "string"}],
    "int": [{"type": "integer"}, {"type": "string", "pattern": NUMBERS["int"]}],
    "float": [{"type": "number"}, {"type": "string", "pattern": NUMBERS["float"]}],
    "bool": [{"type": "boolean"}, {"enum": [*FLAGS, 0, 1]}],
}
# What playbooks take for a key that is not there.
_NOTHING: Mapping[str, Any] = {"enum": [None, "", [], {}]}
_SHARED = {id(BALANCER): "balancer", id(CHECKPOINT): "checkpoint"}


def json_schema() -> dict[str, Any]:
    """Return it, in the 2020-12 dialect: of a file of variables, which may hold others of anybody's."""
    service = {
        **_of_options(SERVICE, EXAMPLES["service"]),
        "oneOf": [{"required": [name]} for name in SERVICE_NAMES],
        "dependentRequired": {"pid_file": ["start_command"]},
        "allOf": [
            {
                "if": {"required": [name], "properties": {name: {"not": {"anyOf": [_NOTHING, _TEMPLATE]}}}},
                "then": {"required": ["pid_file"]},
            }
            for name in WITH_PID_FILE
        ],
    }
    pool = {**_of_options(POOL, EXAMPLES["pool"]), "oneOf": [{"required": ["balancer"]}, {"required": ["balancers"]}]}
    needs = [
        {"if": {"properties": {"kind": {"const": kind}}}, "then": {"required": list(needed)}}
        for kind, needed in sorted(BALANCER_NEEDS.items())
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What autoglm.recovery reads of an inventory's variables about services and pools",
        "type": "object",
        "properties": {
            "autoglm_services": {
                "description": "The inference services of a host.",
                "type": "array",
                "items": {"$ref": "#/$defs/service"},
            },
            "autoglm_pools": {
                "description": "The pools of the fleet, by their names: what is in front of each.",
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/pool"},
            },
        },
        "$defs": {
            "service": service,
            "pool": pool,
            "balancer": {**_of_options(BALANCER, EXAMPLES["balancer"]), "allOf": needs},
            "checkpoint": _of_options(CHECKPOINT, EXAMPLES["checkpoint"]),
        },
    }


def _of_options(options: Options, examples: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: {**_of_option(option), **({"examples": [examples[name]]} if name in examples else {})}
            for name, option in options.items()
        },
        "required": [name for name, option in options.items() if option.get("required")],
        "additionalProperties": False,
    }


def _of_option(option: Mapping[str, Any]) -> dict[str, Any]:
    described = {key: option[key] for key in ("description", "default") if key in option}
    # A key that names the service counts, whatever its value.
    empty = [] if option.get("required") or "shape" in option else [{"type": "null"}]
    return {**described, "anyOf": [*_values(option), _TEMPLATE, *empty]}


def _values(option: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a value may be that is no template."""
    if "choices" in option:
        return [{"enum": list(option["choices"])}]
    if "shape" in option:
        return [{"type": "string", "pattern": option["shape"].pattern}]
    if option["type"] == "dict":
        return [_held(option)]
    if option["type"] == "list":
        texts = [{"type": "string"}] if option.get("elements") != "dict" else []
        items = {"anyOf": [_held(option), _TEMPLATE]} if "options" in option else {}
        return [{"type": "array", "items": items}, *texts]
    return [{"type": "string"}] if option.get("strict") else _PLAIN[option["type"]]


def _held(option: Mapping[str, Any]) -> dict[str, Any]:
    options = option.get("options")
    if options is None:
        return {"type": "object"}
    shared = _SHARED.get(id(options))
    # The commands of a balancer of the site's own.
    return _of_options(options, EXAMPLES["commands"]) if shared is None else {"$ref": f"#/$defs/{shared}"}
