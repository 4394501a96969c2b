# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter as a distribution of its own: what it holds, its options, and what it takes of a policy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from autoglm_recovery.exporter.command import UnusablePolicy, main, own_word_in
from autoglm_recovery.exporter.options import EXPORTER_OPTIONS
from autoglm_recovery.policy.load import PolicyError, load_policy
from tests.support.tooling.exporter_distribution import BUILDER, DESCRIPTION, files

CHECKOUT = Path(__file__).parents[3]


def project(path):
    """Return what a pyproject.toml says of its project."""
    return tomllib.loads((CHECKOUT / path / "pyproject.toml").read_text())["project"]


def test_it_holds_what_it_imports_and_nothing_of_the_receiver():
    rooms = {"/".join(path.split("/")[2:-1]) for path in files()}
    assert {"exporter", "knowledge/gpu/reading", "knowledge/faults/lines", "knowledge/host"} <= rooms
    assert {room.partition("/")[0] for room in rooms} == {"", "exporter", "knowledge"}


def test_what_it_imports_of_others_is_what_it_requires():
    standard = {"yaml": "PyYAML", "prometheus_client": "prometheus-client", "pynvml": "nvidia-ml-py"}
    text = "\n".join((CHECKOUT / path).read_text() for path in files())
    others = "httpx|httpcore|structlog|yaml|prometheus_client|pynvml"
    imported = set(re.findall(rf"(?:^\s*(?:import|from) |import_module\(\")({others})\b", text, re.MULTILINE))
    own = project("distributions/exporter")
    names = {re.match(r"[\w-]+", each)[0] for each in own["dependencies"]}
    assert {standard.get(name, name) for name in imported} == names
    assert set(own["dependencies"]) <= set(project(".")["dependencies"])


def test_the_role_builds_what_it_holds_and_requires_and_always_the_same(tmp_path):
    """Hatchling's wheel is compared with it file by file in `make exporter`."""
    described = json.loads(DESCRIPTION.read_text())
    listed = [f"src/autoglm_recovery/{path}" for path in described["files"]]
    assert listed == files(), "python -m tests.support.tooling.exporter_distribution writes the list"
    required = re.findall("^Requires-Dist: (.+)$", described["metadata"], re.MULTILINE)
    assert [each.lower() for each in project("distributions/exporter")["dependencies"]] == required
    wheels = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        said = subprocess.run([sys.executable, str(BUILDER), str(folder)], capture_output=True, text=True, check=True)
        (wheel,) = folder.iterdir()
        assert wheel.name == said.stdout.strip()
        wheels.append(wheel)
    assert wheels[0].name == wheels[1].name
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


def test_a_collection_that_is_not_whole_is_named(tmp_path):
    copy = tmp_path / "roles/gpu_exporter/files"
    shutil.copytree(BUILDER.parent, copy)
    done = subprocess.run([sys.executable, str(copy / BUILDER.name), "."], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is missing: the collection is not whole" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--interval", "5"], 2, "argument --interval: "),
        (["--interval", "1ms"], 2, "must be 100ms or more"),
        (["--expected-gpus", "-1"], 2, "must be 0 or more"),
        (["--label", "host=x"], 2, "no label of our own"),
        (["--log-format", "xml"], 2, "must be json or text"),
        (["--intervall", "2s"], 2, "unrecognized arguments"),
        (["--services", "none.yml"], 3, "cannot be read"),
        (["--policy", "none.yml"], 3, "cannot be read"),
        (["--policy", "bad.yml"], 1, "faults"),
        (["--web-config", "none.yml"], 3, "cannot be read"),
        (["--web-config", "bad.yml"], 1, "and not faults"),
        (["--alertmanager-ca", "none.pem"], 2, "none.pem: No such file"),
        (["--check", "--web-config", "bad.yml"], 1, "and not faults"),
        (["--check", "--listen", "192.0.2.1:1"], 0, ""),
        (["--listen", "192.0.2.1:1", "--kmsg", "none"], 3, "192.0.2.1"),
    ],
)
def test_a_mistake_has_the_exit_code_of_the_table(tmp_path, monkeypatch, capsys, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yml").write_text("faults: {xid: {79: {action: explode}}}")
    try:
        ended = main([*arguments, "--state-file", "state.json"])
    except SystemExit as end:
        ended = end.code
    assert (ended, says in capsys.readouterr().err) == (code, True)


def test_every_option_is_in_its_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert [each.flag for each in EXPORTER_OPTIONS if each.flag not in told] == []


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "monitoring: {interval: 2s}",
        "faults: {xid: {63: {action: reset_gpu, reason: ours}}, sxid: {20034: {severity: info}}}",
        "faults: {kind: {rcu_stall: {severity: critical}}}",
    ],
)
def test_it_reads_of_a_policy_what_all_of_it_is_read_as(tmp_path, policy):
    (tmp_path / "policy.yml").write_text(policy)
    full = load_policy(tmp_path / "policy.yml").faults.overrides()
    read = own_word_in(tmp_path / "policy.yml")
    assert {kind: codes for kind, codes in full.items() if codes} == read


@pytest.mark.parametrize(
    "policy",
    [
        "[1]",
        "faults: [1]",
        "faults: {xid: [1]}",
        "faults: {xid: {79: {action: explode}}}",
        "faults: {xid: {79: {failure_class: nonsense}}}",
        "faults: {xid: {79: {actoin: reset_gpu}}}",
        "faults: {xid: {many: {action: reset_gpu}}}",
        "faults: {kind: {nonsense: {action: reset_gpu}}}",
        "faults: {xids: {79: {action: reset_gpu}}}",
        "faults: [",
    ],
)
def test_it_refuses_what_a_check_of_all_of_it_refuses(tmp_path, policy):
    (tmp_path / "policy.yml").write_text(policy)
    with pytest.raises(PolicyError):
        load_policy(tmp_path / "policy.yml")
    with pytest.raises(UnusablePolicy):
        own_word_in(tmp_path / "policy.yml")
