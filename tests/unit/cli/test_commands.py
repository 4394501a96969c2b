# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line where it needs nothing but its own files: outputs for people and programs, and exit codes."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from autoglm_recovery import __version__
from autoglm_recovery.cli.main import app
from autoglm_recovery.knowledge.host.plain import plain


def run(*arguments: str, input: str | None = None):  # noqa: A002 - as typer calls it
    """Run the command and return its result."""
    return CliRunner().invoke(app, list(arguments), input=input)


@pytest.fixture
def bad(tmp_path):
    """Return a policy with one mistake."""
    path = tmp_path / "bad.yaml"
    path.write_text("monitoring:\n  intervall: 2s\n")
    return path


def test_check_of_a_bad_policy_names_the_line_and_exits_1(bad):
    result = run("check", str(bad))
    assert result.exit_code == 1
    assert result.stderr == f"{bad}:2: monitoring.intervall: unknown key (did you mean interval?)\n"


def test_check_for_programs(bad):
    result = run("check", str(bad), "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert (problem["line"], problem["key"]) == (2, "monitoring.intervall")
    assert problem["suggestion"] == "did you mean interval?"


def test_check_of_a_good_policy_says_what_it_will_not_do(tmp_path):
    path = tmp_path / "good.yaml"
    strategies = "{oom: {}, partition: {}, unknown: {action: safe_shutdown}}"
    monitoring = "{metrics: [cpu_load], thresholds: {latency: 1s}}"
    path.write_text(f"recovery: {{strategies: {strategies}}}\nmonitoring: {monitoring}")
    result = run("check", str(path), "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["ok"] is True
    assert any("elect_primary" in note for note in told["notes"])
    assert not any("safe_shutdown" in note for note in told["notes"])
    assert "monitoring.thresholds.latency: is not watched; write metrics: [cpu_load, latency]" in told["notes"]
    assert not any("restart_process is installed" in note for note in told["notes"])


def test_check_finds_the_mistakes_of_an_inventory_before_the_night(tmp_path):
    policy, inventory = tmp_path / "policy.yaml", tmp_path / "inventory.yml"
    policy.write_text("{}")
    good = "{name: llama, engine: vllm, url: 'http://127.0.0.1:80', unit: llama.service}"
    bad = "{name: embed, engin: vllm, url: 'http://127.0.0.1:81', unit: e.service, container: e}"
    inventory.write_text(f"all: {{hosts: {{node-a: {{autoglm_services: [{good}, {bad}]}}}}}}")
    result = run("check", str(policy), "-i", str(inventory), "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert (told["ok"], told["problems"]) == (False, [])
    assert [(each["where"], each["what"], each["do"]) for each in told["findings"]] == [
        ("embed on node-a", "nothing reads the key engin", "did you mean engine?"),
        ("embed on node-a", "has no engine: every run would be refused", told["findings"][1]["do"]),
        ("embed on node-a", "has unit and container", "give exactly one of them"),
    ]
    inventory.write_text(f"all: {{hosts: {{node-a: {{autoglm_services: [{good}]}}}}}}")
    result = run("check", str(policy), "-i", str(inventory))
    assert (result.exit_code, result.stdout) == (0, f"{policy}: ok\n{inventory}: ok\n")


def test_an_inventory_that_cannot_be_read_is_not_called_well(bad, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("{}")
    result = run("check", str(policy), "-i", str(tmp_path / "none.yml"))
    assert result.exit_code != 0
    assert "none.yml does not exist" in result.stderr
    assert "ok" not in result.stdout
    assert run("check", str(bad), "-i", str(tmp_path / "none.yml")).stderr.startswith(f"{bad}:2:")


def test_the_schemas_are_json_schema():
    schema = json.loads(run("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) >= {"monitoring", "recovery", "guardrails", "classify"}
    schema = json.loads(run("schema", "inventory").stdout)
    assert schema["properties"].keys() == {"autoglm_services", "autoglm_pools"}


def test_rules_refuse_a_bad_policy_and_write_nothing(bad, tmp_path):
    result = run("rules", "--policy", str(bad), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_rules_write_all_files_or_print_them_for_a_program(tmp_path):
    assert run("rules", "--out", str(tmp_path / "out")).exit_code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    written = {name: (tmp_path / "out" / name).read_text("utf-8") for name in names}
    assert json.loads(run("rules", "--json").stdout) == written
    assert run("rules").stdout == written["autoglm.rules.yml"]
    assert run("rules", "--json", "--out", str(tmp_path / "out")).exit_code == 2
    assert names == {
        *("autoglm.rules.yml", "receiver.rules.yml", "prometheus.yml", "alertmanager.yml"),
        *("prometheus.merge.yml", "alertmanager.merge.yml", "grafana-dashboard.json"),
        "grafana-fleet.json",
    }


def test_rules_for_hosts_of_a_program_have_their_targets_and_are_probed_where_there_is_a_prober():
    hosts = {"node-a": {"autoglm_services": [{"name": "llm", "engine": "vllm", "url": "http://127.0.0.1:8000"}]}}
    told = run("rules", "--json", "--hosts", "-", "--blackbox", "192.0.2.1:9115", input=json.dumps(hosts))
    files = json.loads(told.stdout)
    assert yaml.safe_load(files["targets/node.yml"]) == [{"targets": ["node-a:9100"], "labels": {"host": "node-a"}}]
    (probed,) = yaml.safe_load(files["targets/blackbox.yml"])
    assert probed["targets"] == ["http://node-a:8000/health"]
    jobs = {job["job_name"]: job for job in yaml.safe_load(files["prometheus.yml"])["scrape_configs"]}
    assert jobs["blackbox"]["relabel_configs"][-1]["replacement"] == "192.0.2.1:9115"


@pytest.mark.parametrize("hosts", ["{", "[]", '{"node-a": "no object"}'])
def test_rules_refuse_hosts_that_are_none(hosts):
    assert run("rules", "--json", "--hosts", "-", input=hosts).exit_code == 2
    assert run("rules", "--hosts", "-", input="{}").exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["frobnicate"], ["check"], ["incidents", "show", "x"], ["incidents", "show", "0"]]
)
def test_wrong_usage_exits_2(arguments):
    assert run(*arguments).exit_code == 2


def test_version():
    assert run("--version").stdout.strip() == __version__
    told = json.loads(run("version", "--json").stdout)
    assert told["autoglm_recovery"] == __version__
    assert told["ansible_core"] == metadata.version("ansible-core")
    assert f"ansible-core     {told['ansible_core']}" in run("version").stdout


def test_a_receiver_that_is_not_there_is_a_sentence_and_exit_3():
    result = run("incidents", "list", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert "cannot be asked" in result.stderr


@given(st.text())
def test_no_text_moves_the_cursor(text):
    assert plain(text).isprintable()


def test_plain_text_stays_as_it_is():
    assert plain("grüße, 世界 {{ x }}") == "grüße, 世界 {{ x }}"
    assert plain("\x1b[31mred\r\n") == r"\x1b[31mred\r\n"
