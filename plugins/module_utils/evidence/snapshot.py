# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of one incident: the parts of its bundle by importance, and the bundle's name."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

from ..engines.protocol import Engine
from ..engines.registry import ENGINES
from ..engines.server import EngineServer
from ..health.probe import observe
from ..host import cgroups, kernel_log, processes
from ..host.clocks import stamp
from ..host.command import Runner, run
from ..host.names import safe_component
from ..host.piece import Part, Piece
from ..host.redaction import redact_document, redact_text
from ..host.unread import Unread
from ..services import process
from ..services.ownership import Ownership, container_components
from ..services.protocol import Logs, Service
from . import bundle, engine_state, gpu_state, host, python_stacks, summary

_MAX_PROCESSES = 32
_SUMMARY_LOG_LINES = 500
_MAX_TOLD_TEXT = 256
# The names of the parts with the orchestrator's state and the log, by kind of service.
_FILES = {
    "systemd": ("unit.txt", "journal.log"),
    "podman": ("container.json", "container.log"),
    "docker": ("container.json", "container.log"),
    "pid_file": ("pid-file.txt", "service.log"),
}


@dataclass(frozen=True)
class Incident:
    """The incident that the evidence belongs to. All fields come from outside and are only data.

    run: the run's key, unique over all installations; empty where there is none.  phase: for a second snapshot of one
    run, the step that it comes after, as in "failed-start".
    """

    id: str
    attempt: int
    host: str
    run: str = ""
    phase: str = ""


@dataclass(frozen=True)
class Scope:
    """What a snapshot reads. service, engine and server may be missing.

    known_secrets: values that must not appear anywhere.  with_prompts: keep the texts of users.  py_spy: the program,
    by name or path.  gpus: whether to read them, through nvml_library if given.
    """

    service: Service | None = None
    engine: Engine | None = None
    server: EngineServer | None = None
    with_prompts: bool = False
    py_spy: str = "py-spy"
    gpus: bool = True
    nvml_library: str | None = None
    log_lines: int = 2000
    command_timeout: float = 10.0
    known_secrets: tuple[str, ...] = ()
    proc: Path = Path("/proc")
    run: Runner = run


def bundle_name(incident: Incident, at: float) -> str:
    """C(INCIDENT-HOST-TIMESTAMP), each part made safe for a path. at: seconds since the epoch."""
    phase = f"-{safe_component(incident.phase, 'phase')}" if incident.phase else ""
    return f"{safe_component(incident.id, 'incident')}-{safe_component(incident.host, 'host')}-{stamp(at)}{phase}"


def existing(dest: Path, incident: Incident) -> Path | None:
    """The bundle of the same incident, attempt, host and run, if there is one. The first snapshot is the evidence.

    Bundles of release 0.1.0 name no run, so they may belong to another installation's incident of the same number.
    """
    wanted = _identifying_keys(incident)
    for path, manifest in bundle.bundles(dest):
        if all({"run": "", "phase": "", **manifest}.get(key) == value for key, value in wanted.items()):
            return path
    return None


def head(incident: Incident, scope: Scope, limits: bundle.BundleLimits) -> dict[str, Any]:
    """The keys of the manifest beside the parts."""
    return {
        **_identifying_keys(incident),
        "incident": _safe_text(incident.id),
        "service": None if scope.service is None else {"kind": scope.service.kind, "name": scope.service.name},
        "taken_at": bundle.utc_now(),
        "monotonic_at": time.clock_gettime(time.CLOCK_MONOTONIC),
        "limits": asdict(limits),
        "redacted": "names and shapes of secrets, see the documentation of crash_snapshot",
    }


def plan(scope: Scope, incident: Incident, dest: Path) -> list[Part]:
    """Every part, most important first: when space or time runs out, the end of this list is missing."""
    seconds = scope.command_timeout
    pids = _service_pids(scope)
    parts = [Part(summary.NAME, lambda: _summary_part(scope, incident, dest), limit=64 * 1024, seconds=8 * seconds)]
    if scope.service is not None:
        parts.extend(_service_parts(scope, scope.service, pids))
    known = scope.known_secrets
    if pids:
        parts.append(Part("connections.txt", lambda: host.connections(scope.proc, pids[0]), seconds=seconds))
        parts.append(Part("programs.txt", lambda: host.programs(scope.proc, pids, known), seconds=seconds))
    parts.append(
        Part("kernel.log", lambda: host.kernel(scope.run, seconds, known), keep_tail=True, seconds=4 * seconds)
    )
    for pid in pids[:_MAX_PROCESSES]:
        parts.extend(_process_parts(scope, pid))
    parts.extend(_python_part(scope, pid) for pid in pids[:_MAX_PROCESSES] if python_stacks.is_python(scope.proc, pid))
    parts.extend(_engine_parts(scope))
    if scope.gpus:
        parts.append(Part("gpu.json", lambda: gpu_state.read(scope.nvml_library, seconds), seconds=seconds + 5))
    parts.append(Part("host.txt", lambda: host.state(scope.proc), seconds=seconds))
    parts.append(Part("sockets.txt", lambda: host.sockets(scope.proc, scope.run, seconds), seconds=2 * seconds))
    parts.append(Part("processes.txt", lambda: processes.overview(scope.proc), seconds=seconds))
    parts.append(Part("command-lines.txt", lambda: processes.command_lines(scope.proc, known), seconds=seconds))
    return parts


def _summary_part(scope: Scope, incident: Incident, dest: Path) -> Piece:
    service, known = scope.service, scope.known_secrets

    def log() -> str:
        if service is None:
            raise Unread("no service was named")
        return redact_text(service.logs(min(scope.log_lines, _SUMMARY_LOG_LINES)).text, known)

    text = summary.write(
        summary.SnapshotSubject(incident.id, incident.host, incident.attempt, time.time(), incident.phase),
        None if service is None else service.status(),
        log,
        lambda: kernel_log.read(scope.run, scope.command_timeout).lines,
        lambda: processes.read_file(scope.proc / "meminfo"),
        [str(dest)],
    )
    return Piece(redact_text(text, known), "the other parts")


def _service_parts(scope: Scope, service: Service, pids: list[int]) -> list[Part]:
    about, log = _FILES[service.kind]
    seconds = scope.command_timeout

    def told(name: str, read: Callable[[], Logs]) -> Piece:
        found = read()
        return Piece(_redact_log(name, found.text, scope.known_secrets), found.source)

    return [
        Part(about, lambda: told(about, service.describe), seconds=3 * seconds),
        Part("cgroups.txt", lambda: _cgroup_part(scope, service, pids), seconds=seconds),
        Part(log, lambda: told(log, lambda: service.logs(scope.log_lines)), keep_tail=True, seconds=2 * seconds),
    ]


def _redact_log(name: str, text: str, known: tuple[str, ...]) -> str:
    if name.endswith(".json"):
        try:
            return json.dumps(redact_document(json.loads(text), known), indent=2) + "\n"
        except (ValueError, RecursionError):
            pass  # not JSON: redact it as text
    return redact_text(text, known)


def _process_parts(scope: Scope, pid: int) -> list[Part]:
    proc, seconds = scope.proc, scope.command_timeout
    return [
        Part(f"process-{pid}.txt", lambda: processes.about(proc, pid), seconds=seconds),
        Part(f"process-{pid}-threads.txt", lambda: processes.threads(proc, pid), seconds=seconds),
        Part(
            f"process-{pid}-memory-map.txt",
            lambda: processes.memory_map(proc, pid, scope.known_secrets),
            seconds=seconds,
        ),
    ]


def _python_part(scope: Scope, pid: int) -> Part:
    seconds = scope.command_timeout
    return Part(
        f"process-{pid}-python.txt",
        lambda: python_stacks.dump(pid, scope.py_spy, scope.run, seconds, scope.known_secrets),
        seconds=2 * seconds + 2,
    )


def _engine_parts(scope: Scope) -> list[Part]:
    engine, server, known = scope.engine, scope.server, scope.known_secrets
    parts = []
    if engine is not None:
        parts.append(Part("engine.json", lambda: _engine_part(engine, scope), seconds=20 * scope.command_timeout))
    if engine is not None and server is not None:
        seconds = server.timeout + 1
        parts.append(Part("metrics.txt", lambda: engine_state.metrics(server, known), seconds=seconds))
        path = ENGINES[engine.name].requests_path
        if path is not None:
            parts.append(
                Part(
                    "requests.json",
                    lambda: engine_state.requests(path, server, scope.with_prompts, known),
                    seconds=seconds,
                )
            )
    return parts


def _service_pids(scope: Scope) -> list[int]:
    """The service's processes, the main one first; empty where unreadable, which the service's own part reports."""
    if scope.service is None:
        return []
    main = scope.service.status().main_pid
    found = [] if main is None else [main]
    try:
        ownership = scope.service.ownership()
        if ownership.mark:
            marked = process.marks(scope.proc, processes.pids(scope.proc), scope.command_timeout)
            found.extend(pid for pid, mark in marked.items() if mark == ownership.mark)
        for directory in _own_groups(scope, ownership, main):
            found.extend(cgroups.processes_in(directory))
    except (OSError, Unread):
        pass
    return list(dict.fromkeys(found))


def _own_groups(scope: Scope, ownership: Ownership, main: int | None) -> list[Path]:
    mounts = _cgroup_mounts(scope)
    if ownership.unit_group:
        return [mount.locate(ownership.unit_group) for mount in mounts]
    if main is None:
        return []
    return cgroups.groups_of_process(scope.proc, main, mounts, lambda group: ownership.owns((group,)))


def _cgroup_mounts(scope: Scope) -> list[cgroups.Mount]:
    try:
        return cgroups.parse_mounts(processes.read_file(scope.proc / "self" / "mountinfo"))
    except OSError:
        return []


def _cgroup_part(scope: Scope, service: Service, pids: list[int]) -> Piece:
    """The state of the control groups: those of living processes, and those with the service's name."""
    mounts = _cgroup_mounts(scope)
    groups: list[Path] = []
    for pid in pids:
        try:
            groups.extend(cgroups.groups_of_process(scope.proc, pid, mounts))
        except OSError:
            continue  # the process has ended
    ownership = service.ownership()
    names = {*container_components(ownership.container_id), ownership.unit_group.rpartition("/")[2]} - {""}
    for name in sorted(names):
        groups.extend(cgroups.groups_of_unit(name, ownership.unit_group, mounts))
    if groups:
        return cgroups.memory(dict.fromkeys(groups), mounts)
    parents = [mount.locate(ownership.unit_group.rpartition("/")[0] or "/") for mount in mounts if mount.tells_memory]
    piece = cgroups.memory([parent for parent in parents if parent.is_dir()], mounts)
    return Piece(piece.text, piece.source, (f"the group of {service.name} is gone; these are its parents",))


def _engine_part(engine: Engine, scope: Scope) -> Piece:
    seen = asdict(observe(engine, None, None))
    told = {"engine": engine.name, **{key: seen[key] for key in ("live", "ready", "stats")}}
    return Piece(redact_text(json.dumps(told, indent=2) + "\n", scope.known_secrets), engine.name)


def _identifying_keys(incident: Incident) -> dict[str, Any]:
    digest = hashlib.sha256(incident.id.encode("utf-8", "surrogatepass")).hexdigest()
    host = _safe_text(incident.host)
    return {
        "incident_sha256": digest,
        "attempt": incident.attempt,
        "host": host,
        "run": _safe_text(incident.run),
        "phase": _safe_text(incident.phase),
    }


def _safe_text(text: str) -> str:
    """A text from outside, made valid and short enough for a manifest."""
    return text.encode("utf-8", "replace").decode()[:_MAX_TOLD_TEXT]
