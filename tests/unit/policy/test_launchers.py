# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where playbooks run, as the policy says it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from autoglm_recovery.policy import Policy, PolicyError, parse_policy

AWX = """\
launchers:
  default: awx
  awx:
    url: https://awx.example.org/
    token_file: /etc/autoglm/awx-token
    templates:
      restart_process: Restart a replica
      failover_and_rebuild: {name: Fail over, workflow: true}
recovery:
  strategies:
    oom: {launcher: local}
"""


def problems(text: str) -> list[str]:
    """Return what is said about a wrong policy."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_playbooks_run_here_unless_the_policy_says_otherwise():
    assert Policy().launcher("oom") == "local"
    assert Policy().launchers.local.execution_environment is None
    assert Policy().launchers.local.artifacts_max_age == timedelta(days=14)


def test_a_strategy_may_choose_its_launcher():
    policy = parse_policy(AWX)
    assert (policy.launcher("oom"), policy.launcher("crash")) == ("local", "awx")


def test_templates_are_named_or_have_the_name_that_the_setup_gives_them():
    awx = parse_policy(AWX).launchers.awx
    assert (awx.url, awx.token_file) == ("https://awx.example.org", Path("/etc/autoglm/awx-token"))
    assert awx.template("restart_process").name == "Restart a replica"
    assert awx.template("failover_and_rebuild").workflow
    assert awx.template("reset_gpu").name == "autoglm reset_gpu"


def test_an_execution_environment_is_an_image_or_says_more():
    named = parse_policy("launchers: {local: {execution_environment: quay.io/team/ee:1}}").launchers.local
    assert (named.execution_environment.image, named.execution_environment.pull) == ("quay.io/team/ee:1", "missing")
    more = "{image: ee@sha256:ab, pull: never, mounts: ['/etc/keys:/root/.ssh:ro'], options: [--userns=keep-id]}"
    said = parse_policy(f"launchers: {{local: {{execution_environment: {more}}}}}").launchers.local
    assert said.execution_environment.mounts == ("/etc/keys:/root/.ssh:ro",)
    assert said.execution_environment.options == ("--userns=keep-id",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        *((f"image: {image}", "is no name of an image; write for example") for image in
          ("''", "'-v'", "'--privileged'", "an image", '"a\\nb"', "a;b", "x" * 256)),
        *((f"image: x, mounts: ['{mount}']", "is no mount; write for example /etc/") for mount in
          ("", "relative:/x", "/only", "/a:/b:ro:more")),
        ("image: x, options: [privileged]", "is no option of podman run"),
        ("image: x, pull: often", "input should be 'always', 'missing' or 'never', not 'often'"),
        ("imag: x", "did you mean image?"),
    ],
)  # fmt: skip
def test_what_podman_would_take_for_something_else_is_refused(wrong, said):
    told = problems(f"launchers: {{local: {{execution_environment: {{{wrong}}}}}}}")
    assert any(said in problem for problem in told), told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("launchers: {default: awx}", "launchers.awx says nothing about it; give its url and token_file"),
        ("recovery: {strategies: {oom: {launcher: awx}}}", "recovery.strategies.oom.launcher is awx"),
        ("launchers: {default: tower}", "'tower' is not known"),
        ("launchers: {awx: {url: awx.example.org, token_file: t}}", "write for example https://awx.example.org"),
        ("launchers: {awx: {url: 'https://me:secret@awx', token_file: t}}", "put secrets into a file of their own"),
        ("launchers: {awx: {url: 'https://awx:99999', token_file: t}}", "is no address; write for example"),
        ("launchers: {awx: {url: 'https://awx', token_fil: t}}", "did you mean token_file?"),
        ("launchers: {awx: {url: 'https://a', token_file: t, verify: false}}", "launchers.awx.verify: unknown key"),
        ("launchers: {awx: {url: 'https://a', token_file: t, timeout: 0s}}", "must be longer than nothing"),
        ("launchers: {awx: {url: 'https://a', token_file: t, templates: {resett_gpu: x}}}", "did you mean reset_gpu?"),
        ("launchers: {local: {artifacts_keep: 0}}", "greater than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused(text, said):
    assert any(said in problem for problem in problems(text)), problems(text)


def test_a_secret_in_an_address_is_not_repeated_in_the_message():
    told = problems("launchers: {awx: {url: 'https://me:hunter2@awx', token_file: t}}")
    assert not any("hunter2" in line for line in told)


def test_a_reboot_has_an_hour_unless_the_strategy_says_how_long():
    policy = parse_policy("")
    assert policy.timeout("gpu_fault", "local", "reboot_node") == timedelta(hours=1)
    assert policy.timeout("gpu_fault", "local", "reset_gpu") == timedelta(minutes=10)
    shorter = parse_policy("recovery: {strategies: {gpu_fault: {timeout: 20m}}}")
    assert shorter.timeout("gpu_fault", "local", "reboot_node") == timedelta(minutes=20)
