# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a repair counts as proven by the operator's own PromQL, and what becomes of one that does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.faults.classes import ACTIONS
from autoglm_recovery.policy import PolicyError, parse_policy
from autoglm_recovery.policy.proof import PLACES
from autoglm_recovery.receiver.explain import explain
from autoglm_recovery.receiver.proof import Proof, question, read
from autoglm_recovery.receiver.world import World

from .desk import FLEET, desk

POLICY = """
monitoring: {prometheus: {url: 'http://127.0.0.1:9090'}}
recovery: {strategies: {oom: {delay: 0s, resolve_within: 5m, verify: 'up{host="$host"} == 1'}}}
"""
TARGET = {"host": "node-a", "service": "llama", "pool": None, "gpu": None}


def answer(*values: str, kind: str = "vector", **more: object) -> dict:
    """Return an answer of Prometheus."""
    result = (
        [7.0, values[0]]
        if kind == "scalar"
        else [{"metric": {"n": str(n)}, "value": [7.0, v]} for n, v in enumerate(values)]
    )
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


@pytest.mark.parametrize(
    ("told", "holds", "said"),
    [
        (answer("1"), True, "it is 1 for n=0"),
        (answer("0.5", "2"), True, "it is 0.5 for n=0, and 1 more"),
        (answer(), False, "it finds nothing"),
        (answer("1", "0", "0"), False, "it is 0 for n=1, and 1 more"),
        (answer("NaN"), False, "it is nan for n=0"),
        (answer("+Inf"), True, "it is inf for n=0"),
        (answer("3", kind="scalar"), True, "it is 3"),
        (answer("0", kind="scalar"), False, "it is 0"),
        (answer("1", warnings=["a store is away"]), None, "Prometheus warns: a store is away"),
    ],
)
def test_a_repair_holds_if_there_is_a_value_and_none_is_zero(told, holds, said):
    assert read(told) == Proof(holds, said)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.floats()
        | st.text()
        | st.sampled_from(["success", "vector", "scalar", "matrix"]),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["status", "data", "resultType", "result", "value", "metric"]), inner)
        ),
    )
)
def test_what_is_no_answer_is_never_a_proof(told):
    try:
        proof = read(told)
    except ValueError as error:
        assert str(error)
    else:
        assert not proof.holds or told["data"]["result"]


def test_the_target_is_put_into_the_expression():
    assert question('up{host="$host",job=~".*$"} > $service', TARGET) == 'up{host="node-a",job=~".*$"} > llama'


@pytest.mark.parametrize(
    ("expression", "target", "said"),
    [
        ('up{pool="$pool"}', TARGET, "the incident has no pool to put in for $pool"),
        ('up{gpu="$gpu"}', {"gpu": '"} or vector(1) #'}, "characters that are not put into a query"),
    ],
)
def test_what_cannot_be_put_in_is_said(expression, target, said):
    with pytest.raises(ValueError, match="incident") as caught:
        question(expression, target)
    assert said in str(caught.value)


@given(st.sampled_from(PLACES), st.text(min_size=1))
def test_no_target_ends_the_quotes_around_it(place, value):
    try:
        asked = question(f'up{{x="${place}"}}', {place: value})
    except ValueError:
        return
    assert asked == f'up{{x="{value}"}}'
    assert not set(value) & set("\"'`\\{}()#\n ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("verify: 'up{host=\"$hots\"}'", "$hots stands for nothing; known: $host, $service, $pool, $gpu"),
        ("verify: ' '", "is empty; write a PromQL expression, or probe"),
        ("verify: up", "but monitoring.prometheus says nothing about one; give its url"),
    ],
)
def test_an_expression_that_cannot_be_asked_for_is_refused(text, said):
    with pytest.raises(PolicyError) as caught:
        parse_policy(f"recovery: {{strategies: {{oom: {{{text}}}}}}}")
    assert said in str(caught.value.problems[0])


def test_probe_asks_for_nothing_more():
    strategy = parse_policy("recovery: {strategies: {oom: {verify: probe}}}").recovery.strategy("oom")
    assert strategy.expression is None


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path, POLICY) as made:
        yield made


def repaired(at) -> float:
    """Have a run prove its repair."""
    began = at.fire("node-a", "oom")
    at.end_run("node-a", 0)
    assert at.state() == "verifying"
    return began


def test_alert_and_expression_have_to_agree(at):
    began = repaired(at)
    at.resolve("node-a", "oom", began)
    assert at.state() == "verifying"
    at.proofs[1] = Proof(False, "it finds nothing")
    at.look_again()
    assert at.state() == "verifying"
    assert at.timeline()[-1] == "the alert has resolved; verify has not been seen to hold: it finds nothing"
    at.proofs[1] = Proof(True, "it is 1 for host=node-a")
    at.look_again()
    assert at.state() == "resolved"
    assert (
        "restart_process proved its repair and the alert has resolved, and verify holds: it is 1" in at.timeline()[-1]
    )


def test_an_expression_that_holds_does_not_outvote_an_alert_that_fires(at):
    repaired(at)
    at.proofs[1] = Proof(True, "it is 1")
    at.look_again()
    assert at.state() == "verifying"
    at.pass_time(301)
    at.turn()
    assert at.incident().fault_mode == "persistent"
    assert at.rows_of_runs() == ["unverified", "launching"]


@pytest.mark.parametrize(
    "proof", [None, Proof(False, "it finds nothing"), Proof(None, "Prometheus cannot be asked: no route")]
)
def test_without_a_proof_a_person_is_called_and_no_higher_rung_is_taken(at, proof):
    began = repaired(at)
    if proof is not None:
        at.proofs[1] = proof
    at.resolve("node-a", "oom", began)
    at.pass_time(299)
    at.turn()
    assert at.state() == "verifying"
    at.pass_time(2)
    at.turn()
    assert at.state() == "escalated"
    assert at.rows_of_runs() == ["unverified"]
    said = "has not been asked yet" if proof is None else proof.said
    assert "the alert has resolved, but verify did not hold within 5m" in at.incident().reason
    assert said in at.incident().reason


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('up{host="$host"}', 'and Prometheus finds up{host="node-a"}'),
        ('up{gpu="$gpu"}', 'and Prometheus finds up{gpu="$gpu"}, which cannot be asked: the incident has no gpu'),
    ],
)
def test_an_explanation_says_what_will_be_asked(tmp_path, expression, said):
    text = "monitoring: {prometheus: {url: 'http://p'}}\n"
    text += f"recovery: {{strategies: {{oom: {{verify: {expression!r}}}}}}}"
    world = World(parse_policy(text), FLEET, frozenset(ACTIONS), tmp_path)
    fired = {"status": "firing", "labels": {"alertname": "Oom", "failure_class": "oom", "host": "node-a"}}
    fired |= {"annotations": {}, "startsAt": "2026-11-22T20:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}
    payload = {"version": "4", "groupKey": "g", "receiver": "r", "status": "firing", "alerts": [fired]}
    (told,) = explain(json.dumps(payload).encode(), world, 1_800_000_000.0)
    assert told["proof"][-1].startswith(said)
