# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of the policy file, for editors, with defaults as they would be written in the file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy.described import DESCRIPTIONS, EXAMPLES
from autoglm_recovery.policy.model import Autonomy, Policy


class _WrittenAsInPolicy(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write durations as 1m30s; pydantic would write PT1M30S, which a policy file does not accept."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the schema in the 2020-12 dialect."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    schema = {"$schema": dialect, **Policy.model_json_schema(schema_generator=_WrittenAsInPolicy)}
    _take_plain_words(schema["$defs"]["Recovery"]["properties"])
    for section, properties in properties_of(schema).items():
        for key, described in properties.items():
            described["description"] = DESCRIPTIONS[section][key]
            if key in EXAMPLES.get(section, ()):
                described["examples"] = [EXAMPLES[section][key]]
    return schema


def _take_plain_words(recovery: dict[str, dict[str, Any]]) -> None:
    """Take ``autonomy: ask`` and ``flapping: false`` as the reader does, which a model's own schema does not know."""
    autonomy, flapping = recovery["autonomy"], recovery["flapping"]
    autonomy["anyOf"] = [{"$ref": autonomy.pop("$ref")}, {"enum": [each.value for each in Autonomy]}]
    flapping["anyOf"] = [*flapping["anyOf"], {"const": False}]


def properties_of(schema: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the properties of each section of the schema, by the section's name."""
    sections = {"Policy": schema, **schema["$defs"]}
    return {name: section["properties"] for name, section in sections.items() if "properties" in section}
