# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text that a role or a playbook has looked at is what it goes on with, to its last character.

``$`` also fits before a newline at the end, so that ``name`` with one behind it passed for a name, and what it was
written into, a unit or a configuration, had a line more.  Only ``\\Z`` is the end of the text
(https://docs.python.org/3/library/re.html).  In a pattern for lines, which says ``(?m)``, it is the end of a line.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = [
    path
    for folder in ("roles", "playbooks", "extensions")
    for path in sorted((ROOT / folder).rglob("*.yml"))
    if "$" in path.read_text("utf-8")
]
_ENDS = re.compile(r"""(?<!\\)\$(?=['"|)])""")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pattern_lets_a_newline_at_the_end_pass(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    assert [line.strip() for line in lines if _ENDS.search(line) and "(?m)" not in line] == []
