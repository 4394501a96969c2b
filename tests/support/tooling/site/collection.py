# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of modules, plugins and roles, as antsibull-docs writes them out of their documentation."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.tooling.site import pages
from tests.support.tooling.workplace import Workplace

COLLECTION = "autoglm.recovery"
TITLE = "Modules, plugins and roles\n==========================\n"
# What antsibull-docs calls the page: the collection, with capitals.
_TITLE = re.compile(r"^Autoglm\.Recovery\n=+\n", re.MULTILINE)


def stage(workplace: Workplace, into: Path) -> list[str]:
    """Write a page for each, and return their names; what has no or wrong documentation fails."""
    into.mkdir()
    # It writes into no folder that others may write to.
    into.chmod(0o755)
    workplace.read(
        *(workplace.program("antsibull-docs"), "collection", "--use-current", "--squash-hierarchy"),
        *("--fail-on-error", "--no-breadcrumbs", "--no-add-antsibull-docs-version"),
        *("--dest-dir", str(into), COLLECTION),
    )
    for path in into.glob("*.rst"):
        pages.edit(path, _without_own_contents)
    names = sorted(str(path.relative_to(into).with_suffix("")) for path in into.rglob("*.rst"))
    beside = [name for name in names if name != "index" and not name.startswith("docsite/")]
    pages.edit(into / "index.rst", lambda text: _TITLE.sub(TITLE, text) + _contents(beside))
    return names


def _without_own_contents(text: str) -> str:
    """The theme has a page's sections beside it, and says so in red where the page has them once more."""
    return re.sub(r"^\.\. contents::\n(?: +:\w+:.*\n)+", "", text, flags=re.MULTILINE)


def _contents(names: list[str]) -> str:
    lines = "".join(f"    {_title(name)} <{name}>\n" for name in names)
    return f"\n.. toctree::\n    :hidden:\n\n{lines}"


def _title(name: str) -> str:
    """Return what the side bar calls a page: the titles are whole sentences."""
    plugin, _, kind = name.rpartition("_")
    return f"{plugin} ({kind})" if plugin and kind != "variables" else name.replace("_", " ")
