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
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.rehearse.explain import explain
from autoglm_recovery.receiver.verify.proof import Proof, question, read
from tests.unit.receiver.desk import FLEET, desk

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
    assert at.state() == "unproven"
    assert at.rows_of_runs() == ["unverified"]
    said = "has not been asked yet" if proof is None else proof.said
    assert "the alert has resolved; verify has not been seen to hold" in at.incident().reason
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
    config = SiteConfig(parse_policy(text), FLEET, frozenset(ACTIONS), tmp_path)
    fired = {"status": "firing", "labels": {"alertname": "Oom", "failure_class": "oom", "host": "node-a"}}
    fired |= {"annotations": {}, "startsAt": "2026-11-22T20:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}
    payload = {"version": "4", "groupKey": "g", "receiver": "r", "status": "firing", "alerts": [fired]}
    (told,) = explain(json.dumps(payload).encode(), config, 1_800_000_000.0)
    assert told["proof"][-1].startswith(said)


@pytest.mark.parametrize(
    ("named", "nature", "says"),
    [
        ({"nature": "state"}, "state", "confirms a repair that a playbook has proven"),
        ({"nature": "event"}, "event", "its end proves nothing, and while it fires its incident does not end"),
        ({"nature": "sticky"}, "sticky", "takes no part in a proof"),
        ({}, None, "nobody says whether it is a state: its end proves nothing"),
        ({"nature": "eternal"}, None, "nobody says whether it is a state"),
        ({"alertname": "Theirs"}, "event", "it ends by itself"),
    ],
)
def test_the_end_of_an_alert_is_explained_by_what_it_proves(tmp_path, named, nature, says):
    text = "classify: [{match: 'alertname=Theirs', failure_class: oom, nature: event}]"
    config = SiteConfig(parse_policy(text), FLEET, frozenset(ACTIONS), tmp_path)
    labels = {"alertname": "Oom", "host": "node-c"} | named
    if "alertname" not in named:
        labels["failure_class"] = "oom"
    ended = {"status": "resolved", "labels": labels, "annotations": {}, "startsAt": "2026-11-22T20:00:00Z"}
    ended |= {"endsAt": "2026-11-22T20:05:00Z"}
    payload = {"version": "4", "groupKey": "g", "receiver": "r", "status": "resolved", "alerts": [ended]}
    (told,) = explain(json.dumps(payload).encode(), config, 1_800_000_000.0)
    assert (told["decision"], told["nature"], told["failure_class"]) == ("resolve", nature, "oom")
    assert told["reason"].startswith("the end of the alert; ")
    assert says in told["reason"]
    # Nothing is run because of an end.
    assert (told["action"], told["playbook"], told["extra_vars"]) == (None, None, None)


def test_the_end_of_an_alert_without_a_target_is_refused_as_its_firing_is(tmp_path):
    config = SiteConfig(parse_policy(""), FLEET, frozenset(ACTIONS), tmp_path)
    ended = {"status": "resolved", "labels": {"alertname": "Oom", "failure_class": "oom", "host": "node-x"}}
    ended |= {"annotations": {}, "startsAt": "2026-11-22T20:00:00Z", "endsAt": "2026-11-22T20:05:00Z"}
    payload = {"version": "4", "groupKey": "g", "receiver": "r", "status": "resolved", "alerts": [ended]}
    (told,) = explain(json.dumps(payload).encode(), config, 1_800_000_000.0)
    assert (told["decision"], told["nature"]) == ("refuse", None)
    assert "node-x" in told["reason"]


def test_an_alert_that_resolves_too_late_is_asked_about_too(at):
    """What a run of the next rung would wait for here, a cooldown, leaves the time for it."""
    at.policy(POLICY.replace("delay: 0s", "delay: 0s, retries: 1, backoff: 10m"))
    began = repaired(at)
    at.pass_time(301)
    at.turn()
    assert (at.state(), at.rows_of_runs()) == ("waiting", ["unverified"])
    at.resolve("node-a", "oom", began)
    assert at.state() == "verifying"
    at.proofs[1] = Proof(True, "it is 1")
    at.look_again()
    assert at.state() == "resolved"
    assert "has resolved, and verify holds: it is 1, though the last run, restart_process, was" in at.incident().reason


def test_what_is_unproven_and_fires_again_is_acted_on_again(at):
    began = repaired(at)
    at.resolve("node-a", "oom", began)
    at.pass_time(301)
    at.turn()
    assert at.state() == "unproven"
    at.fire("node-a", "oom")
    assert at.running() == {"node-a": "failover_and_rebuild"}


def test_what_is_unproven_ends_with_a_late_proof(at):
    at.resolve("node-a", "oom", repaired(at))
    at.pass_time(301)
    at.turn()
    assert at.state() == "unproven"
    at.proofs[1] = Proof(True, "it is 1")
    at.look_again()
    assert at.state() == "resolved"


def test_without_verify_a_late_end_of_the_alert_still_ends_the_incident(at):
    at.policy("recovery: {strategies: {oom: {delay: 0s, retries: 1, backoff: 10m}}}")
    began = repaired(at)
    at.pass_time(301)
    at.turn()
    at.resolve("node-a", "oom", began)
    assert at.state() == "resolved"


def test_a_person_is_called_only_when_the_proof_could_have_come(at):
    began = repaired(at)
    at.resolve("node-a", "oom", began)
    at.proofs[1] = Proof(None, "it is 1; it counts from then on", counts_from=at.now + 290)
    at.look_again()
    at.pass_time(301)
    at.turn()
    assert at.state() == "verifying"
    at.proofs[1] = Proof(True, "it is 1")
    at.look_again()
    assert at.state() == "resolved"
