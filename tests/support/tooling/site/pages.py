# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of docs/ as Sphinx reads them: what leads out of docs/ goes where the site has the same, or to GitHub."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.tooling.workplace import CHECKOUT, StepFailedError

DOCS = CHECKOUT / "docs"
REPOSITORY = "https://github.com/autoglm/recovery"
# A folder's page on GitHub is the folder's first page on the site.
_FRONT, _INDEX = "README.md", "index.md"
# A code block, or the target of a link: of either way in which Markdown writes one.
_BLOCK_OR_LINK = re.compile(
    r"(?P<block>^(?P<fence>`{3,})[^\n]*\n.*?^(?P=fence)`*$)"
    r"|\[(?P<text>[^\]\n]*)\]\((?P<inline>[^)\s]+)\)"
    r"|(?<=\]: )(?P<defined>\S+)$",
    re.DOTALL | re.MULTILINE,
)
_LISTED = re.compile(r"\]\(([^)#\s]+)\.md(?:#[^)]*)?\)")
_OUTSIDE = re.compile(r"[a-z]+:|#")


def stage(into: Path) -> list[str]:
    """Copy all pages with what they show, and return their names as Sphinx has them.

    Raises StepFailedError where a link leads to nothing.
    """
    shutil.copytree(DOCS / "images", into / "images")
    names = []
    for path in sorted(DOCS.rglob("*.md")):
        name = on_site(path.relative_to(DOCS))
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(rewritten(path.read_text("utf-8"), path), "utf-8")
        names.append(str(name.with_suffix("")))
    return names


def on_site(path: Path) -> Path:
    return path.with_name(_INDEX) if path.name == _FRONT else path


def rewritten(text: str, page: Path) -> str:
    """Return the text of a page with its links as the site has them."""

    def change(found: re.Match[str]) -> str:
        if found["block"]:
            return found["block"]
        if found["defined"]:
            return target(found["defined"], page)
        leads = target(found["inline"], page)
        # Whoever reads files reads a file's name; on the site a page has a title.
        named = "" if found["text"].endswith(".md") and not _OUTSIDE.match(leads) else found["text"]
        return f"[{named}]({leads})"

    return _BLOCK_OR_LINK.sub(change, text)


def target(link: str, page: Path) -> str:
    """Return where a link of a page leads on the site."""
    if _OUTSIDE.match(link):
        return link
    file, hash_sign, anchor = link.partition("#")
    there = Path(os.path.normpath(page.parent / file))
    if not there.exists():
        raise StepFailedError(f"{page.relative_to(CHECKOUT)}: {link} leads to nothing")
    if there == DOCS or DOCS in there.parents:
        found = on_site(there / _FRONT if there.is_dir() else there)
    elif (role := there.relative_to(CHECKOUT)).match(f"roles/*/{_FRONT}"):
        # Its anchors are those of the README.
        return os.path.relpath(DOCS / f"collection/{role.parts[1]}_role.rst", page.parent)
    else:
        kind = "tree" if there.is_dir() else "blob"
        return f"{REPOSITORY}/{kind}/main/{there.relative_to(CHECKOUT)}{hash_sign}{anchor}"
    return os.path.relpath(found, page.parent) + hash_sign + anchor


def sections(index: str) -> Iterator[tuple[str, list[str]]]:
    """Return each section of a page that lists others, with the pages that it lists, each where it is named first."""
    seen: set[str] = set()
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        named = (str(on_site(Path(f"{name}.md")).with_suffix("")) for name in _LISTED.findall(body))
        listed = [name for name in dict.fromkeys(named) if name not in seen]
        seen.update(listed)
        yield heading.strip(), listed


def with_contents(index: str, generated: Mapping[str, Sequence[str]]) -> str:
    """Return the first page with the site's table of contents: its sections, and the generated pages after them."""
    chapters = dict(sections(index))
    for heading, names in generated.items():
        chapters[heading] = [*chapters.get(heading, []), *names]
    return index + "".join(contents(names, heading) for heading, names in chapters.items() if names)


def contents(names: Sequence[str], caption: str = "") -> str:
    """Return what makes Sphinx put pages below this one."""
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    return f"\n```{{toctree}}\n{options}\n" + "\n".join(names) + "\n```\n"


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")
