# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers that are full raise nothing, and a vLLM whose engine core stands still is found by its own counters."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
from collections.abc import Iterator

import httpx
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine

from tests.integration.engines.streams import PATIENCE, Stream
from tests.integration.rules.running import Prometheus
from tests.lab.model import WORDS, Shape
from tests.support.servers import llama
from tests.support.servers.freezing import freeze
from tests.support.servers.vllm import Vllm
from tests.support.servers.waiting import until

ENDLESS = 8000  # tokens; of so many requests some still wait when this test ends
RUNNING = 4  # at once, as the server was told
# llama-server counts nothing while it reads a batch, and answers all the while: longer than an engine that stands still
# needs to be found.  A machine on which a batch is over sooner only sees less.
BATCH_SECONDS = 12
SLOW = Shape(layers=48, dim=256, feed_forward=512)
BATCH_TOKENS = 4096
FIRST_TOKENS = 256


def test_a_full_vllm_raises_nothing_and_one_that_stands_still_is_found(vllm_server: Vllm, tmp_path) -> None:
    prometheus = Prometheus(tmp_path)
    prometheus.targets("inference", {"node-a": f"127.0.0.1:{vllm_server.port}"})
    # Its start takes long beside a busy server, and the requests would be over before it has looked.
    prometheus.start()
    until("its first look", lambda: prometheus.ask("autoglm:service_up == 1"))
    streams = [Stream(vllm_server.port, ENDLESS) for _ in range(10 * RUNNING)]
    core = vllm_server.core()
    try:
        until("the streams flow", lambda: sum(stream.tokens > 0 for stream in streams) >= RUNNING)
        full = "count_over_time((autoglm:engine_requests > 4)[30s:2s]) >= 12"
        until("half a minute of a full server", lambda: prometheus.ask(full))
        assert prometheus.ask('count_over_time(ALERTS{alertstate="firing"}[5m])') == []
        # /health and /metrics go on answering.
        freeze(core)
        until("the stall", lambda: ("InferenceStalled", "node-a") in prometheus.firing())
        assert prometheus.ask('up{job="inference"} == 1')
        os.kill(core, signal.SIGCONT)
        until("its end", lambda: not prometheus.firing())
    finally:
        os.kill(core, signal.SIGCONT)
        engine = open_engine("vllm", vllm_server.url, timeout=10.0, generate_timeout=60.0, options={})
        engine.abort_all()
        until("the server is idle again", lambda: engine.stats().in_flight == 0)
        if prometheus.process is not None:
            prometheus.stop()


def test_a_full_llama_server_raises_nothing_while_it_reads_a_batch_for_long(tmp_path) -> None:
    with llama.running(tmp_path, "--parallel", "1", "--batch-size", str(BATCH_TOKENS), shape=SLOW) as server:
        prometheus = Prometheus(tmp_path)
        prometheus.targets("inference", {"node-a": f"127.0.0.1:{server.port}"})
        prometheus.start()
        try:
            until("its first look", lambda: prometheus.ask("autoglm:service_up == 1"))
            with readers_of_long_prompts(server, 4) as read:
                until(
                    "a full server",
                    lambda: prometheus.ask("count_over_time((autoglm:engine_requests > 1)[30s:2s]) >= 12"),
                )
                until("a long batch", lambda: any(tokens > FIRST_TOKENS + 1 for tokens in read))
                assert prometheus.ask('count_over_time(ALERTS{alertstate="firing"}[5m])') == []
        finally:
            prometheus.stop()


@contextlib.contextmanager
def readers_of_long_prompts(server: llama.Llama, clients: int) -> Iterator[list[int]]:
    """Let clients send one prompt after the other, none of which begins as another did, until the end of the block.

    Each is as long as can be read in ``BATCH_SECONDS``, by what the server says of the one before: so a batch takes
    that long on any machine, however busy.  Yields the tokens of those that were read.
    """
    read: list[int] = []
    over = threading.Event()
    numbers = itertools.count()

    def ask() -> None:
        tokens = FIRST_TOKENS
        while not over.is_set():
            number = next(numbers)
            words = [WORDS[(number // len(WORDS) ** place) % len(WORDS)] for place in range(2)]
            body = {"prompt": " ".join(itertools.islice(itertools.cycle([*words, *WORDS]), tokens)), "n_predict": 8}
            try:
                answer = httpx.post(f"{server.url}/completion", json=body, timeout=PATIENCE, trust_env=False)
            except httpx.TransportError:
                return  # it was killed; where it fell by itself, the test waits in vain
            took = answer.raise_for_status().json()["timings"]
            tokens = min(int(took["prompt_n"] * BATCH_SECONDS * 1000 / took["prompt_ms"]), BATCH_TOKENS - 2)
            read.append(took["prompt_n"])

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield read
    finally:
        over.set()
        server.kill()
        for thread in threads:
            thread.join(PATIENCE)
