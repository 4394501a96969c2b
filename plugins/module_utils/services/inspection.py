# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of C(podman|docker container inspect) about one container. Pure.

Both print a list with one object, alike but for details: podman's StopSignal is a number and Docker's a name; podman
tells CgroupPath and may have states between Docker's.  Shapes: docker's API reference (ContainerInspect), and podman
4.3 as recorded in the tests.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping
from typing import Any

from ..host import clocks
from ..host.numbers import whole_number
from ..host.unread import Unread
from . import protocol
from .ownership import container_components
from .protocol import ProcessEnd

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}\Z")
_STATES = {
    "created": protocol.STOPPED,
    "configured": protocol.STOPPED,
    "initialized": protocol.STARTING,
    "restarting": protocol.STARTING,
    "running": protocol.RUNNING,
    "paused": protocol.PAUSED,
    "stopping": protocol.STOPPING,
    "removing": protocol.STOPPING,
}
_ENDED = ("exited", "stopped", "dead")
# Exit codes of an ordered stop: the signals by which a runtime asks a container to stop, as a shell reports them.
_CLEAN = (0, 128 + signal.SIGTERM)


def container_name(name: str) -> str:
    """The name or id of a container. Raises ValueError for an invalid one."""
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not the name of a container")
    return name


def parse(text: str) -> dict[str, Any]:
    """The one container of an answer. Raises Unread."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unread(f"the answer is no JSON: {error}") from error
    if not isinstance(document, list) or len(document) != 1 or not isinstance(document[0], dict):
        raise Unread("the answer is no list of one container")
    found = document[0]
    if not isinstance(found.get("State"), dict) or not isinstance(found["State"].get("Status"), str):
        raise Unread("the answer tells no State")
    return found


def state(found: Mapping[str, Any]) -> str:
    """The protocol's state."""
    status = found["State"]["Status"].lower()
    if status in _ENDED:
        return protocol.STOPPED if _exit_code(found) in _CLEAN and not _oom_killed(found) else protocol.FAILED
    return _STATES.get(status, protocol.UNKNOWN)


def main_pid(found: Mapping[str, Any]) -> int | None:
    """The main process, by its number on the host."""
    pid = found["State"].get("Pid")
    return pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 0 else None


def detail(found: Mapping[str, Any]) -> str:
    """The state in the runtime's words, with its complaint if it has one."""
    words = found["State"]["Status"]
    if words.lower() in _ENDED:
        words += f" ({_exit_code(found)})"
    error = found["State"].get("Error")
    return f"{words}: {error}" if isinstance(error, str) and error else words


def started_at(found: Mapping[str, Any]) -> float | None:
    """Seconds since the epoch."""
    return clocks.parse_rfc3339(found["State"].get("StartedAt"))


def last_end(found: Mapping[str, Any]) -> ProcessEnd:
    """How the main process ended; empty for a container that never ran."""
    finished, started = clocks.parse_rfc3339(found["State"].get("FinishedAt")), started_at(found)
    if started is None:
        return ProcessEnd(text="it was never started", clean=True)
    code = _exit_code(found)
    return ProcessEnd(
        text="" if code is None else f"its main process exited with status {code}{_signal_suffix(code)}",
        clean=code in _CLEAN and not _oom_killed(found),
        exit_code=code,
        # False proves nothing: podman, for one, does not notice every kill on cgroup v1.
        out_of_memory="the container runtime reports OOMKilled" if _oom_killed(found) else "",
        since=clocks.to_monotonic(started),
        at=None if finished is None else clocks.to_monotonic(finished),
        groups=tuple(sorted(container_components(container_id(found)))),
        programs=_program_names(found),
    )


def container_id(found: Mapping[str, Any]) -> str:
    """All digits of the id."""
    told = found.get("Id")
    return told if isinstance(told, str) and re.fullmatch(r"[0-9a-f]{64}", told) else ""


def restart_policy(found: Mapping[str, Any]) -> str:
    """What starts the container again by itself; empty if nothing does."""
    policy = _mapping(_mapping(found, "HostConfig"), "RestartPolicy")
    name = policy.get("Name")
    if not isinstance(name, str) or name in ("", "no"):
        return ""
    most = policy.get("MaximumRetryCount")
    times = f", at most {most} times" if isinstance(most, int) and most > 0 else ""
    return f"the container runtime, restart policy {name}{times}"


def manager(found: Mapping[str, Any]) -> str:
    """The systemd unit or the kubelet that manages this container; empty if none does.

    podman writes the label PODMAN_SYSTEMD_UNIT itself (quadlets, and units of C(podman generate systemd)).
    """
    labels = _mapping(_mapping(found, "Config"), "Labels")
    unit, pod = labels.get("PODMAN_SYSTEMD_UNIT"), labels.get("io.kubernetes.pod.name")
    if isinstance(unit, str) and unit:
        return f"the systemd unit {unit}"
    return f"the kubelet, as part of pod {pod}" if isinstance(pod, str) and pod else ""


def stop_signal(found: Mapping[str, Any]) -> str:
    """The name of the signal that asks this container to stop."""
    told = _mapping(found, "Config").get("StopSignal")
    if isinstance(told, str) and re.fullmatch(r"(SIG)?[A-Z][A-Z0-9+-]{1,12}", told):
        return told if told.startswith("SIG") else f"SIG{told}"
    number = told if isinstance(told, int) else whole_number(told) or 0
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIGTERM"


def _exit_code(found: Mapping[str, Any]) -> int | None:
    code = found["State"].get("ExitCode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _oom_killed(found: Mapping[str, Any]) -> bool:
    return found["State"].get("OOMKilled") is True


def _signal_suffix(code: int) -> str:
    try:
        return f" ({signal.Signals(code - 128).name})"
    except ValueError:
        return ""


def _program_names(found: Mapping[str, Any]) -> tuple[str, ...]:
    path = found.get("Path")
    return (path.rsplit("/", 1)[-1][:15],) if isinstance(path, str) and path else ()


def _mapping(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}
