# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A class name means one thing: whoever searches for it finds the one class that has it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
# What Ansible looks a plugin up by: each file of a plugin has a class of this name.
ANSIBLES_OWN = frozenset({"ActionModule", "LookupModule", "ModuleDocFragment"})


def source_files() -> Iterator[Path]:
    """Return every Python file that is shipped; the link to plugins/module_utils in src/ is not followed."""
    yield from (path for path in (CHECKOUT / "plugins").rglob("*.py"))
    knowledge = CHECKOUT / "src/autoglm_recovery/knowledge"
    yield from (path for path in (CHECKOUT / "src").rglob("*.py") if knowledge not in path.parents)


def places_of_classes() -> dict[str, list[str]]:
    """Return in which files a class of each name is defined at the top of the file."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(source_files()):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(CHECKOUT)))
    return places


def test_no_two_public_classes_have_the_same_name() -> None:
    places = places_of_classes()
    assert len(places) > 400
    public = {name: files for name, files in places.items() if not name.startswith("_") and name not in ANSIBLES_OWN}
    assert {name: files for name, files in public.items() if len(files) > 1} == {}
