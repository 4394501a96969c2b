# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: links are right on GitHub and there, each page is listed, each key is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from jsonschema import Draft202012Validator

from autoglm_recovery.cli.main import app
from autoglm_recovery.policy import Policy
from autoglm_recovery.rules.render import EVERYTHING, render_receiver_rules, render_rules
from tests.support.tooling.shared_files import leaves
from tests.support.tooling.site import checked, commands, elsewhere, observed, pages, properties
from tests.support.tooling.workplace import StepFailedError

INDEX = pages.DOCS / "README.md"
REFERENCES = {"policy": properties.policy(), "inventory": properties.inventory()}
KEYS = [pytest.param(kind, found, id=found.path) for kind, reference in REFERENCES.items() for found in reference.all()]


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "on_the_site"),
    [
        ("[rules](monitoring.md#alerts)", "[rules](monitoring.md#alerts)"),
        # A page has a title there, which Sphinx fills in.
        ("see [monitoring.md](monitoring.md)", "see [](monitoring.md)"),
        ("[README](../README.md)", f"[README]({pages.REPOSITORY}/blob/main/README.md)"),
        ("[tests](../tests/lab)", f"[tests]({pages.REPOSITORY}/tree/main/tests/lab)"),
        ("[alert_rules](../roles/alert_rules/README.md)", "[alert_rules](collection/alert_rules_role.rst)"),
        ("[elsewhere](https://example.org/a.md)", "[elsewhere](https://example.org/a.md)"),
        ("[above](#alerts)", "[above](#alerts)"),
        ("[front](README.md)", "[front](index.md)"),
        ("[one]: ../README.md", f"[one]: {pages.REPOSITORY}/blob/main/README.md"),
        ("```yaml\n[x](../README.md)\n```", "```yaml\n[x](../README.md)\n```"),
    ],
)
def test_a_link_leads_to_the_same_on_the_site(written: str, on_the_site: str) -> None:
    assert pages.rewritten(written, INDEX) == on_the_site


def test_a_link_to_nothing_names_its_page() -> None:
    with pytest.raises(StepFailedError, match=r"docs/README\.md: gone\.md leads to nothing"):
        pages.rewritten("[gone](gone.md)", INDEX)


@pytest.mark.parametrize(
    ("label", "page"),
    [
        ("common_return_values", "reference_appendices/common_return_values.html#common-return-values"),
        (
            "ansible_collections.ansible.builtin.command_module",
            "collections/ansible/builtin/command_module.html",
        ),
    ],
)
def test_what_ansible_documents_is_found_there(label: str, page: str) -> None:
    assert elsewhere.address(label) == elsewhere.ANSIBLE + page


def test_nobody_is_said_to_document_what_nobody_is_known_to() -> None:
    assert elsewhere.address("ansible_collections.acme.ops.power_module") is None
    assert elsewhere.address("made_up") is None


# --- a built site ----------------------------------------------------------------------------------------------------


def site(folder: Path, **texts: str) -> list[str]:
    """Write pages, and return what is wrong with the site that they are."""
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return list(checked.mistakes(folder, sorted(texts)))


def test_a_site_that_holds_together_has_no_mistakes(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    one = '<h1 id="top-of-it">A</h1><a href="b.html#x">b</a><a href="#top-of-it">up</a><img src="a.png">'
    assert site(tmp_path, a=one, b='<p id="x"><a href="https://example.org/gone">away</a>') == []


@pytest.mark.parametrize(
    ("page", "mistake"),
    [
        ('<a href="b.html">b</a>', "a.html: b.html leads to nothing"),
        ('<a href="a.html#gone">b</a>', "a.html: a.html#gone leads to nothing"),
        ('<a href="#gone">b</a>', "a.html: #gone leads to nothing"),
        ('<img src="gone.png">', "a.html: gone.png is not there"),
        ('<script src="https://cdn.example.org/x.js"></script>', "a.html: https://cdn.example.org/x.js is loaded from"),
        ('<link href="//fonts.example.org/x.css">', "a.html: //fonts.example.org/x.css is loaded from elsewhere"),
    ],
)
def test_what_does_not_hold_together_is_named(tmp_path: Path, page: str, mistake: str) -> None:
    (said,) = site(tmp_path, a=page)
    assert said.startswith(mistake)


def test_a_page_that_was_not_built_is_missing(tmp_path: Path) -> None:
    assert list(checked.mistakes(tmp_path, ["gone"])) == ["there is no page gone"]


# --- what is listed --------------------------------------------------------------------------------------------------


def test_the_first_page_lists_every_other() -> None:
    listed = [name for _, names in pages.sections(INDEX.read_text("utf-8")) for name in names]
    assert len(listed) == len(set(listed))
    own = {str(path.relative_to(pages.DOCS).with_suffix("")) for path in pages.DOCS.glob("*.md")} - {"README"}
    assert {name for name in listed if "/" not in name} == own
    assert "failures/index" in listed


def test_contents_are_the_sections_with_what_is_generated_after_them() -> None:
    index = "# Title\n\n## One\n\n- [a](a.md), [b](b.md#x)\n\n## Two\n\n- [a](a.md)\n"
    assert list(pages.sections(index)) == [("One", ["a", "b"]), ("Two", [])]
    whole = pages.with_contents(index, {"Two": ["c"], "Three": ["d"]})
    assert whole.removeprefix(index) == "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{names}\n```\n"
        for caption, names in (("One", "a\nb"), ("Two", "c"), ("Three", "d"))
    )


def test_the_command_line_has_every_command() -> None:
    (page,) = commands.pages().values()
    for words, _command in leaves(typer.main.get_command(app), ("autoglm",)):
        assert f"\n## `{' '.join(words)}`\n" in page


def test_help_texts_stay_as_they_are() -> None:
    assert commands.text("of [a] <b> with *.yml and _x_") == r"of \[a\] \<b\> with \*.yml and \_x\_"


def test_every_alert_and_every_metric_is_told_of() -> None:
    page = observed.pages()["reference/alerts"]
    told = [*observed.rules(render_rules(EVERYTHING)), *observed.rules(render_receiver_rules(Policy()))]
    assert len(told) > 40
    assert [rule["alert"] for rule in told] == re.findall(r"^`(\w+)`\n: \S", page, re.MULTILINE)
    assert "{{" not in page
    page = observed.pages()["reference/metrics"]
    rows = re.findall(r"^\| `(autoglm_\w+)` \| (\w+) \| (.*) \| \S", page, re.MULTILINE)
    named = {name: labels for name, _, labels in rows}
    assert len(named) == len(observed.families()) > 25
    assert named["autoglm_alerts_total"] == "`failure_class`, `status`, `outcome`"
    assert named["autoglm_incidents"] == "`state`"


def full_names() -> set[str]:
    return {family.name + ("_total" if family.type == "counter" else "") for family in observed.exporter_families()}


def test_every_metric_of_the_exporter_is_told_of() -> None:
    """What the code names is in the reference, and with its labels."""
    page = observed.pages()["reference/exporter-metrics"]
    rows = dict(re.findall(r"^\| `(autoglm_\w+)` \| \w+ \| (.*) \| \S", page, re.MULTILINE))
    assert rows.keys() == full_names()
    written = "\n".join(
        path.read_text("utf-8") for path in (pages.DOCS.parent / "src/autoglm_recovery/exporter").glob("*.py")
    )
    in_code = set(re.findall(r'"(autoglm_[a-z_]+)"', written))
    assert len(in_code) > 45
    assert in_code <= {name.removesuffix("_total") for name in rows} | rows.keys()
    assert rows["autoglm_gpu_temperature_celsius"] == "`gpu`, `uuid`, `index`, `sensor`"
    assert rows["autoglm_kernel_log_records_total"] == ""


def test_the_page_of_the_exporter_names_each_of_its_metrics() -> None:
    """In a table by what they are about, where `_used_bytes` beside a whole name stands for another one."""
    table = (pages.DOCS / "exporter.md").read_text("utf-8").partition("\n## Metrics\n")[2].partition("\n## ")[0]
    told = set()
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        words = re.findall(r"`(\w+)`", row)
        whole = {word for word in words if word.startswith("autoglm_")}
        ends = tuple(word for word in words if word.startswith("_"))
        short = {
            name
            for name in full_names()
            for end in ends
            if name.endswith(end) and any(each.startswith(name.removesuffix(end)) for each in whole)
        }
        told |= whole | short
    assert told == full_names()


# --- keys ------------------------------------------------------------------------------------------------------------


def test_there_are_keys() -> None:
    assert len(KEYS) > 250


@pytest.mark.parametrize(("kind", "found"), KEYS)
def test_each_key_has_a_description_a_type_and_an_example_that_may_be_written(
    kind: str, found: properties.Property
) -> None:
    reference = REFERENCES[kind]
    entry = properties.entry(reference, found)
    assert f"`{found.path}`\n: " in entry
    assert reference.resolved(found.schema)["description"]
    assert "**required**" in entry or "default" in entry
    if not any(reference.held(found)):
        example: Any = reference.example(found)
        assert example not in (None, [], {})
        assert f"example: {properties.inline({found.path.rpartition('.')[2]: example})}" in entry
        as_read = json.loads(json.dumps(example, default=lambda moment: moment.isoformat()))
        # The schema itself is one for all keys, and held to be one elsewhere.
        Draft202012Validator({**found.schema, "$defs": reference.schema["$defs"]}).validate(as_read)


def test_every_key_is_on_its_page() -> None:
    for kind, text in zip(REFERENCES, properties.pages().values(), strict=True):
        for found in REFERENCES[kind].all():
            assert f"`{found.path}`" in text or any(
                f"`{below}`" in text for below, _ in REFERENCES[kind].held(found)
            ), found.path
