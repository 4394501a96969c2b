# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Triton adapter against a real Triton. The model is ours, and speaks as the vLLM backend does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Engine, EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import CompletionAsked, observe
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge

from tests.support.servers import triton
from tests.support.servers.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.Triton]:
    """The test that kills it is the last."""
    if Path(sys.prefix).name.endswith("-newest"):
        pytest.skip("Triton does not depend on the version of Ansible: it is tested in .venv alone")
    try:
        with triton.running(tmp_path_factory.mktemp("triton")) as running:
            yield running
    except triton.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def open_it(server: triton.Triton) -> Callable[..., Engine]:
    def open_it(**options: str) -> Engine:
        given = {"model": "words", "backend": "vllm", "metrics_url": server.metrics_url, **options}
        return open_engine("triton", server.url, generate_timeout=60.0, options=given)

    return open_it


def test_it_is_healthy_and_proves_it(open_it: Callable[..., Engine]) -> None:
    seen = observe(open_it(), CompletionAsked(), None)
    assert judge(seen).verdict == "healthy", judge(seen).reasons
    assert seen.generation is not None
    assert (seen.generation.tokens, seen.generation.model) == (8, "words")
    assert (seen.stats.waiting, seen.stats.models) == (0, ("words",))
    assert seen.stats.version
    assert seen.stats.in_flight is None, "Triton does not tell what runs"


def test_what_waits_is_counted(open_it: Callable[..., Engine]) -> None:
    engine = open_it()
    clients = [threading.Thread(target=engine.generate, args=("wait 1", 1)) for _ in range(4)]
    for client in clients:
        client.start()
    until("requests wait behind the one that runs", lambda: (engine.stats().waiting or 0) >= 2)
    for client in clients:
        client.join()
    until("nothing waits", lambda: engine.stats().waiting == 0)


def test_the_model_is_unloaded_and_loaded(open_it: Callable[..., Engine]) -> None:
    engine = open_it()
    assert (engine.awake().value, engine.ready().value) == (True, True)
    engine.sleep()
    until("it is unloaded", lambda: engine.ready().value is False)
    assert (engine.awake().value, engine.live().value) == (False, True)
    with pytest.raises(EngineError, match="words"):
        engine.generate("hi", 8)
    engine.wake()
    assert (engine.awake().value, engine.ready().value) == (True, True)
    assert engine.generate("hi", 8).tokens == 8


def test_a_model_that_is_not_there_is_not_ready_and_cannot_be_loaded(open_it: Callable[..., Engine]) -> None:
    engine = open_it(model="no/such model")
    assert (engine.ready().value, engine.awake().value) == (False, False)
    with pytest.raises((EngineError, NotSupported)):
        engine.wake()
    assert open_it(metrics_url="http://127.0.0.1:9").stats().waiting is None


def test_a_model_whose_process_died_calls_itself_ready_and_is_not_healthy(
    open_it: Callable[..., Engine], server: triton.Triton
) -> None:
    os.kill(server.model_process(), signal.SIGKILL)
    engine = open_it()
    verdict = judge(observe(engine, CompletionAsked(), None))
    assert (engine.ready().value, verdict.verdict, verdict.failure_class) == (True, "unhealthy", "unresponsive")
    engine.sleep()
    until("it is unloaded", lambda: engine.awake().value is False)
    engine.wake()
    assert judge(observe(engine, CompletionAsked(), None)).verdict == "healthy", "loading it anew repairs it"


def test_a_killed_server(open_it: Callable[..., Engine], server: triton.Triton) -> None:
    engine = open_it()
    server.process.kill()
    server.process.wait()
    assert engine.live().kind == "refused"
    assert judge(observe(engine, None, None)).failure_class == "unresponsive"
