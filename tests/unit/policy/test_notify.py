# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom to tell, and that no secret in an address is told to anybody else."""

from __future__ import annotations

import logging

import pytest

from autoglm_recovery.policy import Policy, PolicyError, parse_policy

SECRET = "hunter2hunter2"


def test_a_plain_list_of_addresses_is_told_everything():
    policy = parse_policy(f"notify: ['json://user:{SECRET}@localhost/alerts', 'mailto://u:p@example.org']")
    assert [route.addresses() for route in policy.notify.routes] == [
        [f"json://user:{SECRET}@localhost/alerts"],
        ["mailto://u:p@example.org"],
    ]
    assert all(route.wants("escalated", "oom", None, ()) for route in policy.notify.routes)


def test_a_route_takes_what_fits_each_of_its_conditions():
    policy = parse_policy(
        """
        notify:
          console: https://recovery.example.org/
          routes:
            - urls: ['json://localhost']
              occasions: [escalated]
              severities: [critical]
              classes: [gpu_lost, gpu_fault]
              pools: [chat]
        """
    )
    (route,) = policy.notify.routes
    assert policy.notify.console == "https://recovery.example.org"
    assert route.wants("escalated", "gpu_lost", "chat", {"critical"})
    assert not route.wants("approval", "gpu_lost", "chat", {"critical"})
    assert not route.wants("escalated", "oom", "chat", {"critical"})
    assert not route.wants("escalated", "gpu_lost", "embed", {"critical"})
    assert not route.wants("escalated", "gpu_lost", "chat", {"warning"})


def test_addresses_may_stand_in_a_file_of_their_own(tmp_path):
    file = tmp_path / "urls"
    file.write_text("# on call\njson://localhost/a\n\njson://localhost/b\n")
    policy = parse_policy(f"notify: [{{urls_file: {file}}}]")
    assert policy.notify.routes[0].addresses() == ["json://localhost/a", "json://localhost/b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"notify: ['jsonn://u:{SECRET}@h']", "notify.routes.0.urls.0: Apprise cannot use this address (jsonn)"),
        (f"notify: ['{SECRET}']", "Apprise cannot use this address (what is there)"),
        (f"notify: [{{urls: 'json://{SECRET}@h'}}]", "notify.routes.0.urls"),
        (f"notify: 'json://{SECRET}@h'", "notify"),
        ("notify: [{occasions: [escalated]}]", "give urls, or urls_file with one address a line"),
        ("notify: [{urls: ['json://h'], occasions: [escalate]}]", "did you mean escalated?"),
        ("notify: [{urls: ['json://h'], class: [oom]}]", "did you mean classes?"),
    ],
)
def test_a_mistake_is_told_without_the_secret(text, said, caplog):
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml")
    told = str(caught.value)
    assert said in told
    assert SECRET not in told + caplog.text


def test_a_policy_that_is_shown_keeps_its_secrets():
    policy = parse_policy(f"notify: ['json://user:{SECRET}@localhost']")
    assert SECRET not in repr(policy) + str(policy.model_dump()) + policy.model_dump_json()
    assert Policy.model_json_schema()
