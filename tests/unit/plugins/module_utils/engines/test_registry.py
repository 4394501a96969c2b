# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry is the one list of engines: whoever is in it has its options, its answers, its test and its rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.autoglm.recovery.plugins.doc_fragments.engine import ModuleDocFragment
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.formats import FORMATS
from ansible_collections.autoglm.recovery.plugins.module_utils.engines import registry
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import ENGINES

CHECKOUT = Path(__file__).parents[5]
HERE = Path(__file__).parent
FIXTURES = HERE.parents[1] / "fixtures"
# Has no answers of its own: it asks any server that its options describe.
WITHOUT_ANSWERS = {"generic"}


def test_every_file_that_holds_an_adapter_is_registered() -> None:
    folder = Path(registry.__file__).parent
    holding = {
        path.stem for path in folder.glob("*.py") if re.search(r"^class \w+\(Adapter\):", path.read_text("utf-8"), re.M)
    }
    assert holding == set(ENGINES)


def test_the_documented_choices_are_those_of_the_registry() -> None:
    assert yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["engine"]["choices"] == sorted(ENGINES)


def test_readme_names_every_engine() -> None:
    (line,) = re.findall(r"^ +engine: (\w+) +# (.+)$", (CHECKOUT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert {line[0], *line[1].split(", ")} == set(ENGINES)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_has_its_test_and_answers_to_test_it_on(name: str) -> None:
    assert list(HERE.rglob(f"test_{name}.py"))
    answers = [*FIXTURES.glob(f"{name}_metrics.txt"), *FIXTURES.glob(f"recorded/{name}.json")]
    assert bool(answers) == (name not in WITHOUT_ANSWERS)


@pytest.mark.parametrize("name", ENGINES)
def test_what_an_engine_says_of_itself_can_be(name: str) -> None:
    engine = ENGINES[name]
    assert engine.state_format is None or engine.state_format in FORMATS
    assert (engine.state_format is None) == ("save_state" in engine.cannot)
    assert engine.scraped.path_option is None or engine.scraped.path_option in engine.options
    assert not (engine.scraped.none and engine.scraped.progress)
