# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which failure class an alert belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.receiver.triage.classify import classify

POLICY = parse_policy(
    """
classify:
  - match: 'alertname="HostOom"'
    failure_class: oom
  - match: ['alertname=~"Host.*"', 'severity="page"']
    failure_class: node_down
"""
)


@pytest.mark.parametrize("failure_class", FAILURE_CLASSES)
def test_our_own_label_names_the_class(failure_class):
    assert classify({"failure_class": failure_class}, Policy())[0] == failure_class


@pytest.mark.parametrize(
    ("labels", "failure_class"),
    [
        ({"alertname": "HostOom"}, "oom"),
        ({"alertname": "HostOom", "severity": "page"}, "oom"),  # the first entry that matches
        ({"alertname": "HostGone", "severity": "page"}, "node_down"),
        ({"alertname": "HostGone"}, "unknown"),
        ({"alertname": "HostOom", "failure_class": "crash"}, "crash"),  # our own label first
        ({}, "unknown"),
    ],
)
def test_the_policy_maps_other_peoples_alerts(labels, failure_class):
    assert classify(labels, POLICY)[0] == failure_class


def test_a_class_that_is_none_is_unknown_and_says_what_was_meant():
    assert classify({"failure_class": "oomm"}, Policy()) == (
        "unknown",
        "failure_class='oomm' is no failure class; did you mean oom?",
    )


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=80)), st.text(max_size=200))
def test_any_labels_have_a_class_and_a_reason(labels, word):
    failure_class, why = classify({**labels, "failure_class": word}, POLICY)
    assert failure_class in FAILURE_CLASSES
    assert why
