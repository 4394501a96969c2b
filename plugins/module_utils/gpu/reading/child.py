# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The child process that talks to NVML, and may be lost in it. It answers one JSON request per line with JSON lines.

Request: C({"library": path or null, "plan": [group, ...], "skip": [index, ...]}).  Answers, each before or after a
step so that the parent knows where the child is: C({"step"}), C({"host", "count"}), C({"gpu", "step"}), C({"gpu",
"values", "errors"}), C({"gpu", "done"}), C({"error"}), C({"done"}).

Every GPU has a thread of its own: one that the driver never gives back stops nobody else, and no second process has
to be started for the rest.  The process and its threads carry their place in their names, for whoever finds them in
uninterruptible sleep later.  NVML is initialised and shut down in every request: while nobody asks, nothing holds a
GPU, and a reset is not in the way.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from typing import Any, Callable

from . import groups, links
from .fields import Fields
from .nvml import Nvml, NvmlFailure

PROCESS_NAME = "autoglm-nvml"  # :NN is appended; the kernel keeps 15 characters

# Ansible packs only what is imported: who adds a group to a plan imports its module, too.
_AT_HAND = {"groups": groups, "links": links}

Say = Callable[[dict[str, Any]], None]


def serve(requests: int, answers: int) -> None:
    """Answer requests from one descriptor on the other until the first is closed."""
    _rename_thread(PROCESS_NAME)
    lock = threading.Lock()

    def say(answer: dict[str, Any]) -> None:
        line = json.dumps(answer).encode() + b"\n"
        with lock:
            while line:
                line = line[os.write(answers, line) :]

    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            request = json.loads(line)
            answer(say, request["library"], request["plan"], request["skip"])


def answer(say: Say, library: str | None, plan: Sequence[str], skip: Sequence[int]) -> None:
    """Answer one request: read the host and its GPUs."""
    try:
        say({"step": "load"})
        nvml = Nvml(library)
        say({"step": "init"})
        nvml.init()
        try:
            _read_host(nvml, say, plan, skip)
            say({"step": "shutdown"})
        finally:
            nvml.shutdown()
    except NvmlFailure as failure:
        say({"error": failure.as_dict()})
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent is told and goes on
        say({"error": NvmlFailure(type(error).__name__, "unreadable", str(error)).as_dict()})
    say({"done": True})


def _read_host(nvml: Nvml, say: Say, plan: Sequence[str], skip: Sequence[int]) -> None:
    readers = [(name, _reader_named(name)) for name in plan]
    fields = Fields()
    say({"step": "host"})
    groups.host(nvml, fields)
    say({"step": "count"})
    count = int(nvml.call("nvmlDeviceGetCount"))
    say({"host": fields.as_dict(), "count": count})
    threads = [
        threading.Thread(target=_read_gpu, args=(nvml, say, index, readers), daemon=True)
        for index in range(count)
        if index not in skip
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _reader_named(name: str) -> Callable[[Nvml, Any, Fields], None]:
    module, _colon, function = name.partition(":")
    home = _AT_HAND.get(module) or importlib.import_module(f"..{module}", __package__)
    found: Callable[[Nvml, Any, Fields], None] = getattr(home, function)
    return found


def _read_gpu(nvml: Nvml, say: Say, index: int, readers: Sequence[tuple[str, Callable[..., None]]]) -> None:
    _rename_thread(f"{PROCESS_NAME}:{index}", threading.get_native_id())
    say({"gpu": index, "step": "handle"})
    try:
        device = nvml.call("nvmlDeviceGetHandleByIndex", index)
    except NvmlFailure as failure:
        say({"gpu": index, "error": failure.as_dict(), "done": True})
        return
    for name, read in readers:
        say({"gpu": index, "step": name})
        fields = Fields()
        try:
            read(nvml, device, fields)
        except Exception as error:  # noqa: BLE001  # one bad group must not end the rest
            fields.fail(name, NvmlFailure(type(error).__name__, "unreadable", str(error)))
        say({"gpu": index, **fields.as_dict()})
    say({"gpu": index, "done": True})


def _rename_thread(name: str, thread: int | None = None) -> None:
    """Set a thread's name for people, as far as possible: errors are ignored."""
    try:
        with open(f"/proc/self/task/{thread or os.getpid()}/comm", "w", encoding="ascii") as comm:
            comm.write(name[:15])
    except OSError:
        pass


def main() -> None:
    """C(python -m PACKAGE.child): requests on standard input, answers on standard output."""
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    serve(os.dup(0), answers)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
