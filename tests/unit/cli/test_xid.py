# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""autoglm xid: a code explained to a person."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from autoglm_recovery.cli.xid import override_notes
from autoglm_recovery.knowledge.faults.catalogue.numbers import KNOWN_XIDS
from autoglm_recovery.policy import parse_policy


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments: str):
    """Run the command."""
    return CliRunner().invoke(app, ["xid", *arguments])


def test_a_page_tells_what_it_means_who_says_what_and_what_is_done():
    result = run("79")
    assert result.exit_code == 0
    for words in ("fallen off the bus", "gpu_lost", "reboot_node, once it is drained", "RESTART_BM", "gpud", "sources"):
        assert words in result.stdout


def test_who_disagrees_is_told():
    said = " ".join(run("63").stdout.split())
    assert "NVIDIA IGNORE vs EKS NMA fatal" in said
    assert "Azure NHC: fail" in said


@pytest.mark.parametrize("code", ["74", "145", "149"])
def test_a_code_that_has_to_be_decoded_says_how(code):
    result = run(code)
    assert "decoded" in result.stdout
    assert json.loads(run(code, "--json").stdout)["decode"]["rules"]


@pytest.mark.parametrize("words", [("sxid", "20034"), ("--sxid", "20034"), ("SXID", "20034")])
def test_an_sxid(words):
    result = run(*words)
    assert result.exit_code == 0
    assert "SXid 20034: LTSSM Fault Up" in result.stdout


@pytest.mark.parametrize("words", [("999",), ("0",), ("sxid", "1"), ("sxid", "9999999")])
def test_a_number_nobody_knows_says_so_and_exits_1(words):
    result = run(*words)
    assert result.exit_code == 1
    assert "in no catalogue" in result.stdout
    assert "call_person" in result.stdout
    told = json.loads(run(*words, "--json").stdout)
    assert (told["known"], told["failure_class"], told["action"]) == (False, "unknown", "call_person")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("seventy",),
        ("79", "80"),
        ("-1",),
        ("$(reboot)",),
        ("٧٩",),
        ("79\n",),
        ("1" * 99,),
        ("--all", "79"),
        ("xid",),
    ],
)
def test_what_is_no_code_is_a_usage_error(words):
    assert run(*words).exit_code == 2


@given(st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_no_word_breaks_it(word):
    result = run("--", word)
    assert result.exit_code in (0, 1, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_all_codes_are_one_line_each():
    lines = run("--all").stdout.splitlines()
    assert len(lines) == 1 + len(KNOWN_XIDS)
    assert len(json.loads(run("--all", "--json").stdout)) == len(KNOWN_XIDS)
    assert len(json.loads(run("sxid", "--all", "--json").stdout)) == 420


@pytest.mark.parametrize("words", [("--all",), ("sxid", "--all"), *[(str(code),) for code in sorted(KNOWN_XIDS)]])
def test_it_is_readable_in_80_columns(words):
    result = run(*words)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_policys_own_word_is_shown(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(
        "faults:\n  xid:\n    63: {action: reset_gpu, reason: 'ours [red] \\u001b[31m'}\n"
        "    999: {failure_class: crash, action: restart_process}\n"
    )
    result = run("63", "--policy", str(file))
    assert "reset_gpu" in result.stdout
    assert "ours" in result.stdout
    assert "\x1b" not in result.stdout
    assert run("999", "--policy", str(file)).exit_code == 0
    assert "*" in run("--all", "--policy", str(file)).stdout


def test_a_bad_policy_is_refused(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("faults: {xid: {63: {action: explode}}}\n")
    result = run("63", "--policy", str(file))
    assert result.exit_code == 1
    assert "is not known" in result.stderr


def test_check_notes_what_is_less_than_the_catalogue():
    policy = parse_policy("faults: {xid: {79: {action: observe}, 63: {action: reset_gpu}, 999: {action: observe}}}")
    notes = override_notes(policy)
    assert notes == [
        "faults.xid.79: observe is less than the catalogue's reboot_node",
        "faults.xid.999: no catalogue has this number",
    ]
