# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's own actions and failure classes: what they count as, and what is said of mistakes about them."""

from __future__ import annotations

import jsonschema
import pytest
import yaml

from autoglm_recovery.knowledge.faults.classes import (
    ACTIONS,
    FAILURE_CLASSES,
    GPU_ACTIONS,
    HOST_WIDE_ACTIONS,
    ROOT_CAUSE_ORDER,
    STILL_SERVING,
    destroys,
)
from autoglm_recovery.policy import Policy, PolicyError, parse_policy
from autoglm_recovery.policy.published import json_schema
from autoglm_recovery.policy.repertoire import OURS

OWN = """
actions:
  power_cycle:
    playbook: acme.ops.power_cycle
    destructive: true
    host_wide: true
    launcher: awx
    template: Power cycle a node
    extra_vars: {outlet_group: row7, tries: 3, dry: false, ports: [1, 2]}
    proof: service
  free_disk:
    playbook: /etc/autoglm/playbooks/free_disk.yml
    destructive: false
    host_wide: false
    proof: playbook
classes:
  disk_full:
    ladder: [free_disk, quarantine_node]
    serving: true
    cause_before: oom
  disk_slow: {cause_before: disk_full}
launchers:
  awx: {url: "https://awx.example.org", token_file: /etc/autoglm/awx-token}
recovery:
  autonomy: {classes: {disk_full: ask}}
  strategies:
    disk_full: {retries: 1}
    gpu_lost: {then: [power_cycle]}
classify:
  - {match: alertname="NodeFilesystemFull", failure_class: disk_full}
notify:
  routes: [{urls_file: /etc/autoglm/urls, classes: [disk_full]}]
"""


def said(text: str) -> str:
    """Return what is said about a wrong policy."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml")
    return str(caught.value)


def test_every_section_that_names_an_action_or_a_class_takes_own_ones() -> None:
    policy = parse_policy(OWN)
    assert policy.ladder("disk_full") == ("free_disk", "quarantine_node")
    assert policy.ladder("disk_slow") == ()
    assert policy.ladder("gpu_lost") == ("failover_and_rebuild", "power_cycle")
    assert policy.recovery.autonomy.of("disk_full", None).value == "ask"
    errors = jsonschema.Draft202012Validator(json_schema()).iter_errors(yaml.safe_load(OWN))
    assert [error.message for error in errors] == []


def test_one_place_says_of_own_and_built_in_alike_what_they_are() -> None:
    known = parse_policy(OWN).repertoire
    assert known.actions == (*ACTIONS, "power_cycle", "free_disk")
    assert known.classes == (*FAILURE_CLASSES, "disk_full", "disk_slow")
    assert [known.destructive(each) for each in ("power_cycle", "free_disk")] == [True, False]
    assert [known.host_wide(each) for each in ("power_cycle", "free_disk")] == [True, False]
    assert [known.wears_gpu(each) for each in ("power_cycle", "free_disk")] == [True, False]
    assert known.cost("free_disk") < known.cost("reset_gpu") < known.cost("power_cycle") == known.cost("reboot_node")
    assert known.playbook("free_disk") == "/etc/autoglm/playbooks/free_disk.yml"
    assert known.playbook("reset_gpu") == "autoglm.recovery.reset_gpu"
    assert (known.proof("free_disk"), known.proof("restart_process")) == ("playbook", None)
    assert known.still_serving == STILL_SERVING | {"disk_full"}


def test_without_own_ones_nothing_is_other_than_it_was() -> None:
    assert Policy().repertoire.causes == OURS.causes == ROOT_CAUSE_ORDER
    assert {each for each in ACTIONS if OURS.destructive(each)} == {
        "failover_and_rebuild",
        "isolate_and_snapshot",
        "quarantine_node",
        "reboot_node",
        "reset_gpu",
        "safe_shutdown",
    }
    assert {each for each in ACTIONS if OURS.host_wide(each)} == HOST_WIDE_ACTIONS
    assert {each for each in ACTIONS if OURS.wears_gpu(each)} == GPU_ACTIONS
    assert [OURS.cost(each) for each in (*ACTIONS, "of nobody")] == [destroys(each) for each in (*ACTIONS, "of nobody")]
    assert OURS.ladder("of nobody") == ()
    assert OURS.depth("of nobody") == OURS.depth("unknown")


def test_of_an_action_of_which_nothing_is_said_the_worst_is_assumed() -> None:
    own = parse_policy("actions: {clean: {playbook: acme.ops.clean}}").actions["clean"]
    assert (own.destructive, own.host_wide, own.proof) == (True, True, "service")


def test_an_own_class_stands_right_before_the_effect_that_it_names_and_by_itself_before_unknown() -> None:
    causes = parse_policy(f"{OWN}\n").repertoire.causes
    assert causes[causes.index("oom") - 2 : causes.index("oom") + 1] == ("disk_slow", "disk_full", "oom")
    assert parse_policy("classes: {odd: {}}").repertoire.causes[-2:] == ("odd", "unknown")


AWX = "launchers: {awx: {url: 'https://a', token_file: /t}}"


@pytest.mark.parametrize(
    ("text", "where_and_what"),
    [
        (
            "actions: {free_disk: {playbook: acme.ops.free}}\nclasses: {full: {ladder: [free_dsk]}}",
            "p.yaml:2: classes.full.ladder.0: 'free_dsk' is not known (did you mean free_disk?)",
        ),
        (
            "classes: {disk_full: {}}\nrecovery: {strategies: {disk_ful: {}}}",
            "p.yaml:2: recovery.strategies.disk_ful: 'disk_ful' is not known (did you mean disk_full?)",
        ),
        (
            "classes:\n  a: {cause_before: oomm}",
            "p.yaml:2: classes.a.cause_before: 'oomm' is not known (did you mean oom?)",
        ),
        (
            "classes:\n  a: {cause_before: b}\n  b: {cause_before: a}",
            "p.yaml:2: classes.a.cause_before: these come before each other: a -> b -> a",
        ),
        (
            "classes: {oom: {}}",
            "classes.oom: is built in, and an own class cannot take its place; give it another name",
        ),
        ("classes: {a: {ladder: [reset_gpu, reset_gpu]}}", "reset_gpu is in the ladder twice"),
        ("actions: {reset_gpu: {playbook: a.b.c}}", "actions.reset_gpu: is built in"),
        ("actions: {check_service: {playbook: a.b.c}}", "actions.check_service: is built in"),
        ("actions: {Power-cycle: {playbook: a.b.c}}", "is no name for an own action; write a-z, 0-9 and _"),
        (f"actions: {{{'a' * 65}: {{playbook: a.b.c}}}}", "is longer than 64 characters"),
        (f"classes: {{{'a' * 33}: {{}}}}", "is longer than 32 characters"),
        ("actions: {x: {playbok: a.b.c}}", "actions.x.playbok: unknown key (did you mean playbook?)"),
        (
            "actions: {x: {playbook: power_cycle}}",
            "write a collection's, as in acme.ops.power_cycle, or an absolute path",
        ),
        ("actions: {x: {playbook: ../x.yml}}", "is no playbook"),
        ("actions: {x: {playbook: /etc/../x.yml}}", "is no path of a playbook"),
        ("actions: {x: {playbook: --become}}", "is no playbook"),
        (
            "actions: {x: {playbook: autoglm.recovery.reset_gpu}}",
            "name the action in a ladder, it needs no declaration",
        ),
        (
            "actions: {x: {playbook: a.b.c, destructive: 'no'}}",
            "actions.x.destructive: input should be a valid boolean",
        ),
        ("actions: {x: {playbook: a.b.c, proof: probe}}", "actions.x.proof: 'probe' is not known"),
        (
            "actions:\n  x: {playbook: a.b.c, launcher: awx}",
            "p.yaml:2: actions.x.launcher: is awx, but launchers.awx says",
        ),
        ("actions: {x: {playbook: a.b.c, launcher: local, template: T}}", "take one of them out"),
        (f"actions: {{x: {{playbook: a.b.c, template: T}}}}\n{AWX}", "nothing is launched by AWX; add launcher: awx"),
        (
            "actions: {x: {playbook: a.b.c, launcher: awx, template: T}}\n"
            "launchers: {awx: {url: 'https://a', token_file: /t, templates: {x: U}}}",
            "actions.x.template: launchers.awx.templates has one for x as well",
        ),
        (
            "actions: {x: {playbook: a.b.c}}\nrecovery: {strategies: {unknown: {action: x}}}",
            "p.yaml:2: recovery: strategies.unknown may not run x",
        ),
        ("classes: {a: {}}\nfaults: {xid: {79: {failure_class: a}}}", "map the alert onto it with classify"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_would_be_right(text: str, where_and_what: str) -> None:
    assert where_and_what in said(text)


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ("{autoglm_target: {host: b}}", "autoglm_target would stand in the way of what the receiver gives"),
        ("{ansible_host: 10.0.0.1}", "ansible_host is Ansible's, and could lead a run to another host"),
        ("{inventory_hostname: b}", "inventory_hostname is Ansible's"),
        ("{'a-b': 1}", "is no name of a variable"),
        ("{when: 2026-01-01}", "when is a date, which is no plain data; write it in quotes"),
        ("{a: .inf}", "a is no finite number"),
        ("{a: [{'{{ b }}': 1}]}", "has a key that is no plain text"),
        ("{bmc_password: hunter2}", "bmc_password holds what looks like a secret"),
        ("{a: {deep: ['https://u:hunter2@h']}}", "holds what looks like a secret"),
        (f"{{a: {'x' * 17000}}}", "is larger than 16384 bytes"),
    ],
)
def test_variables_are_plain_data_that_stands_in_nobody_s_way(variables: str, what: str) -> None:
    told = said(f"actions: {{x: {{playbook: a.b.c, extra_vars: {variables}}}}}")
    assert what in told
    assert "hunter2" not in told


def test_who_launches_an_action_and_as_which_template() -> None:
    policy = parse_policy(OWN)
    assert [policy.launcher("oom", each) for each in ("power_cycle", "free_disk", "restart_process")] == [
        "awx",
        "local",
        "local",
    ]
    assert [policy.template(each).name for each in ("power_cycle", "free_disk")] == [
        "Power cycle a node",
        "autoglm free_disk",
    ]


def test_what_may_destroy_something_needs_its_evidence_first() -> None:
    policy = parse_policy(OWN)
    assert [policy.evidence("oom", each) for each in ("power_cycle", "free_disk")] == ["required", "best_effort"]
