# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor finds in what was read: every mistake with what to do, and nothing where nothing is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.declarable import options
from autoglm_recovery.knowledge.prometheus.hosts import VARIABLES
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.receiver.doctor import examine, hosts, settings, targets
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, well
from autoglm_recovery.receiver.doctor.inventory import HOST_VARIABLES, check_inventory
from autoglm_recovery.receiver.doctor.trying import LAST_TASK, read_trial
from autoglm_recovery.receiver.fleet.fleet import Fleet, fleet_from
from autoglm_recovery.rules.targets import targets_of

CHECKOUT = Path(__file__).parents[4]
SERVICE = {
    "name": "llama",
    "pool": "chat",
    "engine": "llama_cpp",
    "url": "http://127.0.0.1:80",
    "unit": "llama.service",
}
POOL = {"chat": {"min_available": 1, "balancer": {"kind": "haproxy", "socket": "/run/h.sock", "backend": "llm"}}}


def fleet(**given: dict[str, Any]) -> Fleet:
    """Return a fleet of these hosts' variables."""
    variables = {name.replace("_", "-"): values for name, values in given.items()}
    return fleet_from({"_meta": {"hostvars": variables}, "all": {"hosts": list(variables)}})


def service(**changes: Any) -> Fleet:
    """Return a fleet of one host with one service; a key that is None is left out."""
    changed = {key: value for key, value in {**SERVICE, **changes}.items() if value is not None}
    return fleet(node_a={"autoglm_services": [changed]})


def said(found: list[DoctorFinding]) -> str:
    """Return what has to be done."""
    return "\n".join(f"{each.where}: {each.what} -> {each.do}" for each in found if not well([each]))


def test_a_whole_inventory_is_well() -> None:
    whole = fleet(node_a={"autoglm_services": [SERVICE], "autoglm_pools": POOL}, node_b={"autoglm_services": [SERVICE]})
    assert check_inventory(whole, Policy()) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"stop_timeot": 1}, "nothing reads the key stop_timeot -> did you mean stop_timeout?"),
        ({"engine": "vlm"}, "there is no engine vlm -> did you mean vllm?"),
        ({"engine": None}, "has no engine"),
        ({"url": None}, "has no url"),
        ({"url": "127.0.0.1:80"}, "is no address"),
        ({"unit": None}, "has no unit, container or pid_file"),
        ({"container": "x"}, "has unit and container"),
        ({"unit": "llama server"}, "is no name of a unit"),
        ({"unit": None, "pid_file": "/run/x.pid"}, "no start_command"),
        ({"unit": None, "container": "x", "container_runtime": "dokcer"}, "did you mean docker?"),
        ({"pool": "{{ x }}"}, "its pool is a template"),
    ],
)
def test_mistakes_of_a_service(changes: dict[str, Any], what: str) -> None:
    assert what in said(check_inventory(service(**changes), Policy()))


@pytest.mark.parametrize(
    ("hosts_", "what"),
    [
        ({"node_a": {"autoglm_servises": []}}, "the variable autoglm_servises -> did you mean autoglm_services?"),
        ({"node_a": {"autoglm_servises": [SERVICE]}}, "no host has services"),
        ({"node_a": {"autoglm_services": [SERVICE, SERVICE]}}, "has two services llama"),
        ({"node_a": {"autoglm_services": [SERVICE], "autoglm_pools": {"chta": {}}}}, "did you mean chat?"),
        ({"node_a": {"autoglm_services": [SERVICE], "autoglm_pools": {"chat": {"balncer": 1}}}}, "mean balancer?"),
        (
            {"node_a": {"autoglm_services": [SERVICE], "autoglm_pools": {"chat": {"balancer": {"host": "node-c"}}}}},
            "the balancer of pool chat is on node-c, which is no host -> did you mean node-a?",
        ),
        (
            {"node_a": {"autoglm_services": [SERVICE], "autoglm_pools": {"chat": {"balancers": 5}}}},
            "pool chat: its balancers must be a list, not 5",
        ),
        (
            {"node_a": {"autoglm_services": [SERVICE], "autoglm_pools": {"chat": {"balancer": {"host": ["ops"]}}}}},
            "pool chat: its balancer.host must be a text, not a list",
        ),
        (
            {
                "node_a": {"autoglm_services": [SERVICE], "ansible_host": "192.0.2.1"},
                "node_b": {"ansible_host": "192.0.2.1"},
            },
            "192.0.2.1 names node-a and node-b",
        ),
    ],
)  # fmt: skip
def test_mistakes_of_hosts(hosts_: dict[str, Any], what: str) -> None:
    assert what in said(check_inventory(fleet(**hosts_), Policy()))


def test_a_mistake_of_a_group_s_variable_is_said_once_with_the_hosts_that_have_it() -> None:
    many = {f"n{number}": {"autoglm_services": [SERVICE], "autoglm_pools": {"chat": {}}} for number in range(5)}
    (found,) = check_inventory(fleet(**many), Policy())
    assert (found.where, found.what[:27]) == ("n0, n1, n2 and 2 more", "pool chat: has no balancer:")


def test_no_finding_repeats_a_secret_of_what_it_quotes() -> None:
    found = check_inventory(service(url="http://me:hunter2@[x", api_key=["hunter2"]), Policy())
    (finding,) = [each for each in found if "is no address" in each.what]
    assert "http://[redacted]@" in finding.what
    said = DoctorFinding(
        "trial", FindingLevel.wrong, "ansible said: api_key=hunter2-hunter2", do="use token: hunter2-hunter2"
    )
    assert "hunter2" not in f"{found}{said}"


def test_a_variable_of_somebody_else_is_only_noted() -> None:
    (found,) = check_inventory(fleet(node_a={"autoglm_services": [SERVICE], "autoglm_x": 1}), Policy())
    assert found.level is FindingLevel.note


def test_a_variable_of_the_inventory_plugin_is_nobodys_mistake() -> None:
    told = dict.fromkeys(VARIABLES, "x")
    assert check_inventory(fleet(node_a={"autoglm_services": [SERVICE], **told}), Policy()) == []


def test_what_the_policy_protects_must_be_there() -> None:
    policy = parse_policy(
        "recovery: {autonomy: {pools: {caht: ask}}}\n"
        "guardrails: {maintenance_windows: [{name: w, hosts: [node-aa], "
        "start: 2026-12-01T20:00:00Z, end: 2026-12-01T21:00:00Z}]}\n"
    )
    told = said(check_inventory(service(), policy))
    assert "recovery.autonomy.pools names caht, which the inventory does not have -> did you mean chat?" in told
    assert (
        "maintenance window w: hosts names node-aa, which the inventory does not have -> did you mean node-a?" in told
    )


def test_the_known_names_are_those_that_playbooks_read() -> None:
    files = [*(CHECKOUT / "playbooks").rglob("*.yml"), *(CHECKOUT / "roles/check_target").rglob("*.yml")]
    text = "\n".join(path.read_text("utf-8") for path in files)
    assert set(re.findall(r"autoglm_service\.([a-z_]+)", text)) <= options.SERVICE.keys()
    assert set(re.findall(r"autoglm_pool\.([a-z_]+)", text)) <= options.POOL.keys()
    documented = (CHECKOUT / "docs/playbooks.md").read_text("utf-8").split("## From the inventory")[1].split("##")[0]
    assert set(re.findall(r"`(autoglm_[a-z_]+)`", documented)) <= HOST_VARIABLES
    assert set(re.findall(r"recovery\.declared', '(autoglm_[a-z_]+)'", text)) <= HOST_VARIABLES


def test_what_is_looked_at_comes_from_the_inventory() -> None:
    nginx = {"kind": "nginx", "server": "{{ ansible_host }}:80", "count_unchecked": True}
    pools = {"chat": {"balancers": [{"socket": "/run/a", "host": "lb"}, nginx]}, "of others": {"balancer": nginx}}
    one = {"autoglm_services": [SERVICE], "autoglm_pools": pools}
    same = {"chat": {"balancer": {"socket": "/run/a", "host": "lb", "metrics_url": "http://lb"}}}
    other = {"autoglm_services": [{**SERVICE, "server": "b"}], "autoglm_pools": same}
    looks = {"units": ["llama.service"], "urls": [{"url": "http://127.0.0.1:80", "ca_path": None}]}
    # Asked once for all servers of it, with what a run would give the module; a template names nobody yet.
    assert hosts.plan({"node-a": one, "node-b": other, "lb": {"autoglm_pools": pools}}) == {
        "node-a": {**looks, "balancers": [{"balancer": {"kind": "nginx"}, "servers": []}]},
        "node-b": looks,
        "lb": {"balancers": [{"balancer": {"socket": "/run/a"}, "servers": ["node-a", "b"]}]},
    }


def event(kind: str, task: str, result: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return one of ansible-runner's events (its documentation, "Artifacts, job events")."""
    data = {"host": "node-a", "task": task, "res": result}
    return {"event": kind, "created": "2026-11-28T12:00:00.500000+00:00", "event_data": data, **more}


def item(task: str, result: dict[str, Any]) -> dict[str, Any]:
    """Return the event of one item of a loop."""
    return event("runner_item_on_ok", task, result)


def balancer(**result: Any) -> dict[str, Any]:
    """Return the event of what drain_inference answers, as its RETURN has it."""
    asked = {"balancer": POOL["chat"]["balancer"], "servers": ["node-a"]}
    return item("Balancer", {"item": asked, "obstacles": [], "pool": [], **result})


@pytest.mark.parametrize(
    ("told", "what"),
    [
        (event("runner_on_unreachable", "Clock", {"msg": "Host key verification failed."}), "known_hosts"),
        (event("runner_on_unreachable", "Clock", {"msg": "root@x: Permission denied (publickey)."}), "authorized_keys"),
        (event("runner_on_failed", "Clock", {"module_stderr": "sudo: a password is required"}), "become root"),
        (event("runner_on_ok", "Clock", {"stdout": "1795867260"}), "its clock is 60 s ahead of the receiver's"),
        (event("runner_on_ok", "Clock", {"stdout": "soon"}), "its clock could not be read"),
        (item("Unit", {"item": "x.service", "rc": 0, "stdout": "not-found"}), "has no unit x.service"),
        (item("Unit", {"item": "x.service", "rc": 2, "msg": "no systemctl"}), "could not be looked at"),
        (
            item("Container", {"item": {"name": "c", "runtime": "podman"}, "rc": 125, "stderr": "no"}),
            "podman shows no container c",
        ),
        (
            item("Address", {"item": {"url": "http://x"}, "status": -1, "msg": "refused"}),
            "http://x does not answer there: refused",
        ),
        (
            balancer(outcome="refused", obstacles=[{"what": "level operator", "do": "level admin"}]),
            "a drain by haproxy llm would fail: level operator -> level admin",
        ),
        (
            balancer(outcome="refused", obstacles=[{"what": "x", "do": ""}]),
            "would fail: x -> docs/balancers.md says what it needs",
        ),
        (balancer(outcome="queried", pool=[{"name": "b"}]), "haproxy llm has no server node-a; it has: b -> give its"),
        (balancer(msg="Unsupported parameters: sokcet"), "cannot be asked as a run would: Unsupported parameters"),
        (balancer(msg="Refused by autoglm-root, nothing"), "-> write autoglm-root's declaration anew with autoglm"),
        (balancer(outcome="refused", obstacles=[]), "cannot be asked as a run would: no reason was given"),
        (balancer(outcome="queried"), "haproxy llm has no server node-a; it has: none"),
        (balancer(outcome="queried", pool="x"), "balancer: the answer cannot be read"),
    ],
)  # fmt: skip
def test_looks_at_hosts_are_read(told: dict[str, Any], what: str) -> None:
    assert what in said(hosts.read_looks([told]))


def test_a_host_where_all_is_there_is_well() -> None:
    told = [
        event("runner_on_ok", "Clock", {"stdout": "1795867200"}),
        item("Unit", {"item": "x.service", "rc": 0, "stdout": "loaded"}),
        item("Address", {"item": {"url": "http://x"}, "status": 503}),
        balancer(outcome="queried", pool=[{"name": "b"}, {"name": "node-a"}]),
    ]
    found = hosts.read_looks(told)
    assert well(found)
    assert [(each.check, each.level) for each in found] == [("ssh", FindingLevel.ok), ("balancers", FindingLevel.ok)]


def target(job: str, health: str = "up", **labels: str) -> dict[str, Any]:
    """Return one of Prometheus' activeTargets (its API, /api/v1/targets)."""
    url = "http://192.0.2.1:1/metrics"
    return {"labels": {"job": job, **labels}, "health": health, "scrapeUrl": url, "lastError": "refused"}


def test_targets_are_compared_with_the_inventory() -> None:
    of = service()
    expected = targets_of(of.declared, "http://127.0.0.1:9470")
    whole = [
        target("node", host="node-a"),
        target("autoglm", host="node-a"),
        target("inference", host="node-a", service="llama"),
        target("receiver", instance="x"),
    ]
    assert targets.check_targets(of, expected, whole) == []
    told = said(targets.check_targets(of, expected, [target("inference", host="node-b"), target("theirs", "down")]))
    assert "job inference has no target with host=node-a and service=llama" in told
    assert "job node has no target with host=node-a" in told
    assert "the receiver has no job" in told
    assert "autoglm_haproxy" not in told
    assert "host=node-b, which names no host -> did you mean node-a?" in told
    assert "cannot be scraped" not in told
    page = {**POOL["chat"]["balancer"], "metrics_url": "http://127.0.0.1:8405"}
    with_page = fleet(node_a={"autoglm_services": [SERVICE], "autoglm_pools": {"chat": {"balancer": page}}})
    behind = targets_of(with_page.declared, "http://127.0.0.1:9470")
    assert "autoglm_haproxy has no target for llama" in said(targets.check_targets(with_page, behind, whole))
    whole.append(target("autoglm_haproxy", replica_host="node-a", replica_service="llama"))
    assert targets.check_targets(with_page, behind, whole) == []
    down = said(targets.check_targets(of, expected, [target("node", "down", host="node-a")]))
    assert "http://192.0.2.1:1/metrics cannot be scraped: refused" in down


def scraped() -> list[dict[str, Any]]:
    """Return all targets that ``service`` is to have, each of them up."""
    named = [target("node", host="node-a"), target("autoglm", host="node-a"), target("receiver", instance="x")]
    return [*named, target("inference", host="node-a", service="llama")]


@pytest.mark.parametrize("health", ["unknown", "", "?"])
@pytest.mark.parametrize("number", range(4))
def test_a_target_that_was_not_scraped_yet_is_unknown(number: int, health: str) -> None:
    of, active = service(), scraped()
    expected = targets_of(of.declared, "http://127.0.0.1:9470")
    (ok,) = targets.read_targets(of, expected, [*active, target("theirs", "unknown")])
    assert (ok.level, ok.what) == (FindingLevel.ok, "scrapes what the inventory has: 4 targets")
    active[number]["health"] = health
    (found,) = targets.read_targets(of, expected, active)
    assert (found.level, found.where) == (FindingLevel.unknown, "x" if number == 2 else "node-a")


def test_nobody_says_that_all_is_scraped_where_the_exporter_is_not() -> None:
    of, active = service(), [each for each in scraped() if each["labels"]["job"] != "autoglm"]
    (found,) = targets.read_targets(of, targets_of(of.declared, "http://127.0.0.1:9470"), active)
    assert (found.level, found.where) == (FindingLevel.note, "node-a")
    assert well([found])


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"DEFAULT_ASK_VAULT_PASS": True}, "set vault_password_file"),
        ({"DEFAULT_BECOME_ASK_PASS": True}, "set become_password_file"),
        ({"DEFAULT_STRATEGY": "ansible.builtin.debug"}, "debugger"),
        ({"ENABLE_TASK_DEBUGGER": True}, "debugger"),
        ({"TAGS_SKIP": ["x"]}, "remove the section [tags]"),
    ],
)
def test_settings_that_make_runs_wait_or_skip(given: dict[str, Any], what: str) -> None:
    assert what in said(settings.check_settings(given))


def test_usual_settings_are_well() -> None:
    usual = {"DEFAULT_ASK_PASS": False, "DEFAULT_STRATEGY": "linear", "TAGS_RUN": [], "TAGS_SKIP": []}
    assert settings.check_settings(usual) == []


def test_an_empty_run_is_read() -> None:
    ok = [{"event": "runner_on_ok", "event_data": {"host": host, "task": LAST_TASK, "res": {}}} for host in "ab"]
    assert well(read_trial(0, "", ok, frozenset("ab")))
    assert "does not have these hosts" in said(read_trial(0, "", ok, frozenset("abc")))
    assert "begins no task: no vault secrets found" in said(read_trial(4, "no vault secrets found", [], frozenset("a")))
    failed = [event("runner_on_failed", "Read", {"msg": "Decryption failed (no vault secrets found)"})]
    assert "-> set vault_password_file" in said(read_trial(2, "", failed, frozenset(["node-a"])))
    assert "an empty run fails" in said(read_trial(1, "", ok, frozenset("ab")))
    assert not well(read_trial(None, "it took longer than 300 s", [], frozenset("a")))
    begun = [*ok, {"event": "runner_on_ok", "event_data": {"host": "c", "task": "Read what is needed to connect"}}]
    (cut,) = read_trial(0, "", begun, frozenset("abc"))
    assert (cut.level, cut.where) == (FindingLevel.unknown, "c")
    assert "did not come to its end there" in cut.what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("# nobody yet\n", "notify.routes.urls_file: nothing is in"),
        ("", "monitoring.prometheus.token_file: "),
        ("a token\n", "holds no token"),
        ("\xff", "urls_file: "),
        (None, "cannot be read"),
    ],
)
def test_files_that_would_fail_at_night_are_found(tmp_path: Path, text: str | None, what: str) -> None:
    file = tmp_path / "it"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    policy = parse_policy(
        f"monitoring: {{prometheus: {{url: 'http://127.0.0.1:1', token_file: {file}}}}}\n"
        f"notify: [{{urls_file: {file}}}]\n"
    )
    found = [finding.what for finding in examine._files(policy) if finding.level is FindingLevel.wrong]
    assert any(what in each for each in found), found
