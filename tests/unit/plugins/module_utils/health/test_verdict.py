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
from ansible_collections.autoglm.recovery.plugins.module_utils.health.motion import NOT_ASKED, Motion
from ansible_collections.autoglm.recovery.plugins.module_utils.health.observations import Observations
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ProcessEnd, Status
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
NOT_ASKED_YET = Reading(None, "not asked", kind="not_asked")
ABORTED = Reading(False, "the completion ended with finish_reason 'abort'", kind="not_proven", status=200)
CUDA_OOM = Reading(False, "HTTP 500: CUDA out of memory", status=500)
LATE = Reading(None, "no answer", kind="timeout", seconds=25.0)
FULL = Reading(None, "HTTP 429: overloaded", status=429)
FULL_TOO = Reading(False, "HTTP 503: server busy", status=503)
WRONG_MODEL = Reading(None, "HTTP 404: the model does not exist", status=404)

RUNS = Status("systemd", "a.service", state="running", main_pid=7, process_state="S", running_seconds=9999.0)
FRESH = replace(RUNS, running_seconds=3.0)
FROZEN = replace(RUNS, process_state="T")
ZOMBIE = replace(RUNS, process_state="Z", oom=False)
FORKING = replace(RUNS, main_pid=None, process_state=None, running_seconds=None)
PAUSED = replace(RUNS, kind="docker", state="paused")
WORKER_KILLED = replace(RUNS, oom_kills=1)
CRASHED = Status("systemd", "a.service", state="failed", end=ProcessEnd("exit status 1", clean=False), oom=False)
KILLED = replace(CRASHED, oom=True, oom_evidence=("the kernel's OOM killer ended it",))
PERHAPS_OOM = replace(CRASHED, oom=None)
STOPPED = replace(CRASHED, state="stopped", end=ProcessEnd(clean=True))
RESTARTING = replace(CRASHED, state="starting")
NO_SUCH = Status("systemd", "a.service", exists=False, state="absent", reason="no such unit", oom=False)
UNREADABLE = Status("systemd", "a.service", readable=False, reason="no systemd here")


TOKENS = Motion("generates", "tokens grew", 1.0)
PROMPTS = Motion("works", "a prompt is worked on", 21.0)
NOTHING = Motion("idle", "nothing to do", 1.0)
STALLED = Motion("stalled", "3 requests are in hand, and nothing moved", 20.0, generated_before=True)
STILL = Motion("still", "3 requests are in hand", 9.0)
NEW_AND_STALLED = replace(STALLED, generated_before=False)
SLEEPS = Motion("held", "it sleeps")
NO_COUNTERS = Motion("unread", "it has none")
SILENT = Motion("unread", "/metrics: no answer", 20.0)


def seen(live=YES, ready=YES, generated=None, service=None, motion=NOT_ASKED) -> Observations:
    return Observations(live, ready, Stats(), generated, None, service, motion)


TABLE = [
    # what was seen                                        verdict      class           action
    (seen(), "unknown", "unknown", None),  # nothing proves that it generates
    (seen(motion=NOTHING), "unknown", "unknown", None),
    (seen(motion=PROMPTS), "unknown", "unknown", None),
    (seen(motion=STILL), "unknown", "unknown", None),
    (seen(motion=TOKENS), "healthy", None, None),
    (seen(motion=TOKENS, service=RUNS), "healthy", None, None),
    # it makes progress: busy, whatever waits too long
    (seen(YES, YES, TIMEOUT, RUNS, TOKENS), "healthy", "overload", "shed_load"),
    (seen(YES, YES, LATE, FRESH, TOKENS), "healthy", "overload", "shed_load"),
    (seen(YES, YES, RESET, RUNS, TOKENS), "healthy", "overload", "shed_load"),
    (seen(YES, YES, FULL, RUNS, TOKENS), "healthy", "overload", "shed_load"),
    (seen(YES, YES, FULL_TOO, RUNS, TOKENS), "healthy", "overload", "shed_load"),
    (seen(YES, TIMEOUT, TIMEOUT, RUNS, TOKENS), "healthy", "overload", "shed_load"),
    (seen(TIMEOUT, NOT_ASKED_YET, NOT_ASKED_YET, RUNS, TOKENS), "healthy", "overload", "shed_load"),
    (seen(TIMEOUT, NOT_ASKED_YET, None, None, TOKENS), "healthy", "overload", "shed_load"),
    (seen(TIMEOUT, NOT_ASKED_YET, None, UNREADABLE, TOKENS), "unknown", "unknown", None),
    (seen(YES, YES, TIMEOUT, RUNS, PROMPTS), "unknown", "overload", None),
    (seen(TIMEOUT, NOT_ASKED_YET, None, RUNS, PROMPTS), "unknown", "overload", None),
    (seen(YES, YES, ABORTED, RUNS, TOKENS), "unknown", "unknown", None),  # others are served
    (seen(YES, YES, CUDA_OOM, RUNS, TOKENS), "unhealthy", "oom", "restart_process"),
    (seen(YES, YES, WRONG_MODEL, RUNS, TOKENS), "unknown", "unknown", None),
    (seen(DEAD, NOT_ASKED_YET, None, RUNS, TOKENS), "unhealthy", "unresponsive", "restart_process"),
    # requests in hand, and not one step for long: whatever it answers
    (seen(motion=STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(YES, YES, TIMEOUT, RUNS, STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(YES, YES, YES, RUNS, STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),  # another engine's
    (seen(YES, TIMEOUT, TIMEOUT, RUNS, STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(TIMEOUT, NOT_ASKED_YET, None, RUNS, STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(YES, YES, TIMEOUT, UNREADABLE, STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(YES, YES, TIMEOUT, FRESH, STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(YES, YES, TIMEOUT, FRESH, NEW_AND_STALLED), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(YES, YES, TIMEOUT, RUNS, NEW_AND_STALLED), "unhealthy", "deadlock", "clear_queue_and_reset"),
    (seen(YES, YES, TIMEOUT, WORKER_KILLED, STALLED), "unhealthy", "oom", "restart_process"),
    (seen(YES, YES, TIMEOUT, FROZEN, STALLED), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, LOADING, NOT_ASKED_YET, RUNS, STALLED), "unhealthy", "not_ready", "retry_with_backoff"),  # paused, say
    (seen(REFUSED, NOT_ASKED_YET, service=CRASHED, motion=STALLED), "unhealthy", "crash", "restart_process"),
    # put to sleep by somebody
    (seen(YES, YES, TIMEOUT, RUNS, SLEEPS), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(motion=SLEEPS), "unhealthy", "not_ready", "retry_with_backoff"),
    # no counters, or none that tell: busy or dead, only time can say
    (seen(YES, YES, TIMEOUT, RUNS, NO_COUNTERS), "unknown", "unknown", None),
    (seen(YES, YES, LATE, RUNS, NO_COUNTERS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, YES, LATE, FRESH, NO_COUNTERS), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(YES, YES, TIMEOUT, RUNS, SILENT), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, YES, FULL, RUNS, NO_COUNTERS), "unknown", "overload", None),
    (seen(YES, YES, FULL_TOO, RUNS, NO_COUNTERS), "unknown", "overload", None),
    (seen(YES, YES, FULL_TOO, RUNS, NOTHING), "unhealthy", "unresponsive", "restart_process"),  # full of nothing
    (seen(YES, YES, RESET, RUNS, NO_COUNTERS), "unhealthy", "unresponsive", "restart_process"),
    (seen(generated=YES), "healthy", None, None),
    (seen(generated=YES, service=RUNS), "healthy", None, None),
    (seen(generated=YES, service=FORKING), "healthy", None, None),
    (seen(REFUSED, NOT_ASKED_YET, service=KILLED), "unhealthy", "oom", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=CRASHED), "unhealthy", "crash", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED_YET, service=CRASHED), "unhealthy", "crash", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=PERHAPS_OOM), "unhealthy", "crash", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=ZOMBIE), "unhealthy", "crash", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=STOPPED), "unhealthy", "unknown", None),
    (seen(REFUSED, NOT_ASKED_YET, service=RESTARTING), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(REFUSED, NOT_ASKED_YET, service=NO_SUCH), "unknown", "unknown", None),
    (seen(YES, YES, YES, service=CRASHED), "unknown", "unknown", None),  # somebody else answers on the port
    (seen(TIMEOUT, NOT_ASKED_YET, service=RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED_YET, service=FROZEN), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=FROZEN), "unhealthy", "unresponsive", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED_YET, service=PAUSED), "unhealthy", "unresponsive", "restart_process"),
    (seen(TIMEOUT, NOT_ASKED_YET, service=WORKER_KILLED), "unhealthy", "oom", "restart_process"),
    (seen(generated=YES, service=WORKER_KILLED), "healthy", None, None),
    (seen(REFUSED, NOT_ASKED_YET, service=RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=FRESH), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(TIMEOUT, NOT_ASKED_YET, service=FRESH), "unhealthy", "unresponsive", "restart_process"),
    (seen(RESET, NOT_ASKED_YET), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET), "unhealthy", "unresponsive", "restart_process"),
    (seen(REFUSED, NOT_ASKED_YET, service=UNREADABLE), "unhealthy", "unknown", None),
    (seen(DEAD, NOT_ASKED_YET, service=RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, LOADING, NOT_ASKED_YET, RUNS), "unhealthy", "not_ready", "retry_with_backoff"),
    (seen(YES, TIMEOUT, TIMEOUT, RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, TIMEOUT, None, RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, TIMEOUT, YES, RUNS), "unknown", "unknown", None),  # it generates, so the timeout was the question's
    (seen(YES, STRANGE, NOT_ASKED_YET, RUNS), "unknown", "unknown", None),
    (seen(STRANGE, NOT_ASKED_YET), "unknown", "unknown", None),
    (seen(NO_ROUTE, NOT_ASKED_YET, service=RUNS), "unknown", "unknown", None),
    (seen(YES, YES, YES, UNREADABLE), "unknown", "unknown", None),
    (seen(YES, YES, TIMEOUT, RUNS, NOTHING), "unhealthy", "unresponsive", "restart_process"),  # a stopped EngineCore
    (seen(YES, YES, ABORTED, RUNS), "unhealthy", "unresponsive", "restart_process"),
    (seen(YES, YES, CUDA_OOM, RUNS), "unhealthy", "oom", "restart_process"),
    (seen(YES, YES, WRONG_MODEL, RUNS), "unknown", "unknown", None),
    (seen(YES, YES, NOT_ASKED_YET, RUNS), "unknown", "unknown", None),
]


@pytest.mark.parametrize(("what", "verdict", "failure_class", "action"), TABLE)
def test_rules(what: Observations, verdict: str, failure_class: str | None, action: str | None) -> None:
    found = judge(what)
    assert (found.verdict, found.failure_class, found.recommended_action) == (verdict, failure_class, action)
    assert found.reasons


def test_that_it_could_not_be_read_is_said() -> None:
    assert any(
        "could not be read" in reason for reason in judge(seen(REFUSED, NOT_ASKED_YET, service=PERHAPS_OOM)).reasons
    )


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
    end=st.builds(ProcessEnd, clean=st.sampled_from([True, False, None])),
    oom=st.sampled_from([True, False, None]),
    oom_kills=st.none() | st.integers(0, 2),
    reason=st.just("why"),
)


motions = st.builds(
    Motion,
    kind=st.sampled_from(["generates", "works", "idle", "still", "stalled", "held", "unread"]),
    reason=st.just("why"),
    seconds=st.floats(0, 60),
    generated_before=st.booleans(),
)


@given(
    live=readings,
    ready=readings,
    generated=st.none() | readings,
    service=st.none() | services,
    motion=motions,
    suffice=st.booleans(),
)
def test_never_healthy_on_what_was_not_read_as_good(live, ready, generated, service, motion, suffice) -> None:
    found = judge(seen(live, ready, generated, service, motion), answers_suffice=suffice)
    proven = generated is not None and generated.value is True
    if found.verdict == "healthy":
        assert live.value is not False
        assert ready.value is not False
        assert proven or motion.kind == "generates" or (suffice and generated is None)
        assert motion.kind != "stalled"
        assert service is None or (service.readable and not service.process_gone)
        if found.failure_class is None:
            assert live.value is True
            assert ready.value is True
    assert found.verdict in ("healthy", "unhealthy", "unknown")
    assert found.reasons
    assert found.failure_class is not None or found.verdict == "healthy"
    assert found.verdict != "healthy" or found.failure_class in (None, "overload")
    assert found.failure_class in (None, *FAILURE_CLASSES)
    if found.failure_class in (None, "unknown"):
        assert found.recommended_action is None


not_dead = st.sampled_from([YES, TIMEOUT, RESET, REFUSED, STRANGE, NO_ROUTE])
moving = st.sampled_from([TOKENS, PROMPTS])


@given(live=not_dead, ready=not_dead, generated=st.none() | readings, service=st.none() | services, motion=moving)
def test_what_makes_progress_is_never_called_unresponsive(live, ready, generated, service, motion) -> None:
    found = judge(seen(live, ready, generated, service, motion))
    gone = service is not None and service.process_gone
    assert found.failure_class not in ("unresponsive", "deadlock") or gone


def test_answers_suffice_where_that_is_all_that_is_asked() -> None:
    assert judge(seen(), answers_suffice=True).verdict == "healthy"
    assert judge(seen(motion=STALLED), answers_suffice=True).failure_class == "deadlock"
