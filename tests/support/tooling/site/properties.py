# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The references of the policy and of the inventory's variables, made of their JSON Schemas.

Examples are what the pages of docs/ show: tests read those with the program itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from autoglm_recovery.declarable.published import json_schema as inventory_schema
from autoglm_recovery.policy.published import json_schema as policy_schema
from tests.support.tooling.site.commands import text
from tests.support.tooling.site.pages import DOCS

Schema = Mapping[str, Any]

# What stands for a name of the reader's own in a path.
_PLACEHOLDERS = {"strategies": "CLASS", "xid": "CODE", "sxid": "CODE", "kind": "KIND"}
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DURATION = "(\\d+ms)?$"
# Every value of an inventory may be one: the page says so once.
_TEMPLATE = r"\{[{%]"
_FORMATS = {"path": "path", "date-time": "date and time", "password": "text, kept secret"}
_TYPES = {"string": "text", "boolean": "true or false", "object": "mapping", "null": "nothing"}
_NUMBERS = {"integer": "whole number", "number": "number"}

POLICY = """# Every key of the policy

Made of the JSON Schema that `autoglm schema` prints. What the keys are for, and how they go together, is in
[The policy file](../policy.md). Unknown keys are errors.
"""
INVENTORY = """# Every key of services and pools

Made of the JSON Schema that `autoglm schema inventory` prints. What the keys are for, and how they go together, is in
[Services](../services.md) and [Balancers](../balancers.md). Every value may be a Jinja template. Unknown keys are
errors.
"""


@dataclass(frozen=True)
class Property:
    """One key: where it stands, what its schema says, and whether it has to be there."""

    path: str
    schema: Schema
    required: bool


@dataclass(frozen=True)
class Reference:
    """A schema, with what the pages show of it."""

    schema: Schema
    shown: Mapping[str, Any]

    def resolved(self, schema: Schema) -> Schema:
        """Return what a reference refers to, with what is said beside it."""
        if "$ref" not in schema:
            return schema
        return {**self.schema["$defs"][schema["$ref"].rpartition("/")[2]], **schema}

    def choices(self, schema: Schema) -> list[Schema]:
        """Return what a value may be; templates are not named."""
        schema = self.resolved(schema)
        return [
            found
            for each in schema.get("anyOf", [schema])
            if (found := self.resolved(each)).get("pattern") != _TEMPLATE
        ]

    def held(self, found: Property) -> Iterator[tuple[str, Schema]]:
        """Return the kinds of mapping that a value may hold, with the path of each."""
        for choice in self.choices(found.schema):
            if "properties" in choice:
                yield found.path, choice
            for container, suffix in (("items", "[]"), ("additionalProperties", f".{_placeholder(found.path)}")):
                inner = choice.get(container)
                if isinstance(inner, dict):
                    yield from self.held(Property(found.path + suffix, inner, required=False))

    def properties(self, path: str, schema: Schema) -> list[Property]:
        """Return the keys of a mapping."""
        return [
            Property(f"{path}.{name}".lstrip("."), each, name in schema.get("required", ()))
            for name, each in schema["properties"].items()
        ]

    def all(self, path: str = "", schema: Schema | None = None) -> Iterator[Property]:
        """Return every key there is."""
        for each in self.properties(path, schema or self.schema):
            yield each
            for below, inner in self.held(each):
                yield from self.all(below, inner)

    def example(self, found: Property) -> Any:
        """Return a value that the key may have: of a page, else of the schema."""
        if found.path in self.shown:
            return self.shown[found.path]
        if examples := found.schema.get("examples", ()):
            return examples[0]
        for choice in (self.resolved(found.schema), *self.choices(found.schema)):
            if values := [each for each in choice.get("enum", ()) if each != found.schema.get("default")]:
                return values[0]
            if choice.get("type") == "boolean":
                return not found.schema.get("default", False)
            if choice.get("type") == "array" and (values := choice.get("items", {}).get("enum")):
                return values[:1]
        return found.schema.get("default")


def _placeholder(path: str) -> str:
    return _PLACEHOLDERS.get(path.rpartition(".")[2], "NAME")


# --- what the pages show ---------------------------------------------------------------------------------------------


def policy() -> Reference:
    roots = policy_schema()["properties"].keys()
    blocks = [block for block in _blocks() if isinstance(block, dict) and block.keys() <= roots]
    return _reference(policy_schema(), blocks)


def inventory() -> Reference:
    roots = inventory_schema()["properties"].keys()
    return _reference(inventory_schema(), [found for block in _blocks() for found in _holding(block, roots)])


def _reference(schema: Schema, blocks: list[Any]) -> Reference:
    empty = Reference(schema, {})
    shown: dict[str, Any] = {}
    for block in blocks:
        for path, value in _values(empty, "", schema, block):
            shown.setdefault(path, value)
    return Reference(schema, shown)


def _blocks() -> Iterator[Any]:
    for page in sorted(DOCS.rglob("*.md")):
        for block in _BLOCK.findall(page.read_text("utf-8")):
            try:
                yield from yaml.safe_load_all(block)
            except yaml.YAMLError:  # tags of Ansible's, or text between brackets
                continue


def _holding(block: Any, roots: Any) -> Iterator[Any]:
    """Return what of an inventory or a play holds one of the variables, at any depth."""
    if isinstance(block, list):
        for each in block:
            yield from _holding(each, roots)
    elif isinstance(block, dict):
        if found := {key: value for key, value in block.items() if key in roots}:
            yield found
        for each in block.values():
            yield from _holding(each, roots)


def _values(reference: Reference, path: str, schema: Schema, value: Any) -> Iterator[tuple[str, Any]]:
    """Return what a document has under each path of the schema."""
    if not isinstance(value, dict):
        return
    for each in reference.properties(path, schema):
        key = each.path.rpartition(".")[2]
        if key not in value:
            continue
        yield each.path, value[key]
        for below, inner in reference.held(each):
            for found in _below(value[key], below.removeprefix(each.path)):
                yield from _values(reference, below, inner, found)


def _below(value: Any, suffix: str) -> list[Any]:
    """Return the entries that a list or a mapping of names holds."""
    if not suffix:
        return [value]
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else []


# --- as pages --------------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Return the pages by their names."""
    return {
        "reference/policy": POLICY + "\n" + "\n".join(_section(policy(), "", policy().schema, 1)),
        "reference/inventory": INVENTORY + "\n" + "\n".join(_section(inventory(), "", inventory().schema, 1)),
    }


def _section(reference: Reference, path: str, schema: Schema, depth: int) -> Iterator[str]:
    found = reference.properties(path, schema)
    for each in found:
        if depth > 1 or not any(reference.held(each)):
            yield entry(reference, each)
    for each in found:
        for below, inner in reference.held(each):
            yield f"\n{'#' * min(depth + 1, 3)} `{below}`\n"
            if said := each.schema.get("description", "") if below == each.path else inner.get("description", ""):
                yield _prose(said) + "\n"
            yield from _section(reference, below, inner, depth + 1)


def entry(reference: Reference, found: Property) -> str:
    """Return a key as an entry of a list: what it is for, its type, its default, and an example."""
    facts = [_type(reference, found.schema), "**required**" if found.required else _default(found.schema)]
    if not any(reference.held(found)) and (example := reference.example(found)) is not None:
        facts.append(f"example: {inline({found.path.rpartition('.')[2]: example})}")
    said = _prose(reference.resolved(found.schema).get("description", ""))
    return f"`{found.path}`\n: {said}\n\n  {'; '.join(facts)}\n"


def _prose(said: str) -> str:
    """Return a description, in which two backticks mark what is typed, as Markdown."""
    parts = re.split(r"``(.+?)``", " ".join(said.split()))
    return "".join(f"`{part}`" if number % 2 else text(part) for number, part in enumerate(parts))


def _default(schema: Schema) -> str:
    value = schema.get("default")
    return "by default nothing" if value in (None, [], {}) else f"default {inline(value)}"


def inline(value: Any) -> str:
    said = yaml.safe_dump(value, default_flow_style=not isinstance(value, dict), sort_keys=False, width=10_000).strip()
    said = said.removesuffix("\n...")
    if "\n" in said:
        said = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip()[1:-1]
    fence = "``" if "`" in said else "`"
    return f"{fence}{said}{fence}"


def _type(reference: Reference, schema: Schema) -> str:
    named = (_plain_type(reference, each) for each in reference.choices(schema) if each.get("type") != "null")
    return ", or ".join(dict.fromkeys(named))


def _plain_type(reference: Reference, schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{each}`" for each in schema["enum"])
    kind = schema.get("type", "object")
    if kind == "array":
        inner = schema.get("items")
        return f"list of {_type(reference, inner)}" if inner else "list"
    if isinstance(kind, list):
        return "text"
    if kind in _NUMBERS:
        return _NUMBERS[kind] + _bounds(schema)
    return _text_type(schema, kind)


def _text_type(schema: Schema, kind: str) -> str:
    if str(schema.get("pattern", "")).endswith(_DURATION):
        return "duration"
    if "pattern" in schema:
        return f"text as `{schema['pattern']}`"
    return _FORMATS.get(schema.get("format", ""), _TYPES[kind])


def _bounds(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return ""
    return f" from {least:g}" + (f" to {most:g}" if most is not None else " on")
