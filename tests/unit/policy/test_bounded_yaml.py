# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML that PyYAML takes seconds or all memory for is refused, and what people write is read as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.exporter.services import ServicesError, load_services
from autoglm_recovery.knowledge.balancers import files
from autoglm_recovery.knowledge.balancers.protocol import BalancerError
from autoglm_recovery.knowledge.host import bounded_yaml
from autoglm_recovery.policy.load import PolicyError, parse_policy
from autoglm_recovery.receiver.runs.awx import launch_request

DOUBLED = "\n".join(["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))])
ALIASES = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
DEEP = (
    "[" * 3000,
    "{a: " * 3000,
    "- " * 3000,
    "? " * 3000,
    "- [" * 3000,
    "\n".join(" " * n + "a:" for n in range(300)),
)


@pytest.mark.parametrize("text", DEEP, ids=[text[:6].strip() for text in DEEP])
def test_what_is_nested_without_sense_is_refused_before_it_is_read(text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="nested more than 100 deep"):
        bounded_yaml.load(text)


@pytest.mark.parametrize("text", [DOUBLED, ALIASES], ids=["merged", "listed"])
def test_aliases_count_as_what_they_stand_for(text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="more than 100000 values, all aliases counted"):
        bounded_yaml.load(text)


def test_an_alias_inside_of_what_it_stands_for_is_refused() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="what it is a part of"):
        bounded_yaml.load("a: &a [*a]")


def test_what_people_write_is_read_as_before() -> None:
    text = "a: &a {x: y, l: [1, 2]}\nb: *a\nc: {<<: *a, z: 1}\nd: |\n  text\n" + "e: " + "[" * 90 + "]" * 90
    assert bounded_yaml.load(text) == yaml.safe_load(text)
    assert bounded_yaml.load("") is None


@pytest.mark.parametrize("text", ["[" * 3000, DOUBLED], ids=["deep", "doubled"])
def test_who_reads_yaml_refuses_it_in_its_own_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(PolicyError, match="not YAML: it "):
        parse_policy(text)
    path = tmp_path / "services.yml"
    path.write_text(text)
    with pytest.raises(ServicesError, match="neither YAML nor JSON"):
        load_services(path)
    assert launch_request.carries({"extra_vars": f"autoglm_run: m\nx: {text}"}, "m") is False
    with pytest.raises(BalancerError, match="is not YAML"):
        files.parse("targets.yml", text.encode())


def test_a_balancers_file_is_no_megabytes_of_yaml() -> None:
    targets = b"- targets: [a]\n" * 70_000
    with pytest.raises(BalancerError, match="larger than 1048576 bytes"):
        files.parse("targets.yml", targets)
    assert files.parse("targets.json", json.dumps(["a" * len(targets)]).encode())


def test_variables_of_a_job_are_no_megabytes_of_yaml() -> None:
    assert launch_request.carries({"extra_vars": "autoglm_run: m\n"}, "m") is True
    assert launch_request.carries({"extra_vars": "autoglm_run: m\n" + "a: b\n" * 20_000}, "m") is False
