# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the site into build/docs, and look whether it holds together."""

from __future__ import annotations

import shutil
from pathlib import Path

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from tests.support.tooling.site import checked, collection, commands, observed, pages, properties
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

SITE = CHECKOUT / "build/docs"
SOURCES = CHECKOUT / "build/docs-sources"
HERE = Path(__file__).parent


def build(workplace: Workplace) -> str:
    """Make the site anew.

    Raises StepFailedError where Sphinx or antsibull-docs warns, a page is missing, or a link leads to nothing.
    """
    for folder in (SOURCES, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    SOURCES.mkdir(parents=True)
    names = stage(workplace, SOURCES)
    workplace.read(
        *(workplace.program("sphinx-build"), "--builder", "html", "--conf-dir", str(HERE)),
        # Each warning is an error, and all of them are told.
        *("--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"),
        *("--doctree-dir", str(SOURCES / ".doctrees"), str(SOURCES), str(SITE)),
        env=workplace.environment(PYTHONPATH=str(CHECKOUT)),
    )
    if mistakes := list(checked.mistakes(SITE, names)):
        print("\n".join(mistakes))
        raise StepFailedError(f"{len(mistakes)} links or pages are missing, such as {mistakes[0]}")
    return f"{len(names)} pages, in {SITE.relative_to(CHECKOUT)}"


def stage(workplace: Workplace, into: Path) -> list[str]:
    """Write all that Sphinx reads, and return the names of all pages."""
    written = pages.stage(into)
    plugins = collection.stage(workplace, into / "collection")
    (into / "reference").mkdir()
    references = {**properties.pages(), **commands.pages(), **observed.pages()}
    for name, text in references.items():
        (into / f"{name}.md").write_text(text, "utf-8")
    generated = {"Reference": [*references], "Modules, plugins and roles": ["collection/index"]}
    pages.edit(into / "index.md", lambda text: pages.with_contents(text, generated))
    pages.edit(into / "failures/index.md", lambda text: text + pages.contents(FAILURE_CLASSES))
    return [*written, *references, *(f"collection/{name}" for name in plugins)]
