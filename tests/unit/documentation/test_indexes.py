# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an index shows of us: links that work there, and one truth about where we are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
PAGES = ("README.md", "distributions/exporter/README.md")
PROJECTS = ("pyproject.toml", "distributions/exporter/pyproject.toml")
# What those ask for who take a collection in: the README of github.com/ansible-collections/collection_template, and
# docs.ansible.com/projects/partner-certification-requirements/readmes/.
SECTIONS = ("Requirements", "Tested with", "Install", "Using this collection", "Included content", "Communication",
            "Support", "Contributing", "Code of Conduct", "Release notes", "Licensing")  # fmt: skip
REPOSITORY = "https://github.com/autoglm/recovery"
IN_REPOSITORY = re.compile(rf"{re.escape(REPOSITORY)}/(?:blob|tree)/main/([^\s)#>\]\"]+)(?:#([\w-]+))?")


def prose(path: str) -> str:
    """Return a page without its examples."""
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", (CHECKOUT / path).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def targets(path: str) -> list[str]:
    """Return where the links of a page lead, whichever of Markdown's two ways they are written in."""
    text = prose(path)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_that_an_index_shows_has_no_link_that_only_a_checkout_has(path):
    assert [each for each in targets(path) if not each.startswith(("https://", "#"))] == []
    assert targets(path)


@pytest.mark.parametrize("path", PAGES)
def test_every_reference_of_a_page_leads_somewhere(path):
    text = prose(path)
    defined = set(re.findall(r"^\[([^\]]+)\]: \S+$", text, re.MULTILINE))
    body = re.sub(r"^\[[^\]]+\]: \S+$", "", text, flags=re.MULTILINE)
    used = {second or first for first, second in re.findall(r"\[([^\]\[]+)\](?:\[([^\]]*)\](?=:?)|(?![\[(:]))", body)}
    assert {each for each in used if "." in each or each.isupper()} == defined


@pytest.mark.parametrize("path", [*PAGES, *PROJECTS, "galaxy.yml"])
def test_every_link_into_the_repository_names_what_is_there(path):
    for name, anchor in IN_REPOSITORY.findall((CHECKOUT / path).read_text("utf-8")):
        assert (CHECKOUT / name).exists(), name
        assert not anchor or anchor in anchors(CHECKOUT / name), f"{name}#{anchor}"


def test_the_collection_s_page_has_what_its_indexes_ask_for():
    text = (CHECKOUT / "README.md").read_text("utf-8")
    headings = re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE)
    assert [each for each in headings if each in SECTIONS] == list(SECTIONS)
    for name in ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "COPYING", "SECURITY.md"):
        assert f"[{name}]: {REPOSITORY}/blob/main/{name}\n" in text


@pytest.mark.parametrize("path", PROJECTS)
def test_the_packages_say_of_themselves_what_the_collection_says(path):
    project = tomllib.loads((CHECKOUT / path).read_text())["project"]
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    urls = project["urls"]
    assert (urls["Homepage"], urls["Source"], urls["Issues"]) == (
        galaxy["homepage"],
        galaxy["repository"],
        galaxy["issues"],
    )
    assert urls["Security"] in (CHECKOUT / "SECURITY.md").read_text()
    assert all(each.startswith(REPOSITORY) for each in urls.values())
    oldest = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    told = [each.rpartition(" ")[2] for each in project["classifiers"] if re.search(r":: 3\.\d+$", each)]
    assert tuple(map(int, told[0].split("."))) == oldest
