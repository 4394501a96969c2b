# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group of module_defaults is as good as its members' options: each member has all of them, and means the same."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[4]
OURS = "autoglm.recovery"
GROUPS: dict[str, list[str]] = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text("utf-8"))["action_groups"]
ALL = "recovery"
# A fragment of options, and the group of its name. attributes has no options.
FRAGMENTS = sorted(
    path.stem for path in (CHECKOUT / "plugins/doc_fragments").glob("[a-z]*.py") if path.stem != "attributes"
)
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("[a-z]*.py"))
# What it runs is another module, with that one's options.
HAS_ANOTHERS_OPTIONS = "ask"


class _Begun(Exception):
    """Ends a module where it has told Ansible its options."""


def plugin(kind: str, name: str) -> Any:
    return importlib.import_module(f"ansible_collections.{OURS}.plugins.{kind}.{name}")


def spec_of(module: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the argument spec that a module gives to Ansible."""
    kept: dict[str, Any] = {}

    def begin(**given: Any) -> None:
        kept.update(given)
        raise _Begun

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(_Begun):
        patch.setattr(module, "AnsibleModule", begin)
        module.main()
    spec: Mapping[str, Mapping[str, Any]] = kept["argument_spec"]
    return spec


SPECS = {name: spec_of(plugin("modules", name)) for name in MODULES}


def documented(module: str) -> dict[str, Any]:
    """Return what a module's own file documents, without what fragments add."""
    found: dict[str, Any] = yaml.safe_load(plugin("modules", module).DOCUMENTATION)
    return found


def options_of(group: str) -> dict[str, Any]:
    """Return the options that the fragment of a group's name documents."""
    fragment = plugin("doc_fragments", group).ModuleDocFragment.DOCUMENTATION
    options: dict[str, Any] = yaml.safe_load(fragment)["options"]
    return options


def having(options: Mapping[str, Any]) -> list[str]:
    """Return the modules that have all of some options."""
    return [name for name, spec in SPECS.items() if options.keys() <= spec.keys()]


def meaning(option: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an option takes, and what it is when it is left out. Some modules need it, which changes neither."""
    return {key: value for key, value in option.items() if key != "required"}


def test_there_is_a_group_for_each_fragment_of_options_and_one_for_all_that_hosts_run() -> None:
    assert sorted(GROUPS) == sorted([*FRAGMENTS, ALL])
    assert sorted({*MODULES} - {HAS_ANOTHERS_OPTIONS, *GROUPS["receiver"]}) == GROUPS[ALL]


@pytest.mark.parametrize("group", FRAGMENTS)
def test_the_members_are_those_that_have_the_options(group: str) -> None:
    assert having(options_of(group)) == GROUPS[group]


@pytest.mark.parametrize("group", FRAGMENTS)
def test_an_option_means_the_same_to_all_members(group: str) -> None:
    """Or what is right for one of them would be wrong for another."""
    for option in options_of(group):
        first, *others = [meaning(SPECS[module][option]) for module in GROUPS[group]]
        assert [other for other in others if other != first] == [], option


@pytest.mark.parametrize("group", FRAGMENTS)
def test_the_members_document_the_options_by_the_fragment(group: str) -> None:
    by_fragment = [name for name in MODULES if f"{OURS}.{group}" in documented(name)["extends_documentation_fragment"]]
    assert by_fragment == GROUPS[group]


@pytest.mark.parametrize("module", [name for name in MODULES if name != HAS_ANOTHERS_OPTIONS])
def test_a_module_names_its_groups(module: str) -> None:
    document = documented(module)
    assert f"{OURS}.attributes.action_group" in document["extends_documentation_fragment"]
    named = document["attributes"]["action_group"]["membership"]
    assert named == [f"{OURS}.{group}" for group, members in GROUPS.items() if module in members]


def test_a_group_leaves_out_what_only_some_have() -> None:
    """The check sees them: a deadline of 2 s for engines must not be one for a trainer's checkpoint."""
    assert having({"engine": {}, "url": {}, "timeout": {}}) == GROUPS["engine"]
    assert meaning(SPECS["checkpoint_model"]["timeout"]) != meaning(SPECS["inference_health"]["timeout"])
    assert "timeout" not in options_of("engine")
    assert having({"nvml_library": {}}) == ["crash_snapshot", *GROUPS["gpu"]]


def test_the_page_has_the_groups_as_they_are() -> None:
    page = (CHECKOUT / "docs/playbooks.md").read_text("utf-8")
    rows = re.findall(rf"^\| `{OURS}\.(\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", options) for name, options, _ in rows if name != ALL} == {
        group: list(options_of(group)) for group in FRAGMENTS
    }
    assert {name: re.findall(r"`(\w+)`", modules) for name, _, modules in rows if name != ALL} == {
        group: GROUPS[group] for group in FRAGMENTS
    }
    assert sorted(name for name, *_ in rows) == sorted(GROUPS)
