# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a site that was built holds together: each page is there, and each link within it leads to something."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LEADS = {"a": "href", "img": "src", "link": "href", "script": "src"}


class _Page(HTMLParser):
    """The anchors of a page, where it leads, and what it loads from others."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.update(filter(None, (given.get("id"), given.get("name") if tag == "a" else None)))
        if link := given.get(_LEADS.get(tag, "")):
            (self.links if tag == "a" else self.loads).append(link)


def mistakes(site: Path, names: Sequence[str]) -> Iterator[str]:
    """Say what is missing in a site that should have these pages, and what of it is loaded from somebody else."""
    for name in names:
        if not (site / f"{name}.html").is_file():
            yield f"there is no page {name}"
    pages = {path: _Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(site)
        for link in page.links:
            if not _within(link) or _found(link, path, pages):
                continue
            yield f"{where}: {link} leads to nothing"
        for link in page.loads:
            if not _within(link):
                yield f"{where}: {link} is loaded from elsewhere"
            elif not _file(link, path).is_file():
                yield f"{where}: {link} is not there"


def _within(link: str) -> bool:
    parts = urlsplit(link)
    return not parts.scheme and not parts.netloc


def _file(link: str, page: Path) -> Path:
    name = unquote(urlsplit(link).path)
    return Path(os.path.normpath(page.parent / name)) if name else page


def _found(link: str, page: Path, pages: dict[Path, _Page]) -> bool:
    file = _file(link, page)
    if file not in pages:
        return file.is_file()
    return unquote(urlsplit(link).fragment) in pages[file].anchors
