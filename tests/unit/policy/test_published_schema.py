# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an editor is told about the policy file agrees with what the receiver takes, and with what people are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.policy.described import DESCRIPTIONS
from autoglm_recovery.policy.published import json_schema, properties_of

CHECKOUT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def shown() -> Iterator[pytest.param]:
    """Return the policies in the documentation."""
    for page in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))):
        for block in re.finditer(r"^```yaml[^\n]*\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            document = yaml.safe_load(block[1])
            if isinstance(document, dict) and document.keys() <= Policy.model_fields.keys():
                yield pytest.param(
                    block[1], id=f"{page.name}:{page.read_text('utf-8')[: block.start()].count(chr(10))}"
                )


def as_an_editor_sees_it(text: str):
    """Return the document with times as the texts that they are."""
    return json.loads(json.dumps(yaml.safe_load(text), default=lambda moment: moment.isoformat()))


def test_every_key_is_described_for_whoever_writes_it_and_nothing_else_is():
    sections = properties_of(json_schema())
    assert {name: set(keys) for name, keys in sections.items()} == {
        name: set(keys) for name, keys in DESCRIPTIONS.items()
    }
    told = [described["description"] for keys in sections.values() for described in keys.values()]
    assert [each for each in told if not re.fullmatch(r"\S.{8,118}\S", each) or not each.endswith(".")] == []


def test_it_is_a_schema():
    VALIDATOR.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize(
    "text", [*shown(), pytest.param((CHECKOUT / "tests/lab/auto-recovery.yaml").read_text("utf-8"), id="lab")]
)
def test_policies_that_people_are_shown_are_right_by_both(text):
    parse_policy(text)
    assert [error.message for error in VALIDATOR.iter_errors(as_an_editor_sees_it(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "launchers: {local: {execution_environment: {imag: x}}}",
        "recovery: {autonomy: {default: maybe}}",
        "recovery: {strategies: {oom: {delay: 5 minutes}}}",
        "guardrail: {}",
    ],
)
def test_what_is_wrong_is_wrong_in_the_editor_too(text):
    assert [*VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_defaults_can_be_typed_as_they_are_shown():
    found = 0
    for section in VALIDATOR.schema["$defs"].values():
        for name, field in section.get("properties", {}).items():
            if "pattern" in field and field.get("default") is not None:
                assert re.match(field["pattern"], field["default"]), (name, field)
                found += 1
    assert found > 10


def test_either_form_of_a_template_and_of_an_image_is_offered():
    for text in (
        "launchers: {awx: {url: 'https://a', token_file: t, templates: {reset_gpu: A name}}}",
        "launchers: {awx: {url: 'https://a', token_file: t, templates: {reset_gpu: {name: A, workflow: true}}}}",
        "launchers: {local: {execution_environment: quay.io/team/ee:1}}",
        "launchers: {local: {execution_environment: {image: quay.io/team/ee:1, pull: never}}}",
    ):
        parse_policy(text)
        assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []
