# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An NVML session that a hung driver cannot hang.

    session = NvmlSession(library=None, device_timeout=5.0)      # start="spawn" in a process with threads
    look = session.read()                                    # never raises, never waits longer than total_timeout
    session.close()

NVML is only ever called in a child process (child.py), which has one thread for each GPU.  A GPU that answers nothing
for C(device_timeout) seconds is C(hung); the others go on and their answers are kept.  When all that can answer have,
a child with a hung thread is killed and abandoned (children.py): in uninterruptible sleep it cannot die, and is not
waited for. What it hangs at is not asked again while it is there, and no more than MAX_ABANDONED of them are ever
made on a host (stuck.py), by however many sessions.

One child for all GPUs, not one each: NVML's initialisation is the dearest call, and is paid once. Fork is for Ansible
modules: one thread, and code that may lie in AnsiballZ's archive, where a new interpreter would not find it.  Spawn
is for the exporter: a fork of a process with threads may inherit a lock that nobody will release. A session keeps its
child between reads (a new interpreter is dear), but NVML is shut down after each, so that between reads it holds no
GPU that somebody wants to reset.

What is read is a plan: names C(module:function), see groups.py; a module elsewhere is named from gpu/ on.
C(read) returns a Look:

    Look.state    read | hung | unread            of the whole: could NVML be asked at all
    Look.error    {"error", "kind", "text"} or None, where it is not C(read)
    Look.values   driver_version, nvml_version, cuda_version; null where unread
    Look.errors   name -> {"error": NVML's name, "kind": not_supported | missing | unreadable | lost | reset_required |
                  hung | not_read, "text"}
    Look.gpus     one dict for each that NVML counts, in its order:
                  {"index", "state": read | lost | reset_required | hung | unread, "error", "step", "values", "errors"}
                  values has every name that was asked for, null where unread, and then errors has it too;
                  a GPU that hung has what it answered before.
    Look.stuck    threads in uninterruptible sleep: {"pid", "tid", "comm", "state", "wchan", "syscall", "stack"}
    Look.seconds  how long it took
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import answers, children, stuck
from .fields import worst_state
from .groups import PLAN
from .nvml import HUNG, NOT_READ, UNREADABLE

MAX_ABANDONED = 4
DEVICE_TIMEOUT = 5.0


@dataclass
class GpuReading:
    """One look at the GPUs of a host. See above."""

    state: str = "unread"
    error: dict[str, str] | None = None
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    gpus: list[dict[str, Any]] = field(default_factory=list)
    stuck: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class NvmlSession:
    """Reads GPUs through a child. Not for use by two threads at once."""

    def __init__(
        self,
        library: str | None = None,
        device_timeout: float = DEVICE_TIMEOUT,
        total_timeout: float | None = None,
        start: str = children.FORK,
        proc: Path = Path("/proc"),
    ) -> None:
        """library: path of libnvidia-ml.so.1.  device_timeout: seconds without any answer after which a GPU is hung.
        total_timeout: seconds for everything, by default four times as long.  start: C(fork) or C(spawn)."""
        if device_timeout <= 0 or (total_timeout is not None and total_timeout <= 0):
            raise ValueError("a timeout must be more than zero")
        self._library = library
        self._device_timeout = device_timeout
        self._total_timeout = 4 * device_timeout if total_timeout is None else total_timeout
        self._start = start
        self._proc = proc
        self._child: children.Child | None = None

    def read(self, plan: Sequence[str] = PLAN) -> GpuReading:
        """Look at every GPU. Never raises; what could not be read says so."""
        begun = time.monotonic()
        earlier = stuck.abandoned(self._proc)
        look = GpuReading()
        skip = {one.gpu for one in earlier if one.gpu is not None}
        if len(earlier) >= MAX_ABANDONED or any(one.gpu is None for one in earlier):
            pids = ", ".join(str(one.pid) for one in earlier)
            _set_outcome(
                look, HUNG, _hung(f"earlier probes (process {pids}) are still in the driver, and no other is started")
            )
        else:
            self._read(look, plan, sorted(skip))
        for one in earlier:
            look.stuck.extend(one.threads)
        for gpu in look.gpus:
            if gpu["index"] in skip:
                pid = next(one.pid for one in earlier if one.gpu == gpu["index"])
                gpu.update(state="hung", error=_hung(f"an earlier probe (process {pid}) is still in the driver"))
        look.seconds = time.monotonic() - begun
        return look

    def close(self) -> None:
        """End the child, and reap those that were killed earlier and have ended meanwhile."""
        children.reap_abandoned()
        if self._child is not None:
            self._child.abandon()
            self._child = None

    def __enter__(self) -> NvmlSession:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _read(self, look: GpuReading, plan: Sequence[str], skip: list[int]) -> None:
        request = json.dumps({"library": self._library, "plan": list(plan), "skip": skip}).encode()
        try:
            child = self._send_request(request)
        except OSError as error:
            _set_outcome(
                look,
                "unread",
                _error_entry("child", UNREADABLE, f"no child process could be started: {error.strerror}"),
            )
            return
        following = _AnswerReader(look, skip, self._device_timeout, self._total_timeout)
        while not following.finished():
            lines = child.lines(following.patience())
            if lines is None:
                following.child_ended(child.how_it_ended())
                break
            if not following.heard_all(lines):
                break
        if not following.clean:
            if following.hung:
                look.stuck.extend(stuck.describe(self._proc, child.pid))
                look.stuck.extend(t for t in stuck.in_the_driver(self._proc) if t["pid"] != child.pid)
            self.close()
        elif look.state != "read":
            self.close()  # a library that does not fit the driver stays loaded as long as its process

    def _send_request(self, request: bytes) -> children.Child:
        """A child with the request; one that was kept may have ended meanwhile."""
        if self._child is not None:
            try:
                self._child.ask(request)
            except OSError:
                self.close()
            else:
                return self._child
        self._child = children.start(self._start)
        self._child.ask(request)
        return self._child


class _AnswerReader:
    """Follows what the child says, against the clock, and notes it in the look."""

    def __init__(self, look: GpuReading, skip: Sequence[int], device_timeout: float, total_timeout: float) -> None:
        self._look = look
        self._skip = skip
        self._limit = device_timeout
        now = time.monotonic()
        self._deadline = now + total_timeout
        self._step = "start"
        self._since = now
        self._waiting: dict[int, float] = {}  # GPU -> when it last said something
        self.clean = False  # the child is idle again and may be kept
        self.hung = False

    def finished(self) -> bool:
        """Has everybody answered or run out of time? Those who have are given up in passing."""
        if self.clean:
            return True
        now = time.monotonic()
        for index, heard in list(self._waiting.items()):
            if now >= min(heard + self._limit, self._deadline):
                self._give_up(index, now)
        if self._waiting or now < min(self._since + self._limit, self._deadline):
            return False
        if self._look.state == "read" and self.hung:
            return True
        self.hung = True
        text = f"NVML did not answer within {now - self._since:.1f} s (step {self._step})"
        if self._look.state == "read":
            self._look.errors["nvml"] = _hung(text)
        else:
            _set_outcome(self._look, HUNG, _hung(text))
        return True

    def patience(self) -> float:
        """Seconds until somebody has run out of time."""
        since = min(self._waiting.values()) if self._waiting else self._since
        return min(since + self._limit, self._deadline) - time.monotonic()

    def heard_all(self, lines: Sequence[bytes]) -> bool:
        """Note answers; False where one of them cannot be read, after which nothing that the child says counts."""
        for line in lines:
            try:
                said = answers.read(line, len(self._look.gpus))
            except ValueError as error:
                self.clean = False
                self.child_ended(f"what it said cannot be read: {str(error)[:200]}")
                return False
            self._heard(said)
        return True

    def _heard(self, said: dict[str, Any]) -> None:
        """Note one answer."""
        if "gpu" in said:
            self._heard_gpu(said)
            return
        self._since = time.monotonic()
        self._step = said.get("step", self._step)
        if "error" in said:
            self._failure(said["error"])
        if "host" in said:
            self._look.state = "read"
            self._look.values.update(said["host"]["values"])
            self._look.errors.update(said["host"]["errors"])
            self._look.gpus.extend(_new_gpu(index) for index in range(said["count"]))
            self._waiting = {index: self._since for index in range(said["count"]) if index not in self._skip}
        self.clean = "done" in said

    def child_ended(self, how: str) -> None:
        """The child is no more, though nobody told it to."""
        self._failure(_error_entry("child", UNREADABLE, f"the probe's process ended in step {self._step}: {how}"))

    def _failure(self, error: dict[str, str]) -> None:
        if self._look.state != "read":
            _set_outcome(self._look, "unread", error)
            return
        self._look.errors["nvml"] = error
        for index in self._waiting:
            self._look.gpus[index].update(state="unread", error=error)
        self._waiting.clear()

    def _heard_gpu(self, said: dict[str, Any]) -> None:
        index = said["gpu"]
        gpu = self._look.gpus[index]
        if index not in self._waiting:
            return  # it was given up; what it says now may be of another time
        self._waiting[index] = time.monotonic()
        gpu["step"] = said.get("step", gpu["step"])
        gpu["values"].update(said.get("values", {}))
        gpu["errors"].update(said.get("errors", {}))
        if "error" in said:
            kind = said["error"]["kind"]
            gpu.update(error=said["error"], state=kind if kind in ("lost", "reset_required") else "unread")
        if "done" in said:
            del self._waiting[index]
            self._since = self._waiting_since_all_done()
            if gpu["error"] is None:
                gpu.update(state=worst_state(gpu["errors"]), step=None)

    def _waiting_since_all_done(self) -> float:
        """The child's own next step begins when the last GPU is done."""
        return self._since if self._waiting else time.monotonic()

    def _give_up(self, index: int, now: float) -> None:
        self.hung = True
        gpu, silent = self._look.gpus[index], now - self._waiting.pop(index)
        if silent >= self._limit:
            gpu.update(state="hung", error=_hung(f"no answer for {silent:.1f} s in step {gpu['step']}"))
        else:
            gpu.update(state="unread", error=_error_entry("timeout", NOT_READ, f"time was up in step {gpu['step']}"))


def _new_gpu(index: int) -> dict[str, Any]:
    return {"index": index, "state": "unread", "error": None, "step": None, "values": {}, "errors": {}}


def _set_outcome(look: GpuReading, state: str, error: dict[str, str]) -> None:
    look.state, look.error = state, error


def _hung(text: str) -> dict[str, str]:
    return _error_entry("hung", HUNG, text)


def _error_entry(error: str, kind: str, text: str) -> dict[str, str]:
    return {"error": error, "kind": kind, "text": text}
