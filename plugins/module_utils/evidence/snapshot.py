# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of one incident: which parts there are, in which order of worth, and where the bundle goes."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..engines.protocol import Engine
from ..health.probe import observe
from . import bundle, cgroups, host, processes, systemd
from .command import Runner, run
from .names import safe_component
from .piece import Part, Piece
from .redaction import redact_text
from .systemd import Unread

_MAX_PROCESSES = 32
_MAX_TOLD_TEXT = 256


@dataclass(frozen=True)
class Incident:
    """Whose evidence it is. All three come from outside and are only ever data."""

    id: str
    attempt: int
    host: str


@dataclass(frozen=True)
class Scope:
    """What to look at. unit and engine may be missing. known_secrets: values that must not appear anywhere."""

    unit: str | None = None
    engine: Engine | None = None
    journal_lines: int = 2000
    command_timeout: float = 10.0
    known_secrets: tuple[str, ...] = ()
    proc: Path = Path("/proc")
    run: Runner = run


def bundle_name(incident: Incident, at: float) -> str:
    """C(INCIDENT-HOST-TIMESTAMP), each made fit for a path; at: seconds since the epoch."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    return f"{safe_component(incident.id, 'incident')}-{safe_component(incident.host, 'host')}-{stamp}"


def existing(dest: Path, incident: Incident) -> Path | None:
    """The bundle of the same incident, attempt and host, if there is one. The first one taken is the evidence."""
    wanted = _identity(incident)
    for path, manifest in bundle.bundles(dest):
        if all(manifest.get(key) == value for key, value in wanted.items()):
            return path
    return None


def head(incident: Incident, scope: Scope, limits: bundle.Limits) -> dict[str, Any]:
    """What the manifest says beside the parts."""
    return {
        **_identity(incident),
        "incident": _told(incident.id),
        "unit": scope.unit,
        "taken_at": bundle.utc_now(),
        "monotonic_at": time.clock_gettime(time.CLOCK_MONOTONIC),
        "limits": asdict(limits),
        "redacted": "names and shapes of secrets, see the documentation of crash_snapshot",
    }


def plan(scope: Scope) -> list[Part]:
    """Every part, most important first: when space or time runs out it is the end of this list that is missing."""
    seconds = scope.command_timeout
    properties = _properties(scope)
    pids = _pids(scope, properties)
    parts: list[Part] = []
    if scope.unit is not None:
        parts.extend(_unit_parts(scope, scope.unit, properties, pids))
    known = scope.known_secrets
    parts.append(
        Part("kernel.log", lambda: host.kernel(scope.run, seconds, known), keep_tail=True, seconds=4 * seconds)
    )
    for pid in pids[:_MAX_PROCESSES]:
        parts.extend(_process_parts(scope, pid))
    parts.append(Part("host.txt", lambda: host.state(scope.proc), seconds=seconds))
    if scope.engine is not None:
        engine = scope.engine
        parts.append(Part("engine.json", lambda: _engine(engine, scope), seconds=20 * seconds))
    parts.append(Part("sockets.txt", lambda: host.sockets(scope.proc, scope.run, seconds), seconds=2 * seconds))
    parts.append(Part("processes.txt", lambda: processes.overview(scope.proc), seconds=seconds))
    parts.append(Part("command-lines.txt", lambda: processes.command_lines(scope.proc, known), seconds=seconds))
    return parts


def _unit_parts(scope: Scope, unit: str, properties: dict[str, str], pids: list[int]) -> list[Part]:
    seconds, known = scope.command_timeout, scope.known_secrets
    return [
        Part("unit.txt", lambda: host.unit_properties(unit, scope.run, seconds, known), seconds=3 * seconds),
        Part("cgroups.txt", lambda: _cgroups(scope, unit, properties, pids), seconds=seconds),
        Part(
            "journal.log",
            lambda: host.journal(unit, scope.journal_lines, scope.run, seconds, known),
            keep_tail=True,
            seconds=2 * seconds,
        ),
    ]


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


def _properties(scope: Scope) -> dict[str, str]:
    """The unit's properties, or nothing; that they could not be read is said by the part that shows them."""
    if scope.unit is None:
        return {}
    try:
        return systemd.show(scope.unit, scope.run, scope.command_timeout)
    except Unread:
        return {}


def _pids(scope: Scope, properties: dict[str, str]) -> list[int]:
    """The unit's processes, the main one first."""
    main = systemd.main_pid(properties)
    found = [] if main is None else [main]
    group = properties.get("ControlGroup", "")
    if group:
        for mount in _mounts(scope):
            found.extend(cgroups.processes_in(mount.locate(group)))
    return list(dict.fromkeys(found))


def _mounts(scope: Scope) -> list[cgroups.Mount]:
    try:
        return cgroups.parse_mounts(processes.read_file(scope.proc / "self" / "mountinfo"))
    except OSError:
        return []


def _cgroups(scope: Scope, unit: str, properties: dict[str, str], pids: list[int]) -> Piece:
    mounts = _mounts(scope)
    control_group = properties.get("ControlGroup") or f"/{properties.get('Slice') or 'system.slice'}/{unit}"
    groups = cgroups.groups_of_unit(unit, control_group, mounts)
    for pid in pids:
        try:
            groups.extend(cgroups.groups_of_process(scope.proc, pid, mounts))
        except OSError:
            continue  # it ended in the meantime
    if groups:
        return cgroups.memory(groups, mounts)
    parents = cgroups.groups_of_unit(unit, control_group.rpartition("/")[0] or "/", mounts)
    piece = cgroups.memory(parents, mounts)
    return Piece(piece.text, piece.source, (f"the group of {unit} is gone; these are its parents",))


def _engine(engine: Engine, scope: Scope) -> Piece:
    seen = asdict(observe(engine, None, None))
    told = {"engine": engine.name, **{key: seen[key] for key in ("live", "ready", "stats")}}
    return Piece(redact_text(json.dumps(told, indent=2) + "\n", scope.known_secrets), engine.name)


def _identity(incident: Incident) -> dict[str, Any]:
    digest = hashlib.sha256(incident.id.encode("utf-8", "surrogatepass")).hexdigest()
    return {"incident_sha256": digest, "attempt": incident.attempt, "host": _told(incident.host)}


def _told(text: str) -> str:
    """A text from outside, as it may stand in a manifest."""
    return text.encode("utf-8", "replace").decode()[:_MAX_TOLD_TEXT]
