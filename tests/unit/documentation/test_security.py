# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md says of parties stands on tests that exist, and what it says of root is what the gate has."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from autoglm_recovery.cli.root import sudoers
from autoglm_recovery.knowledge.privilege.rules import BUILTIN, OURS, RULES
from autoglm_recovery.receiver.process.inherited import RECEIVER_S_OWN
from autoglm_recovery.root.declared import declaration

from .test_documentation import CHECKOUT, README, table

PAGE = (CHECKOUT / "docs/security.md").read_text("utf-8")
PARTIES = table(PAGE, "| party | can |")
SHOWN = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
# Each of them must have its rows.
EXPECTED = {
    *("sender", "viewer", "operator", "local user of the receiver's machine", "local user of a host", "service user"),
    *("managed host", "balancer", "Prometheus", "Alertmanager", "AWX", "whoever has the receiver's account"),
}


@functools.cache
def functions_of(file: str) -> frozenset[str]:
    """Return the functions of a file of tests."""
    tree = ast.parse((CHECKOUT / "tests" / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_every_party_has_its_rows() -> None:
    assert {row[0] for row in PARTIES} >= EXPECTED


@pytest.mark.parametrize("row", PARTIES, ids=lambda row: f"{row[0]}: {row[1]}"[:60])
def test_each_sentence_on_a_party_has_a_test_that_exists(row: list[str]) -> None:
    party, can, cannot, shown = row
    assert all((party, can, cannot))
    named = SHOWN.findall(shown)
    assert named, "no test is named"
    assert SHOWN.sub("", shown).strip(", ") == "", "something else than tests is named"
    for file, function in named:
        assert function in functions_of(file)


def test_what_runs_do_not_inherit_is_named_with_its_reason() -> None:
    rows = table(PAGE, "| variable | why runs do not get it |")
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(RECEIVER_S_OWN)
    assert all(row[1] for row in rows)


def test_each_module_s_row_is_the_gate_s_rule() -> None:
    rows = {row[0].strip("`"): row[2:] for row in table(PAGE, "| module | needs root for |")}
    named = {name: name.removeprefix(OURS).replace(BUILTIN, "ansible.builtin.") for name in RULES}
    assert set(rows) == set(named.values())
    for name, rule in RULES.items():
        bound, free = (re.findall(r"`(\w+)`", cell) for cell in rows[named[name]])
        assert bound == [option for group in rule.bound for option in group.options]
        assert set(free) == rule.free


def test_every_module_of_ours_has_a_rule() -> None:
    assert {name for name in RULES if name.startswith(OURS)} == {
        OURS + path.stem for path in (CHECKOUT / "plugins/modules").glob("[a-z]*.py")
    }


def test_the_sudo_rule_that_is_shown_is_the_one_that_is_written() -> None:
    assert sudoers("autoglm") in PAGE


# An order of the receiver, and what its unit and its user are given.
GIVEN_TO_THE_RECEIVER = re.compile(r"(?:--(?:state|home)-dir |ReadWritePaths=|ssh-keygen .*-f )(/\S+)")


def test_no_page_gives_the_receiver_what_is_root_s_on_hosts() -> None:
    """Evidence, baselines and notes lie there, also on the receiver's own machine."""
    pages = [README, *(page.read_text("utf-8") for page in (CHECKOUT / "docs").glob("*.md"))]
    given = {place for page in pages for place in GIVEN_TO_THE_RECEIVER.findall(page)}
    assert len(given) > 2
    of_root = Path(declaration("a", {"a": {"autoglm_services": [{"name": "b"}]}})["notes"][0]["path"]).parent.parent
    assert not {place for place in given if of_root == Path(place) or of_root in Path(place).parents}


def test_there_is_a_way_to_report_and_readme_leads_there() -> None:
    assert "[SECURITY.md]: https://" in README
    text = (CHECKOUT / "SECURITY.md").read_text("utf-8")
    assert re.search(r"https://github\.com/autoglm/recovery/security/advisories/new", text)
