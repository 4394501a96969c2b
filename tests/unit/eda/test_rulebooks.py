# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebooks, one for each failure class and one for all, alike but for the class; the filter's own words."""

from __future__ import annotations

import ast
import inspect
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_recovery.eda.events import IGNORE
from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.receiver.values.model import Verb
from tests.lab.places import CHECKOUT

EDA = CHECKOUT / "extensions/eda"
FILTER = EDA / "plugins/event_filter/alerts.py"
ALL = "fleet"


def book(name: str) -> str:
    return (EDA / "rulebooks" / f"{name}.yml").read_text("utf-8")


def test_there_is_one_for_each_class_and_one_for_all() -> None:
    assert {path.stem for path in (EDA / "rulebooks").iterdir()} == {ALL, *FAILURE_CLASSES}


@pytest.mark.parametrize("name", FAILURE_CLASSES)
def test_that_of_a_class_is_that_for_all_with_the_class_in_each_condition(name: str) -> None:
    ours = book(name)
    assert ours.count(f' and event.autoglm.failure_class == "{name}"') == ours.count("condition:") == 2
    common = ours.replace(f' and event.autoglm.failure_class == "{name}"', "").replace(
        f"Alerts of {name}\n", "Alerts of a fleet\n"
    )
    common = common.replace(f"alerts of the failure class {name},", "each alert of a fleet,")
    assert common.replace(f"autoglm.recovery.{name} -i", f"autoglm.recovery.{ALL} -i") == book(ALL)


def test_only_what_is_to_be_run_is_run_and_everything_else_that_fires_is_told() -> None:
    (ruleset,) = yaml.safe_load(book(ALL))
    acts, tells = ruleset["rules"]
    assert acts["condition"] == f'event.autoglm.decision == "{Verb.run.value}"'
    assert acts["action"]["run_playbook"]["extra_vars"].keys() == {"autoglm_target", "autoglm_incident"}
    assert tells["condition"] == f'event.autoglm.decision not in ["{Verb.run.value}", "resolve", "{IGNORE}"]'
    assert tells["action"].keys() == {"debug"}
    # Nothing is run on a host that the filter has not named, and nothing is taken from whoever has no token.
    assert ruleset["hosts"] == "localhost"
    (source,) = ruleset["sources"]
    assert source["eda.builtin.webhook"]["token"] == "{{ autoglm_token }}"
    assert source["filters"] == [{"autoglm.recovery.alerts": None}]


def test_the_filter_documents_its_options_as_they_are() -> None:
    module = runpy.run_path(str(FILTER))
    options = yaml.safe_load(module["DOCUMENTATION"])["options"]
    parameters = dict(list(inspect.signature(module["main"]).parameters.items())[1:])
    assert {name: told.get("default") for name, told in options.items()} == {
        name: parameter.default for name, parameter in parameters.items()
    }
    for example in yaml.safe_load(module["EXAMPLES"]):
        assert set(example["filters"][0]["autoglm.recovery.alerts"]) <= set(options)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start of ansible-rulebook, not at the first alert."""
    monkeypatch.setitem(sys.modules, "autoglm_recovery.eda.events", None)
    with pytest.raises(
        ImportError, match=r"needs the Python package autoglm-recovery .* -m pip install autoglm-recovery"
    ):
        runpy.run_path(str(FILTER))


def test_the_filter_is_what_a_rulebook_names() -> None:
    declared: Any = yaml.safe_load((CHECKOUT / "meta/extensions.yml").read_text("utf-8"))
    (folder,) = (CHECKOUT / "extensions" / each["args"]["ext_dir"] for each in declared["extensions"])
    assert folder == Path(FILTER).parent
    assert "main" in {
        node.name for node in ast.parse(FILTER.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)
    }
