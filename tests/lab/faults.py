# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, as real as they come."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from . import engine, memory_limit
from .errors import LabError
from .hosts import Host
from .podman import podman

# About 4000 tokens. The scores of their attention alone need twice the memory that the limit leaves free.
LONG_PROMPT = "the people " * 2000
KERNEL_SECONDS = 30


@dataclass(frozen=True)
class KernelKill:
    """What the kernel said when it killed the server, and when it was read (seconds since the epoch)."""

    at: float
    line: str


def out_of_memory(node: Host) -> KernelKill:
    """Let a server run into its memory limit by sending it a prompt that needs more than it has.

    The prompt goes to the server itself: through the balancer, which sends again what was not answered,
    it would take the next server down too.
    """
    with KernelLog() as kernel:
        threading.Thread(target=_send_long_prompt, args=(node,), daemon=True).start()
        return kernel.wait_for_kill(node)


def _send_long_prompt(node: Host) -> None:
    body = {"prompt": LONG_PROMPT, "max_tokens": 1}
    with contextlib.suppress(httpx.HTTPError):  # the server dies while it works on it: that is the point
        httpx.post(f"{engine.url(node)}/v1/completions", json=body, timeout=KERNEL_SECONDS, trust_env=False)


def crash(node: Host) -> None:
    """Kill the server, as no orchestrator would."""
    node.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", memory_limit.UNIT)


@contextlib.contextmanager
def unplugged(node: Host) -> Iterator[None]:
    """Take a node off the network, as a cut cable or a lost power supply does: nobody says goodbye."""
    node.run("ip", "link", "set", "eth0", "down")
    try:
        yield
    finally:
        node.run("ip", "link", "set", "eth0", "up")


class KernelLog:
    """The kernel's messages from now on."""

    def __enter__(self) -> KernelLog:
        """Skip what the kernel has said so far."""
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._file, 0, os.SEEK_END)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading."""
        os.close(self._file)

    def wait_for_kill(self, node: Host) -> KernelKill:
        """Wait until the OOM killer has killed the inference server of this very node."""
        names = _group_names(node)
        victim = None
        deadline = time.monotonic() + KERNEL_SECONDS
        while time.monotonic() < deadline:
            message = self._next()
            if message is None:
                time.sleep(0.02)
            elif message.startswith("oom-kill:") and any(name in message for name in names):
                victim = re.search(r"task=llama-server,pid=(\d+)", message)
            elif victim and f"Killed process {victim[1]} (llama-server)" in message:
                return KernelKill(time.time(), message)
        raise LabError(f"the kernel did not kill the inference server of {node.name} within {KERNEL_SECONDS} s")

    def _next(self) -> str | None:
        try:
            record = os.read(self._file, 8192).decode(errors="replace")
        except BlockingIOError:
            return None
        except BrokenPipeError:  # older messages were overwritten before we read them; the next read goes on
            return ""
        return record.partition(";")[2].partition("\n")[0]


def _group_names(node: Host) -> tuple[str, str]:
    """How the kernel names the node's memory group: ours (cgroup v1), or one below the container's."""
    return memory_limit.group(node.name), podman("inspect", "--format", "{{.Id}}", node.container).strip()
