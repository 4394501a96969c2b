# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's own actions and classes count in every step of an incident as built-in ones do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_runner.config.runner import RunnerConfig

from autoglm_recovery.knowledge.faults.classes import ACTIONS
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.policy.own import OwnAction
from autoglm_recovery.receiver.console import fleet as console
from autoglm_recovery.receiver.console.filters import read_filter
from autoglm_recovery.receiver.console.policy import policy_page
from autoglm_recovery.receiver.decide.decide import decide, examine
from autoglm_recovery.receiver.decide.gather import affected
from autoglm_recovery.receiver.decide.ladder import next_step, rungs
from autoglm_recovery.receiver.doctor import own_actions
from autoglm_recovery.receiver.fleet.own_playbooks import found, runnable
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.observe.silences import NONE_ASKED
from autoglm_recovery.receiver.rehearse.backtest.events import events_of
from autoglm_recovery.receiver.rehearse.backtest.replay import replaying
from autoglm_recovery.receiver.rehearse.backtest.report import report
from autoglm_recovery.receiver.rehearse.explain import explain
from autoglm_recovery.receiver.runs.awx.settings import Template
from autoglm_recovery.receiver.runs.extra_vars import to_yaml
from autoglm_recovery.receiver.runs.local.container import runner_arguments
from autoglm_recovery.receiver.runs.local.run_directory import prepare
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunSpec
from autoglm_recovery.receiver.serve.launchers import templates_in_force
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.store.runs import CHECK
from autoglm_recovery.receiver.triage.classify import classify
from autoglm_recovery.receiver.values.model import Attempt, FaultMode, RunState, Target, Verb
from autoglm_recovery.receiver.values.situation import CapacityGroup, Situation
from tests.unit.receiver.fleet.test_installed_playbooks import install
from tests.unit.receiver.rehearse.backtest.test_replay import recorded, series

from .desk import FLEET, GPU, desk

NOW = 1_800_000_000.0
POLICY = """
actions:
  free_disk:
    {playbook: /etc/autoglm/free_disk.yml, destructive: false, host_wide: false, extra_vars: {below: "{{ 7 }}"}}
  flush_host: {playbook: acme.ops.flush_host, destructive: false, host_wide: true}
  power_cycle: {playbook: acme.ops.power_cycle, launcher: awx, template: Power cycle}
classes:
  disk_full: {ladder: [free_disk, quarantine_node], serving: true, cause_before: oom}
  wedged: {ladder: [power_cycle]}
launchers: {awx: {url: "https://awx.example.org", token_file: /t, templates: {reset_gpu: Reset}}}
"""
KNOWN = parse_policy(POLICY)
EVERY = frozenset({*ACTIONS, "free_disk", "flush_host", "power_cycle"})
FIRST = Situation(
    failure_class="wedged",
    mode=FaultMode.transient,
    target=Target("node-a", "llama", "chat", GPU),
    opened_at=NOW,
    now=NOW,
    playbooks=EVERY,
)


def with_policy(text: str) -> Policy:
    """Return the policy with more in it."""
    return parse_policy(POLICY + text)


def test_an_alert_may_name_an_own_class_and_one_misspelt_has_it_suggested() -> None:
    assert classify({"failure_class": "disk_full"}, KNOWN)[0] == "disk_full"
    failure_class, why = classify({"failure_class": "disk_ful"}, KNOWN)
    assert (failure_class, why) == ("unknown", "failure_class='disk_ful' is no failure class; did you mean disk_full?")


def test_what_may_destroy_something_is_never_done_in_a_partition_or_after_a_probe_alone() -> None:
    assert decide(KNOWN, FIRST).action == "power_cycle"
    for changed, why in (
        ({"mode": FaultMode.partitioned}, "in a partition nobody knows who is alive"),
        ({"only_probed": True}, "reaches beyond the service"),
    ):
        decision = decide(KNOWN, replace(FIRST, **changed))
        assert decision.verb is Verb.escalate
        assert why in decision.reason


def test_a_gpu_that_has_had_enough_of_an_own_action_has_the_next_rung() -> None:
    worn = replace(FIRST, gpu_actions={"power_cycle": 2})
    assert "ran 2 times on" in decide(KNOWN, worn).reason
    assert decide(KNOWN, replace(FIRST, gpu_actions={"power_cycle": 1})).verb is Verb.run


def test_a_dearer_action_never_takes_the_place_of_an_own_one_that_is_not_there() -> None:
    full = replace(FIRST, failure_class="disk_full", playbooks=EVERY - {"free_disk"})
    decision = decide(KNOWN, full)
    assert decision.verb is Verb.escalate
    assert (
        "the next action is free_disk, for which no playbook is installed, and quarantine_node above" in decision.reason
    )
    shown = dict(rungs(KNOWN.ladder("disk_full"), full.playbooks, KNOWN.repertoire))
    assert shown["free_disk"] == "no playbook installed: a person is called, because quarantine_node destroys more"


def test_an_own_action_that_destroys_nothing_is_repeated_where_nothing_above_it_is_installed() -> None:
    tried = (Attempt("free_disk", RunState.failed, NOW),)
    full = replace(FIRST, failure_class="disk_full", playbooks=frozenset({"free_disk"}), attempts=tried)
    assert (next_step(KNOWN, full).verb, next_step(KNOWN, full).action) == (Verb.run, "free_disk")
    wedged = replace(
        FIRST, playbooks=frozenset({"power_cycle"}), attempts=(Attempt("power_cycle", RunState.failed, NOW),)
    )
    assert next_step(KNOWN, wedged).verb is Verb.escalate


def test_a_host_wide_action_counts_every_service_of_the_host() -> None:
    members = frozenset({("node-a", "llama"), ("node-a", "embed"), ("node-b", "llama")})
    taken = {each: affected(members, FIRST.target, each, KNOWN.repertoire) for each in EVERY}
    assert taken["power_cycle"] == taken["flush_host"] == {("node-a", "llama"), ("node-a", "embed")}
    assert taken["free_disk"] == {("node-a", "llama")}


@pytest.mark.parametrize(("action", "passes"), [("free_disk", True), ("flush_host", False), ("power_cycle", False)])
def test_only_what_takes_nothing_more_away_passes_the_guardrail_on_a_target_that_serves_nobody(action, passes) -> None:
    policy = with_policy(f"recovery: {{strategies: {{crash: {{action: {action}, then: []}}}}}}")
    crowded = replace(FIRST, failure_class="crash", capacity_groups=(CapacityGroup("pool chat", 2, 1, 1),))
    step = next_step(policy, crowded)
    (finding,) = [each for each in examine(policy, crowded, step) if each.rule == "unavailable in pool chat"]
    assert (finding.verdict is None) is passes


@pytest.fixture
def at(tmp_path):
    """Return a desk with the policy in force, and all playbooks installed."""
    with desk(tmp_path, POLICY) as made:
        made.config = replace(made.config, playbooks=made.config.playbooks | EVERY)
        yield made


def test_an_own_class_names_the_cause_and_is_climbed(at) -> None:
    at.policy(f"{POLICY}recovery: {{strategies: {{oom: {{delay: 1h}}}}}}")
    at.fire("node-c", "oom")
    at.fire("node-c", "disk_full")
    at.fire("node-c", "wedged")
    assert (at.incident().failure_class, at.incident().state) == ("disk_full", "running")
    (run,) = at.rows(schema.runs)
    assert (run.action, run.launcher) == ("free_disk", "local")


def test_an_own_action_is_launched_where_it_says(at) -> None:
    at.fire("node-c", "wedged")
    (run,) = at.rows(schema.runs)
    assert (run.action, run.launcher) == ("power_cycle", "awx")


def test_what_still_serves_is_not_missing_in_its_pool(at) -> None:
    at.policy(f"{POLICY}recovery: {{autonomy: watch}}")
    serving = KNOWN.repertoire.still_serving
    at.fire("node-a", "disk_full", service="llama")
    at.fire("node-b", "wedged", service="llama")
    with at.database.reading() as connection:
        assert store.out_of_service(connection, "chat", 0, serving) == {("node-b", "llama")}
        assert store.hosts_out(connection, serving) == {"node-b"}
        rows = console.active_incidents(connection)
    page = console.fleet_page(
        FLEET, at.config.policy.guardrails, rows, NONE_ASKED, now=at.now, inventory="i", serving=serving
    )
    stands = {member.host: member.stands for pool in page.pools if pool.name == "chat" for member in pool.members}
    assert (stands["node-a"], stands["node-b"]) == ("affected", "out")


def test_what_the_policy_has_no_more_is_a_person_s_and_breaks_nothing(at) -> None:
    at.policy(f"{POLICY}recovery: {{autonomy: ask}}")
    at.fire("node-c", "disk_full")
    at.policy("")
    at.fire("node-c", "overload")
    assert at.incident().failure_class == "overload"
    at.policy(f"{POLICY}recovery: {{autonomy: ask}}")
    at.fire("node-b", "disk_full")
    at.policy("")
    at.order(2, "approve")
    assert at.incident(2).state == "escalated"
    assert at.incident(2).reason == "no action is defined for failure class disk_full"


PROOF = "classes: {full: {ladder: [free]}}\nactions: {free: {playbook: a.b.free, destructive: false, proof: %s}}"


def repaired(at, proof: str, **labels: str):
    """Have an own action end well, and the alert end."""
    at.policy(PROOF % proof)
    at.config = replace(at.config, playbooks=at.config.playbooks | {"free"})
    began = at.fire("node-c", "full", **labels)
    assert at.end_run("node-c", 0) == "free"
    at.resolve("node-c", "full", began, **labels)
    return [row for row in at.rows(schema.runs) if row.action == "check_service"]


@pytest.mark.parametrize("nature", ["state", "event"])
def test_with_the_proof_service_the_service_has_to_say_that_it_is_well(at, nature) -> None:
    at.probe = None
    assert len(repaired(at, "service", nature=nature)) == 1
    assert at.state() == "verifying"
    at.checked("healthy")
    at.turn()
    assert at.state() == "resolved"
    assert "free ended well and the alert has resolved, and its own probe says so" in at.incident().reason


@pytest.mark.parametrize("nature", ["state", "event"])
def test_with_the_proof_playbook_its_good_end_is_enough_and_nobody_is_asked(at, nature) -> None:
    at.watchdog_at = 0.0
    assert repaired(at, "playbook", nature=nature) == []
    assert at.state() == "resolved"
    assert "its playbook has ended well, which is its proof" in at.incident().reason


def test_with_the_proof_none_only_a_credible_end_of_the_alert_counts(at) -> None:
    assert repaired(at, "none") == []
    assert at.state() == "resolved"


def test_with_the_proof_none_an_end_that_proves_nothing_is_a_person_s(at) -> None:
    assert repaired(at, "none", nature="event") == []
    assert at.state() == "verifying"
    at.pass_time(301)
    at.turn()
    assert at.state() == "unproven"
    assert "the policy says of free that its proof is none, and so the service is not asked" in at.incident().reason


def test_a_playbook_that_fails_proves_nothing_whatever_its_action_says(at) -> None:
    at.policy(PROOF % "playbook")
    at.config = replace(at.config, playbooks=frozenset({"free"}))
    began = at.fire("node-c", "full")
    at.end_run("node-c", 1)
    at.resolve("node-c", "full", began)
    assert at.state() != "resolved"


def test_explain_says_what_would_be_launched_with_what_and_what_proves_it() -> None:
    config = SiteConfig(KNOWN, FLEET, EVERY, Path("i"))
    labels = [{"failure_class": name, "host": "node-c", "alertname": "A"} for name in ("disk_full", "wedged")]
    alerts = [
        {"labels": each, "annotations": {}, "status": "firing", "startsAt": "2026-11-22T20:00:00Z"} for each in labels
    ]
    body = {"version": "4", "groupKey": "g", "receiver": "r", "status": "firing", "alerts": alerts}
    full, wedged = explain(json.dumps(body).encode(), config, NOW)
    assert (full["playbook"], full["launcher"], full["template"]) == ("/etc/autoglm/free_disk.yml", "local", None)
    assert full["extra_vars"]["below"] == "{{ 7 }}"
    assert full["extra_vars"]["autoglm_incident"]["host_wide"] is False
    assert full["extra_vars"]["autoglm_incident"]["timeout"] == 600
    assert full["ladder"] == ["1 free_disk <- next", "2 quarantine_node", "3 a person"]
    assert (wedged["launcher"], wedged["template"]) == ("awx", "Power cycle")
    assert wedged["extra_vars"]["autoglm_incident"]["host_wide"] is True
    assert full["proof"][0] == "the playbook ends well, which alone proves nothing"


def test_a_backtest_climbs_own_ladders(tmp_path) -> None:
    record = recorded(series("node-c", "disk_full", (0, 90)), series("node-b", "wedged", (4000, 4090)))
    config = SiteConfig(KNOWN, FLEET, EVERY | {CHECK}, tmp_path)
    with replaying(tmp_path, config, 60.0) as replay:
        replay.run(events_of(record), record.until)
        result = report(record, events_of(record), replay, [], [])
    assert {(run["host"], run["action"], run["state"]) for run in result["runs"]} == {
        ("node-c", "free_disk", "succeeded"),
        ("node-b", "power_cycle", "succeeded"),
    }


def test_variables_of_the_policy_are_data_and_cannot_stand_for_ours(tmp_path) -> None:
    text = to_yaml({"given": {"list": ["{{ 7 * 6 }}", 5, True], "text": "{{ 1 }}"}})
    assert text.count("!unsafe") == 2
    prepare(tmp_path, RunSpec("/etc/autoglm/free_disk.yml", "node-a", Path("/inventory"), 60.0, {"a": ["x"]}))
    request = json.loads((tmp_path / "request.json").read_text())
    assert (request["playbook"], request["limit"]) == ("/etc/autoglm/free_disk.yml", "node-a")


def test_a_playbook_by_its_path_is_mounted_with_what_lies_beside_it(tmp_path) -> None:
    image = ExecutionEnvironment(image="x")
    playbook = tmp_path / "own" / "free.yml"
    given = runner_arguments(image, tmp_path / "1", tmp_path / "fleet" / "i.yml", tmp_path / "work", str(playbook))
    assert f"{playbook.parent}:{playbook.parent}:ro" in given["container_volume_mounts"]
    (tmp_path / "1" / "project").mkdir(parents=True)
    config = RunnerConfig(private_data_dir=str(tmp_path / "1"), playbook=str(playbook), limit="node-a", **given)
    config.prepare()
    assert config.command[-1] == str(playbook)
    with pytest.raises(LaunchRefused, match="cannot be mounted into the execution environment under its own name"):
        runner_arguments(image, tmp_path, Path("/etc/fleet/i.yml"), Path("/srv/work"), "/usr/free.yml")


def test_playbooks_are_found_as_ansible_finds_them(tmp_path, monkeypatch) -> None:
    install(tmp_path / "c", "restart_process", "free_disk")
    ops = tmp_path / "c/ansible_collections/acme/ops/playbooks"
    (ops / "deep").mkdir(parents=True)
    (ops / "power_cycle.yaml").touch()
    (ops / "deep" / "flush.yml").touch()
    (tmp_path / "free.yml").touch()
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path / "c"))
    actions = {
        "by_path": OwnAction(playbook=str(tmp_path / "free.yml")),
        "cycle": OwnAction(playbook="acme.ops.power_cycle"),
        "flush": OwnAction(playbook="acme.ops.deep.flush"),
        # Not the one of the collection that has this name.
        "free_disk": OwnAction(playbook="acme.ops.free_disk"),
        "nowhere": OwnAction(playbook="acme.nowhere.x"),
        "of_awx": OwnAction(playbook="acme.nowhere.y", launcher="awx"),
    }
    assert found(actions)["cycle"] == ops / "power_cycle.yaml"
    assert runnable(actions) == {"restart_process", "by_path", "cycle", "flush", "of_awx"}


PLAYS = {
    "takes": ("{{ autoglm_target.host }}", "ok"),
    "all": ("all", "ok"),
    "some": ("vectors", "note"),
    "none": ("localhost", "wrong"),
}


def test_a_collection_that_cannot_be_loaded_takes_its_own_actions_away_and_nothing_else(tmp_path, monkeypatch) -> None:
    broken = tmp_path / "ansible_collections/acme/broken"
    for folder in ("meta", "playbooks"):
        (broken / folder).mkdir(parents=True)
    (broken / "playbooks/cycle.yml").write_text("- hosts: all\n")
    (broken / "meta/runtime.yml").write_text("[no yaml: {\n")
    install(tmp_path, "restart_process")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(tmp_path))
    actions = {"cycle": OwnAction(playbook="acme.broken.cycle"), "free_disk": OwnAction(playbook="acme.none.x")}
    assert found(actions) == {"cycle": None, "free_disk": None}
    assert runnable(actions) == {"restart_process"}


@pytest.mark.slow
def test_the_doctor_says_of_each_own_action_whether_it_is_there_and_takes_one_host(tmp_path) -> None:
    for name, (hosts, _) in PLAYS.items():
        (tmp_path / f"{name}.yml").write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": []}]))
    (tmp_path / "broken.yml").write_text("- hosts: [")
    (tmp_path / "i.yml").write_text(json.dumps({"all": {"hosts": {"node-b": {}, "node-c": {}}, "children": {
        "vectors": {"hosts": {"node-b": {}}}}}}))  # fmt: skip
    actions = {
        name: {"playbook": f"{tmp_path}/{name}.yml", "extra_vars": {"x": "y"}} for name in (*PLAYS, "broken", "absent")
    }
    policy = Policy.model_validate({"actions": actions})
    config = SiteConfig(policy, FLEET, frozenset(actions) - {"absent"}, tmp_path / "i.yml")
    (absent,) = own_actions.check_present(config)
    assert (absent.where, absent.level) == ("actions.absent", "wrong")
    told = {each.where.removeprefix("actions."): each for each in own_actions.check_hosts(config)}
    assert {name: each.level for name, each in told.items()} == {
        **{name: level for name, (_, level) in PLAYS.items()},
        "broken": "wrong",
    }
    assert "has no play for node-c" in told["some"].what
    assert "cannot read" in told["broken"].what


def test_templates_are_those_of_the_policy_in_force() -> None:
    policies = [KNOWN]
    template = templates_in_force(lambda: policies[-1], "Ops")
    assert template("power_cycle") == Template("Power cycle", "Ops")
    assert [template(each).name for each in ("reset_gpu", "reboot_node")] == ["Reset", "autoglm reboot_node"]
    policies.append(parse_policy(POLICY.replace("Power cycle", "Cycle it")))
    assert template("power_cycle").name == "Cycle it"


def test_the_console_knows_own_classes_and_actions() -> None:
    assert read_filter({"class": "disk_full"}, KNOWN.repertoire.classes)[0].failure_class == "disk_full"
    page = policy_page(SiteConfig(KNOWN, FLEET, EVERY - {"free_disk"}, Path("i")))
    shown = {each.name: each for each in page.classes}
    assert [step.action for step in shown["disk_full"].ladder] == ["free_disk", "quarantine_node"]
    assert [step.destructive for step in shown["wedged"].ladder] == [True]
    assert {each.name: each.there for each in page.actions} == {
        "free_disk": False,
        "flush_host": True,
        "power_cycle": True,
    }
