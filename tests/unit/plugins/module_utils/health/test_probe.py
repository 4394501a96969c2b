# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a service: what is asked, what is not, and what is made of systemd's answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import EngineRequest, Response
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import (
    CompletionAsked,
    Watch,
    observe,
    read_service,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import Status
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemd import Unit

MADE = (200, '{"choices":[{"text":" the","finish_reason":"length"}],"usage":{"completion_tokens":1},"model":"tiny"}')
FAILED = """Id=llama-server.service
LoadState=loaded
ActiveState=failed
SubState=failed
Result={result}
MainPID=0
ExecMainPID=408
ExecMainCode=2
ExecMainStatus=9
ExecMainExitTimestampMonotonic=2508880410
"""


def engine(transport):
    return open_engine("llama_cpp", "http://127.0.0.1:1", transport=transport)


def systemctl(text: str):
    return lambda argv, _timeout: (
        CommandResult(0, text.encode(), b"") if argv[0] == "systemctl" else CommandResult(1, b"", b"no")
    )


def read_unit(run, name: str = "a.service", proc: Path = Path("/proc")) -> Status:
    return read_service(Unit(name, 1.0, run, proc), 1.0, run, proc)


def test_a_dead_server_costs_one_question(fake_transport) -> None:
    transport = fake_transport({"GET /health": "refused"})
    seen = observe(engine(transport), CompletionAsked(), None)
    assert transport.paths == ["GET /health"]
    assert seen.generated is not None
    assert (seen.ready.value, seen.generated.value) == (None, None)


def test_a_server_that_keeps_liveness_waiting_is_asked_for_its_counters_with_patience(fake_transport) -> None:
    transport = fake_transport({"GET /health": "timeout", "GET /metrics": "timeout"})
    seen = observe(engine(transport), None, None, Watch(stall_seconds=7.0))
    assert [(request.timeout, request.url.rpartition("/")[2]) for request in transport.asked] == [
        (5.0, "health"),
        (7.0, "metrics"),
    ]
    assert seen.motion.kind == "unread"


def test_a_process_that_is_stopped_is_not_asked_again(fake_transport) -> None:
    transport = fake_transport({"GET /health": "timeout"})
    stopped = Status("systemd", "a.service", state="running", main_pid=7, process_state="T")
    observe(engine(transport), None, stopped)
    assert transport.paths == ["GET /health"]


def test_the_thread_that_works_may_answer_for_the_counters(fake_transport) -> None:
    """llama-server's /health is answered by another thread: only time tells a long step from a dead one."""
    transport = fake_transport({"GET /health": (200, ""), "GET /metrics": "timeout", "POST /v1/completions": "timeout"})
    seen = observe(engine(transport), CompletionAsked(), None, Watch(stall_seconds=30.0))
    assert transport.asked[-1].timeout == 30.0
    assert judge(seen, stall_seconds=30.0).failure_class == "unresponsive"


def test_without_counters_a_second_completion_is_waited_for_longer(fake_transport) -> None:
    """Only time tells a queue from a dead engine; how long the first one may take is the user's to say."""
    transport = fake_transport({"GET /health": (200, ""), "POST /v1/completions": "timeout"})
    observe(engine(transport), CompletionAsked(), None, Watch(stall_seconds=30.0))
    asked = [request.timeout for request in transport.asked if request.url.endswith("/completions")]
    assert asked == [5.0, 30.0]


def test_a_second_completion_that_comes_is_a_proof(fake_transport) -> None:
    transport = fake_transport({"GET /health": (200, ""), "POST /v1/completions": "timeout"})

    def late(request: EngineRequest) -> Response:
        if request.timeout == 30.0:
            transport.answers["POST /v1/completions"] = MADE
        return transport(request)

    seen = observe(engine(late), CompletionAsked(), None, Watch(stall_seconds=30.0))
    assert judge(seen).verdict == "healthy"


def test_without_counters_a_full_server_is_not_called_dead(fake_transport) -> None:
    full = (503, "server busy, please try again")
    transport = fake_transport({"GET /health": (200, ""), "POST /v1/completions": full})
    verdict = judge(observe(engine(transport), CompletionAsked(), None))
    assert (verdict.verdict, verdict.failure_class) == ("unknown", "overload")


def test_a_loading_server_is_not_asked_to_generate(fake_transport) -> None:
    transport = fake_transport({"GET /health": (503, "loading")})
    seen = observe(engine(transport), CompletionAsked(), None)
    assert "POST /v1/completions" not in transport.paths
    assert (seen.live.value, seen.ready.value) == (True, False)


def test_a_readiness_that_got_no_answer_leaves_the_completion_to_decide(fake_transport) -> None:
    transport = fake_transport({"GET /health": (200, ""), "GET /is_paused": "timeout"})
    vllm = open_engine("vllm", "http://127.0.0.1:1", transport=transport)
    seen = observe(vllm, CompletionAsked(model="tiny"), None)
    assert seen.ready.kind == "timeout"
    assert "POST /v1/completions" in transport.paths


def test_a_completion_is_kept_as_proof(fake_transport) -> None:
    transport = fake_transport({"GET /health": (200, ""), "POST /v1/completions": MADE})
    seen = observe(engine(transport), CompletionAsked(), None)
    assert seen.generated is not None
    assert seen.generated.value is True
    assert seen.generation is not None
    assert seen.generation.text == " the"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ((500, "boom"), False),
        ((503, "busy"), False),
        ((404, "no model"), None),
        ("timeout", None),
        ((200, "{}"), False),
    ],
)
def test_a_completion_that_does_not_come(fake_transport, answer, value) -> None:
    transport = fake_transport({"GET /health": (200, ""), "POST /v1/completions": answer})
    seen = observe(engine(transport), CompletionAsked(), None)
    assert seen.generated is not None
    assert seen.generated.value is value
    assert seen.generation is None


def test_a_unit_that_fell_to_the_oom_killer() -> None:
    unit = read_unit(systemctl(FAILED.format(result="oom-kill")), "llama-server.service")
    assert unit.process_gone
    assert unit.oom is True
    assert unit.end.text == "its main process was ended by signal 9"


def test_a_running_unit(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a ) b) T 1 7 7")
    text = "LoadState=loaded\nActiveState=active\nMainPID=7\nExecMainStartTimestampMonotonic=1\n"
    unit = read_unit(systemctl(text), proc=tmp_path)
    assert (unit.main_pid, unit.process_state, unit.oom) == (7, "T", False)
    assert not unit.process_gone


@pytest.mark.parametrize(
    "outcome",
    [
        CommandResult(1, b"", b"System has not been booted with systemd"),
        CommandResult(None, b"", b"", "systemctl did not end within 1 s"),
        CommandResult(0, b"rubbish", b""),
    ],
)
def test_a_unit_that_cannot_be_read_says_why(outcome: CommandResult) -> None:
    unit = read_unit(lambda _argv, _timeout: outcome)
    assert not unit.readable
    assert not unit.process_gone
    assert unit.reason.startswith("systemctl show a.service")
