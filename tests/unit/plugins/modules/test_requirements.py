# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries of others: each module documents those that it may need, and tells as Ansible does which one is missing."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import object_store
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[4]
PLUGINS = CHECKOUT / "plugins"
OURS = "ansible_collections.autoglm.recovery.plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("[a-z]*.py"))
# What is imported, and the package on PyPI that has it.
LIBRARIES = {"fsspec": "fsspec", "kubernetes": "kubernetes", "pynvml": "nvidia-ml-py", "yaml": "PyYAML"}
MISSING = "Failed to import the required Python library ({})"


def imported(path: Path) -> Iterator[str]:
    """Return the full names that a file imports, anywhere in it, also by importlib where a text says which."""
    package = f"{OURS}.{path.relative_to(PLUGINS).with_suffix('').as_posix().replace('/', '.')}".split(".")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            name = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def file_of(name: str) -> Path | None:
    """Return the file of a name of ours: a module, or the one that it lies in."""
    if not name.startswith(f"{OURS}."):
        return None
    place = PLUGINS / name.removeprefix(f"{OURS}.").replace(".", "/")
    return next((each for each in (place.with_suffix(".py"), place.parent.with_suffix(".py")) if each.is_file()), None)


@cache
def libraries_in(path: Path) -> frozenset[str]:
    """Return the libraries of others that a file imports itself."""
    tops = {name.partition(".")[0] for name in imported(path)}
    return frozenset(tops - sys.stdlib_module_names - {"ansible", "ansible_collections", ""})


def reached(module: str) -> set[str]:
    """Return the libraries of others that a module or whatever it imports may come to need."""
    found: set[Path] = set()
    waiting = {PLUGINS / f"modules/{module}.py"}
    while waiting:
        found |= waiting
        waiting = {file for path in waiting for name in imported(path) if (file := file_of(name))} - found
    return set().union(*(libraries_in(path) for path in found))


def requirements_of(module: str) -> str:
    """Return what a module documents to need, without what fragments add."""
    text = importlib.import_module(f"{OURS}.modules.{module}").DOCUMENTATION
    return "\n".join(yaml.safe_load(text).get("requirements", []))


def test_every_library_of_others_is_known() -> None:
    files = [*(PLUGINS / "modules").glob("*.py"), *(PLUGINS / "module_utils").rglob("*.py")]
    assert set().union(*(libraries_in(path) for path in files)) == LIBRARIES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_documents_what_it_may_come_to_need(module: str) -> None:
    documented = re.findall(r"Python package C\(([^)]+)\)\S* ?", requirements_of(module))
    assert sorted(documented) == sorted(LIBRARIES[name] for name in reached(module))


def test_every_module_documents_which_python_it_needs() -> None:
    fragment = importlib.import_module(f"{OURS}.doc_fragments.attributes").ModuleDocFragment.DOCUMENTATION
    assert any(each.startswith("python >= 3.9 ") for each in yaml.safe_load(fragment)["requirements"])
    for module in MODULES:
        document = yaml.safe_load(importlib.import_module(f"{OURS}.modules.{module}").DOCUMENTATION)
        assert "autoglm.recovery.attributes" in document["extends_documentation_fragment"]


def test_an_execution_environment_gets_all_of_them() -> None:
    definition = yaml.safe_load((CHECKOUT / "meta/execution-environment.yml").read_text("utf-8"))
    text = (CHECKOUT / definition["dependencies"]["python"]).read_text("utf-8")
    wanted = [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]
    assert sorted(one.name for one in wanted) == sorted(LIBRARIES.values())
    # Other collections have their say in the same image.
    assert {each.operator for one in wanted for each in one.specifier} <= {">="}
    assert (CHECKOUT / definition["dependencies"]["system"]).is_file()


def lacking(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    """Have this Python lack a library."""
    for name in [each for each in sys.modules if each == library or each.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    if library == "fsspec":
        monkeypatch.setattr(object_store, "fsspec", None)


@pytest.mark.parametrize(
    ("module", "library", "arguments"),
    [
        ("checkpoint_model", "fsspec", {"name": "a", "store": "memory://a", "source": "/etc/hostname"}),
        ("checkpoint_model", "fsspec", {"name": "a", "store": "memory://a", "state": "verified"}),
        ("drain_inference", "kubernetes", {"state": "queried", "balancer": {"kind": "kubernetes", "backend": "a"}}),
        ("drain_inference", "yaml", {"state": "queried", "balancer": {"kind": "file_sd", "file": "targets.yml"}}),
    ],
)
def test_a_missing_library_is_told_as_ansible_does(
    run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    module: str, library: str, arguments: dict[str, Any],
) -> None:  # fmt: skip
    lacking(monkeypatch, library)
    if "balancer" in arguments:
        (tmp_path / "targets.yml").write_text("[{targets: [a]}]")
        arguments["balancer"] = {**arguments["balancer"], "lock_dir": str(tmp_path)}
        arguments["balancer"].update({"file": str(tmp_path / "targets.yml")} if library == "yaml" else {})
    result = run_module(importlib.import_module(f"{OURS}.modules.{module}"), **arguments)
    assert result["failed"]
    assert MISSING.format(LIBRARIES[library]) in result["msg"]
    assert "This is required for " in result["msg"]


@pytest.mark.parametrize("module", ["gpu_health", "nvlink_check"])
def test_a_missing_binding_leaves_the_verdict_unknown_and_is_told_as_ansible_does(
    run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    lacking(monkeypatch, "pynvml")
    # Not out of the result: in a process that has a part of the controller, Ansible displays a warning instead.
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning: warned.append(warning))
    # Without the kernel's log, which is this machine's: another test may have written a fault there.
    result = run_module(importlib.import_module(f"{OURS}.modules.{module}"), check=True, kernel_lines="never")
    assert result["verdict"] == "unknown"
    assert [each for each in warned if MISSING.format("nvidia-ml-py") in each] != []
