# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is cut off, what is frozen, and what is left alone because it is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation import plan
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.plan import (
    CUT,
    FREEZE,
    NET_ADMIN,
    NET_RAW,
    REFUSED,
    SYS_ADMIN,
    ProcessSeen,
    ServiceSeen,
)
from hypothesis import given
from hypothesis import strategies as st

HOST, OWN = frozenset({"4:1"}), frozenset({"4:7"})
MAIN = ProcessSeen(7, 100.0, stopped=False, namespaces=OWN)
CHILD = ProcessSeen(8, 101.0, stopped=False, namespaces=OWN)
SEEN = ServiceSeen("podman container vllm", 7, (MAIN, CHILD), HOST)


def test_one_in_a_network_of_its_own_is_cut_off_and_bare_packets_where_it_may_send_them() -> None:
    assert plan.decide(SEEN, True) == plan.IsolationDecision(CUT, "all of it is in a network namespace of its own")
    assert plan.decide(replace(SEEN, processes=(MAIN, replace(CHILD, capabilities=frozenset({NET_RAW})))), True).packets


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(SEEN, processes=(replace(MAIN, namespaces=HOST),)), "it has the host's network"),
        (
            replace(SEEN, processes=(MAIN, replace(CHILD, namespaces=HOST))),
            "more than one network namespace (process 8",
        ),
        (replace(SEEN, processes=(replace(MAIN, namespaces=OWN | {"4:9"}),)), "more than one network namespace"),
        (
            replace(SEEN, processes=(MAIN, replace(CHILD, capabilities=frozenset({NET_ADMIN})))),
            "CAP_NET_ADMIN (process",
        ),
        (replace(SEEN, processes=(replace(MAIN, capabilities=frozenset({SYS_ADMIN})),)), "CAP_SYS_ADMIN"),
        (replace(SEEN, processes=(replace(MAIN, holds=("an RDMA device",)),)), "process 7 holds an RDMA device"),
        (replace(SEEN, can_cut=False), "the host has no nft and nsenter"),
    ],
)
def test_what_rules_would_not_hold_is_frozen(seen: ServiceSeen, why: str) -> None:
    decision = plan.decide(seen, True)
    assert decision.outcome == FREEZE
    assert why in decision.words
    assert plan.decide(seen, False).outcome == REFUSED
    watched = plan.decide(replace(seen, watchdog="systemd's watchdog (WatchdogSec=1min)"), True)
    assert watched.outcome == REFUSED
    assert "frozen it would be ended by systemd's watchdog" in watched.words


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(SEEN, unread=("/proc/8: Permission denied",)), "Permission denied"),
        (replace(SEEN, main=None, processes=()), "it has no process"),
        (replace(SEEN, main=9), "its main process 9 is not among those that were read"),
        (replace(SEEN, has_us=True), "would end itself"),
        (replace(SEEN, host_namespaces=frozenset()), "which network namespaces there are could not be read"),
        (replace(SEEN, processes=(MAIN, replace(CHILD, namespaces=frozenset()))), "could not be read"),
    ],
)
def test_what_is_not_known_is_neither_cut_off_nor_frozen(seen: ServiceSeen, why: str) -> None:
    decision = plan.decide(seen, True)
    assert decision.outcome == REFUSED
    assert why in decision.words


SPACES = st.frozensets(st.sampled_from(["4:1", "4:7", "4:9"]), max_size=2)
PROCESSES = st.builds(
    ProcessSeen,
    pid=st.integers(7, 10),
    began=st.just(1.0),
    stopped=st.booleans(),
    namespaces=SPACES,
    capabilities=st.frozensets(st.sampled_from([1, NET_ADMIN, NET_RAW, SYS_ADMIN])),
    holds=st.sampled_from([(), ("a socket of the host's network",)]),
)
SERVICES = st.builds(
    ServiceSeen,
    label=st.just("x"),
    main=st.none() | st.integers(7, 10),
    processes=st.lists(PROCESSES, max_size=4, unique_by=lambda each: each.pid).map(tuple),
    host_namespaces=st.sampled_from([HOST, frozenset()]),
    has_us=st.booleans(),
    watchdog=st.sampled_from(["", "systemd's watchdog"]),
    can_cut=st.booleans(),
    unread=st.sampled_from([(), ("something",)]),
)


@given(SERVICES, st.booleans())
def test_rules_are_made_only_where_all_of_it_is_known_to_be_in_one_namespace_that_is_not_the_hosts(
    seen: ServiceSeen, may_freeze: bool
) -> None:
    decision = plan.decide(seen, may_freeze)
    assert decision.words
    if decision.outcome == REFUSED:
        return
    assert not seen.unread
    assert not seen.has_us
    assert seen.main in [each.pid for each in seen.processes]
    if decision.outcome == FREEZE:
        assert may_freeze
        assert not seen.watchdog
        return
    assert {frozenset(each.namespaces) for each in seen.processes} == {frozenset({seen.own_namespace})}
    assert seen.own_namespace not in seen.host_namespaces
    assert not any({NET_ADMIN, SYS_ADMIN} & each.capabilities or each.holds for each in seen.processes)
