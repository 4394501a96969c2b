# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is called in service that nobody has heard of."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.prometheus.presence import HEARD, SILENT, UNKNOWN
from autoglm_recovery.policy.guardrails import Guardrails
from autoglm_recovery.receiver.console import fleet as console
from autoglm_recovery.receiver.decide.gather import _capacity_groups
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.presence import NOT_SET_UP, Presence, PresenceRoll, cannot_ask, looked
from autoglm_recovery.receiver.observe.silences import NONE_ASKED
from tests.unit.receiver.desk import desk

NOW = 1_800_000_000.0
FLEET = Fleet(
    {
        "node-a": Host("node-a", "192.0.2.11", (InferenceService("llama", "chat"),), ("ip-192-0-2-11",)),
        "node-b": Host("node-b", "fd00::2", (InferenceService("llama", "chat"),)),
        "ops": Host("ops"),
    }
)


def target(job: str, answered: bool, ago: float = 1.0, **labels: str) -> dict:
    """Return one element of the answer to the query."""
    at = NOW - ago
    return {"metric": {"job": job, "instance": "x:1", **labels}, "value": [NOW, str(at if answered else -at)]}


def roll(*targets: dict, before: PresenceRoll = NOT_SET_UP, now: float = NOW) -> PresenceRoll:
    """Return what a look finds."""
    answer = {"status": "success", "data": {"resultType": "vector", "result": list(targets)}}
    return looked(before, answer, FLEET, now, 40.0)


def word(found: PresenceRoll, host: str, service: str | None = None, now: float = NOW) -> str:
    """Return how something stands."""
    return found.of(host, service, now).word


def test_a_host_is_heard_of_where_any_target_of_it_answers():
    found = roll(
        target("node", True, host="node-a"),
        target("inference", False, host="node-a", service="llama"),
        target("node", False, host="node-b"),
    )
    assert [word(found, host) for host in FLEET.hosts] == [HEARD, SILENT, UNKNOWN]
    assert found.of("node-a", None, NOW).at == NOW - 1
    assert found.of("ops", None, NOW).why == "Prometheus has no target of it"


def test_a_service_is_heard_of_where_all_of_its_endpoints_answer_each_in_any_way():
    def llama(job: str, instance: str, answered: bool) -> dict:
        return target(job, answered, host="node-a", service="llama", instance=instance)

    both = [llama("inference", "a:1", True), llama("inference", "a:2", True)]
    assert word(roll(*both), "node-a", "llama") == HEARD
    one = [llama("inference", "a:1", True), llama("inference", "a:2", False)]
    assert word(roll(*one), "node-a", "llama") == SILENT
    slowly = [*one, llama("inference_slow", "a:2", True)]
    assert word(roll(*slowly), "node-a", "llama") == HEARD
    assert word(roll(target("node", True, host="node-a")), "node-a", "llama") == UNKNOWN


def test_names_are_those_of_the_inventory():
    for labels in (
        {"host": "NODE-A"},
        {"host": "ip-192-0-2-11"},
        {"instance": "192.0.2.11:9100"},
        {"instance": "node-a"},
    ):
        assert word(roll(target("node", True, **labels)), "node-a") == HEARD
    assert word(roll(target("node", True, instance="[fd00::2]:9100")), "node-b") == HEARD
    # Somebody else's host, or a service that is none of its own.
    found = roll(target("inference", True, host="elsewhere"), target("inference", True, host="node-a", service="other"))
    assert word(found, "node-a", "llama") == UNKNOWN
    assert found.of("node-a", "other", NOW).word == UNKNOWN


def test_old_scrapes_are_no_news():
    """Prometheus answers for five minutes with what it has scraped last."""
    found = roll(target("node", True, ago=121.0, host="node-a"))
    assert found.of("node-a", None, NOW) == Presence(UNKNOWN, NOW - 121.0, "Prometheus has not asked it lately")


def test_what_is_not_known_any_more_keeps_its_age():
    found = roll(target("node", True, host="node-a"))
    assert word(found, "node-a", now=NOW + 39) == HEARD
    assert found.of("node-a", None, NOW + 41) == Presence(UNKNOWN, NOW - 1, "Prometheus was asked too long ago")
    # One look that fails changes nothing, and many do.
    assert cannot_ask(found, "refused", NOW + 5) == found
    away = cannot_ask(found, "refused", NOW + 41)
    assert away.of("node-a", None, NOW + 41) == Presence(UNKNOWN, NOW - 1, "refused")
    back = roll(target("node", False, host="node-a", ago=-50.0), before=away, now=NOW + 51)
    assert back.of("node-a", None, NOW + 51) == Presence(SILENT, NOW - 1, "it does not answer Prometheus")


def test_without_a_prometheus_everything_is_unknown_and_says_why():
    assert "monitoring.prometheus" in NOT_SET_UP.of("node-a", None, NOW).why
    assert word(PresenceRoll(), "node-a") == UNKNOWN
    assert roll().of("node-a", None, NOW) == Presence(UNKNOWN, None, "Prometheus has no targets")


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_json | st.builds(lambda one: {"status": "success", "data": {"resultType": "vector", "result": [one]}}, _json))
def test_no_answer_breaks_the_reader_or_makes_anybody_heard_of(answer):
    with contextlib.suppress(ValueError):
        found = looked(NOT_SET_UP, answer, FLEET, NOW, 40.0)
        assert {word(found, host) for host in FLEET.hosts} == {UNKNOWN}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["node", "inference", "inference_slow"]), st.booleans(), st.sampled_from(list(FLEET.hosts))
        ),
        max_size=12,
    )
)
def test_in_service_is_only_what_has_answered(targets):
    found = roll(
        *(target(job, up, host=host, service="llama", instance=str(i)) for i, (job, up, host) in enumerate(targets))
    )
    page = console.fleet_page(FLEET, Guardrails(), [], NONE_ASKED, now=NOW, inventory="i", roll=found)
    answered = {host for _, up, host in targets if up}
    assert {host.name for host in page.hosts if host.stands == "in"} == answered
    engines = {host for job, up, host in targets if up and job != "node"}
    assert {m.host for pool in page.pools for m in pool.members if m.stands == "in"} <= engines


def test_incidents_come_before_what_is_heard():
    for failure_class, well, stands in (
        ("crash", False, "out"),
        ("crash", True, "affected"),
        ("overload", False, "affected"),
    ):
        row = SimpleNamespace(failure_class=failure_class, well=well)
        assert console.standing([row], Presence(HEARD, NOW, "")) == stands
        assert console.standing([row], Presence(UNKNOWN, None, "")) == stands
    assert [console.standing([], Presence(word, None, "")) for word in (HEARD, SILENT, UNKNOWN)] == [
        "in",
        SILENT,
        UNKNOWN,
    ]


def test_hosts_without_services_do_not_count_in_the_share_of_the_fleet(tmp_path):
    fleet = Fleet(
        {
            **{f"gpu-{n}": Host(f"gpu-{n}", services=(InferenceService("llama", "chat"),)) for n in range(4)},
            **{f"ops-{n}": Host(f"ops-{n}") for n in range(40)},
        }
    )
    with desk(tmp_path, fleet=fleet) as at:
        at.fire("gpu-0", "node_down")
        at.fire("ops-0", "node_down")

        def crowd(host: str):
            own = SimpleNamespace(target=SimpleNamespace(host=host, service=None, pool=None), incident_id=99)
            with at.database.reading() as connection:
                return next(
                    each for each in _capacity_groups(connection, fleet, own, "reboot_node") if each.name == "the fleet"
                )

        found = crowd("gpu-1")
        assert (found.size, found.others_out, found.affected) == (4, 1, 1)
        found = crowd("ops-1")
        assert (found.size, found.others_out, found.affected) == (4, 1, 0)
        with at.database.reading() as connection:
            rows = console.active_incidents(connection)
        page = console.fleet_page(fleet, Guardrails(), rows, NONE_ASKED, now=NOW, inventory="i")
        assert (page.hosts_counted, page.hosts_out, page.hosts_may_be_out) == (4, 1, 2)


def test_a_fleet_without_any_service_counts_all_its_hosts():
    assert Fleet({name: Host(name) for name in ("a", "b")}).serving == {"a", "b"}


@pytest.mark.parametrize("instance", ["", ":", "[", "[]:9", "a:b:c", "192.0.2.11", "\x00"])
def test_an_odd_instance_names_at_most_a_host(instance):
    roll(target("node", True, instance=instance))
