# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the verdict has a line here, and no combination of readings that were not made is healthy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Reading, Stats
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import ERROR_KINDS
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.classes import FAILURE_CLASSES
from ansible_collections.autoglm.recovery.plugins.module_utils.health.observations import Observations
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import End, Status
from hypothesis import given
from hypothesis import strategies as st

YES = Reading(True, "it answered", status=200)
LOADING = Reading(False, "loading model", status=503)
DEAD = Reading(False, "the engine core is dead", status=503)
REFUSED = Reading(None, "connection refused", kind="refused")
TIMEOUT = Reading(None, "no answer", kind="timeout")
RESET = Reading(None, "hung up", kind="reset")
STRANGE = Reading(None, "HTTP 404", kind="answered", status=404)
NO_ROUTE = Reading(None, "no such name", kind="unreachable")
NOT_ASKED = Reading(None, "not asked", kind="not_asked")
ABORTED = Reading(False, "the completion ended with finish_reason 'abort'", kind="not_proven", status=200)
CUDA_OOM = Reading(False, "HTTP 500: CUDA out of memory", status=500)
WRONG_MODEL = Reading(None, "HTTP 404: the model does not exist", status=404)

RUNS = Status("systemd", "a.service", state="running", main_pid=7, process_state="S", running_seconds=9999.0)
FRESH = replace(RUNS, running_seconds=3.0)
FROZEN = replace(RUNS, process_state="T")
ZOMBIE = replace(RUNS, process_state="Z", oom=False)
FORKING = replace(RUNS, main_pid=None, process_state=None, running_seconds=None)
PAUSED = replace(RUNS, kind="docker", state="paused")
WORKER_KILLED = replace(RUNS, oom_kills=1)
CRASHED = Status("systemd", "a.service", state="failed", end=End("exit status 1", clean=False), oom=False)
KILLED = replace(CRASHED, oom=True, oom_evidence=("the kernel's OOM killer ended it",))
PERHAPS_OOM = replace(CRASHED, oom=None)
STOPPED = replace(CRASHED, state="stopped", end=End(clean=True))
RESTARTING = replace(CRASHED, state="starting")
NO_SUCH = Status("systemd", "a.service", exists=False, state="absent", reason="no such unit", oom=False)
UNREADABLE = Status("systemd", "a.service", readable=False, reason="no systemd here")


def seen(live=YES, ready=YES, generated=None, service=None) -> Observations:
    return Observations(live, ready, Stats(), generated, None, service)


TABLE = [
    # what was seen                                        verdict      class           action
    (seen(), "healthy", None, None),
    (seen(generated=YES), "healthy", None, None),
    (seen(generated=YES, service=RUNS), "healthy", None, None),
    (seen(generated=YES, service=FORKING), "healthy", None, None),
    (seen(REFUSED, NOT_ASKED, service=KILLED), "unhealthy", "oom", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=CRASHED), "unhealthy", "crash", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED, service=CRASHED), "unhealthy", "crash", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=PERHAPS_OOM), "unhealthy", "crash", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=ZOMBIE), "unhealthy", "crash", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=STOPPED), "unhealthy", "unknown", None),
    (seen(REFUSED, NOT_ASKED, service=RESTARTING), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(REFUSED, NOT_ASKED, service=NO_SUCH), "unknown", "unknown", None),
    (seen(YES, YES, YES, service=CRASHED), "unknown", "unknown", None),  # somebody else answers on the port
    (seen(TIMEOUT, NOT_ASKED, service=RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED, service=FROZEN), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=FROZEN), "unhealthy", "unresponsive", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED, service=PAUSED), "unhealthy", "unresponsive", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED, service=WORKER_KILLED), "unhealthy", "oom", "restart_process"),
    (seen(generated=YES, service=WORKER_KILLED), "healthy", None, None),
    (seen(REFUSED, NOT_ASKED, service=RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=FRESH), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(TIMEOUT, NOT_ASKED, service=FRESH), "unhealthy", "unresponsive", "restart_process"),
    (seen(RESET, NOT_ASKED), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED, service=UNREADABLE), "unhealthy", "unknown", None),
    (seen(DEAD, NOT_ASKED, service=RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, LOADING, NOT_ASKED, RUNS), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(YES, TIMEOUT, TIMEOUT, RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, TIMEOUT, None, RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, TIMEOUT, YES, RUNS), "unknown", "unknown", None),  # it generates, so the timeout was the question's
    (seen(YES, STRANGE, NOT_ASKED, RUNS), "unknown", "unknown", None),
    (seen(STRANGE, NOT_ASKED), "unknown", "unknown", None),
    (seen(NO_ROUTE, NOT_ASKED, service=RUNS), "unknown", "unknown", None),
    (seen(YES, YES, YES, UNREADABLE), "unknown", "unknown", None),
    (seen(YES, YES, TIMEOUT, RUNS), "unhealthy", "unresponsive", "restart_process"),  # a stopped EngineCore
    (seen(YES, YES, ABORTED, RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, YES, CUDA_OOM, RUNS), "unhealthy", "oom", "restart_process"),
    (seen(YES, YES, WRONG_MODEL, RUNS), "unknown", "unknown", None),
    (seen(YES, YES, NOT_ASKED, RUNS), "unknown", "unknown", None),
]


@pytest.mark.parametrize(("what", "verdict", "failure_class", "action"), TABLE)
def test_rules(what: Observations, verdict: str, failure_class: str | None, action: str | None) -> None:
    found = judge(what)
    assert (found.verdict, found.failure_class, found.recommended_action) == (verdict, failure_class, action)
    assert found.reasons


def test_that_it_could_not_be_read_is_said() -> None:
    assert any("could not be read" in reason for reason in judge(seen(REFUSED, NOT_ASKED, service=PERHAPS_OOM)).reasons)


readings = st.builds(
    Reading,
    value=st.sampled_from([True, False, None]),
    reason=st.text(max_size=10),
    kind=st.sampled_from([*ERROR_KINDS, "answered", "not_asked", "not_proven"]),
)
services = st.builds(
    Status,
    kind=st.sampled_from(["systemd", "podman", "docker", "pid_file"]),
    name=st.just("a.service"),
    readable=st.booleans(),
    exists=st.booleans(),
    state=st.sampled_from(["running", "starting", "stopping", "paused", "stopped", "failed", "absent", "unknown"]),
    main_pid=st.none() | st.integers(1, 9),
    process_state=st.sampled_from([None, "R", "S", "D", "T", "Z"]),
    running_seconds=st.none() | st.floats(0, 1e6),
    end=st.builds(End, clean=st.sampled_from([True, False, None])),
    oom=st.sampled_from([True, False, None]),
    oom_kills=st.none() | st.integers(0, 2),
    reason=st.just("why"),
)


@given(live=readings, ready=readings, generated=st.none() | readings, service=st.none() | services)
def test_never_healthy_on_what_was_not_read_as_good(live, ready, generated, service) -> None:
    found = judge(seen(live, ready, generated, service))
    if found.verdict == "healthy":
        assert live.value is True
        assert ready.value is True
        assert generated is None or generated.value is True
        assert service is None or (service.readable and not service.process_gone)
    assert found.verdict in ("healthy", "unhealthy", "unknown")
    assert found.reasons
    assert (found.failure_class is None) == (found.verdict == "healthy")
    assert found.failure_class in (None, *FAILURE_CLASSES)
    if found.failure_class in (None, "unknown"):
        assert found.recommended_action is None
