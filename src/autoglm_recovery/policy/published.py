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
from autoglm_recovery.policy.model import Policy


class _WrittenAsInPolicy(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """Write durations as 1m30s; pydantic would write PT1M30S, which a policy file does not accept."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the schema in the 2020-12 dialect."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    schema = {"$schema": dialect, **Policy.model_json_schema(schema_generator=_WrittenAsInPolicy)}
    for section, properties in properties_of(schema).items():
        for key, described in properties.items():
            described["description"] = DESCRIPTIONS[section][key]
            if key in EXAMPLES.get(section, ()):
                described["examples"] = [EXAMPLES[section][key]]
    return schema


def properties_of(schema: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the properties of each section of the schema, by the section's name."""
    sections = {"Policy": schema, **schema["$defs"]}
    return {name: section["properties"] for name, section in sections.items() if "properties" in section}
