# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Isolating a service and undoing that, each step such that a run that is killed after it is gone on with.

The note comes first: rules that nobody knows of would be taken for a fault of the network.  It goes last on the way
back.  Whether a service is isolated is never what was ordered, but what was read after it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from ..host.command import Runner, run
from ..host.unread import Unread
from ..services.protocol import Service
from . import cutting, freezing, plan, reading
from . import note as notes
from .cutting import Namespace, NotCut
from .note import IsolationNote
from .plan import CUT, FREEZE, REFUSED, IsolationDecision, ServiceSeen

CONNECTED = "connected"


class NotIsolated(Exception):
    """It was ordered and does not hold, or was undone in part. The note says so to whoever comes next."""


@dataclass(frozen=True)
class IsolationSubject:
    """The service, where its note is, and by what it is looked at. timeout: seconds for each command."""

    service: Service
    note: str
    timeout: float
    run: Runner = run
    proc: Path = Path("/proc")

    def look(self) -> ServiceSeen:
        """Read the service as it is now."""
        return reading.look(self.service, self.run, self.timeout, self.proc)


@dataclass(frozen=True)
class IsolationOrder:
    """Who wants it isolated, and why."""

    who: str
    why: str
    incident: str
    may_freeze: bool = True


@dataclass(frozen=True)
class IsolationResult:
    """outcome: CUT, FREEZE, REFUSED or CONNECTED.  holds: whether it was read to be isolated, None where nobody looked.
    note: after this."""

    outcome: str
    words: str
    changed: bool
    holds: bool | None
    before: IsolationNote | None
    note: IsolationNote | None
    processes: tuple[int, ...] = ()


def isolate(subject: IsolationSubject, order: IsolationOrder, check_mode: bool) -> IsolationResult:
    """Cut the service off, or freeze it. Raises IsolationNoteUnreadable, NotIsolated, Unread and OSError."""
    before, seen = notes.read(subject.note), subject.look()
    pids = tuple(each.pid for each in seen.processes)
    decision = plan.decide(seen, order.may_freeze)
    if decision.outcome == REFUSED:
        return IsolationResult(REFUSED, decision.words, False, None, before, before, pids)
    if before is not None and before.pid == seen.main and not open_way(subject, before, seen):
        return IsolationResult(before.how, f"it is already: {before.said()}", False, True, before, before, pids)
    wanted = _note_of(seen, decision, order, before)
    if check_mode:
        return IsolationResult(decision.outcome, decision.words, True, None, before, wanted, pids)
    notes.put(subject.note, wanted)
    try:
        decision, wanted = _enforce(subject, seen, decision, wanted, order.may_freeze)
    except (Unread, OSError) as error:
        raise NotIsolated(f"{error}; what was begun is noted") from error
    return IsolationResult(wanted.how, decision.words, True, True, before, wanted, pids)


def _enforce(
    subject: IsolationSubject, seen: ServiceSeen, decision: IsolationDecision, wanted: IsolationNote, may_freeze: bool
) -> tuple[IsolationDecision, IsolationNote]:
    """Cut it off, or freeze it where that does not hold. Returns what was done. Raises NotIsolated, Unread, OSError."""
    if wanted.how == CUT:
        why_not = _cut(subject, seen, decision)
        if not why_not:
            return decision, wanted
        decision = plan.frozen_instead(why_not, subject.look(), may_freeze)
        if decision.outcome == REFUSED:
            raise NotIsolated(decision.words)
        wanted = replace(wanted, how=FREEZE)
        notes.put(subject.note, wanted)
    left = freezing.stop(lambda: _members(subject), subject.proc)
    if left:
        raise NotIsolated(f"{decision.words}; and these do not stop: process {left}")
    return decision, wanted


def connect(subject: IsolationSubject, check_mode: bool) -> IsolationResult:
    """Remove what isolate() has put there, and its note. Raises as isolate() does.

    The rules stay for another service that is isolated in the same namespace, as of one pod, or after it has got the
    name of a namespace that is gone. The last of them takes them away.
    """
    before, seen = notes.read(subject.note), subject.look()
    if seen.unread:
        raise Unread("; ".join(seen.unread))
    frozen = [each for each in seen.processes if each.stopped] if before is not None and before.how == FREEZE else []
    anothers = notes.namespaces_of_others(subject.note)
    kept = seen.own_namespace in anothers
    try:
        ruled = [
            name for name in _namespaces(before, seen) if name not in anothers and _unruled(subject, name, check_mode)
        ]
        if not check_mode:
            freezing.go_on(frozen, subject.proc)
            notes.remove(subject.note)
    except (Unread, OSError) as error:
        raise NotIsolated(f"{error}; the note stays, and the next run goes on") from error
    said = [
        *(["it stays cut off with another service, which is isolated in the same network"] if kept else []),
        *(["its rules are removed"] if ruled else []),
        *([f"{len(frozen)} processes go on"] if frozen else []),
    ]
    words = " and ".join(said) or ("there was nothing of it left" if before else "it was not isolated")
    return IsolationResult(CONNECTED, words, bool(before or ruled), kept, before, None)


def _unruled(subject: IsolationSubject, name: str, check_mode: bool) -> bool:
    """Remove our rules from a namespace, and tell whether there were any. Raises NotCut, Unread and OSError."""
    pid = reading.namespace_holder(subject.proc, name)
    if pid is None:
        return False  # it has ended with all that was in it, the rules too
    with cutting.opened(subject.proc, pid, name, subject.run, subject.timeout) as namespace:
        found = namespace.has_rules()
        if found and not check_mode:
            namespace.connect()
        return found


def query(subject: IsolationSubject) -> IsolationResult:
    """Say what was ordered, and whether it holds. Raises IsolationNoteUnreadable."""
    before = notes.read(subject.note)
    if before is None:
        return IsolationResult(CONNECTED, "it was not isolated", False, None, None, None)
    seen = subject.look()
    if seen.main is None and not seen.unread:
        words = f"{before.said()}; it has no main process any more, and whether another of it talks was not read"
        return IsolationResult(before.how, words, False, None, before, before)
    way = "; ".join(seen.unread) or open_way(subject, before, seen)
    words = f"it does NOT hold: {way}" if way else before.said()
    pids = tuple(each.pid for each in seen.processes)
    return IsolationResult(before.how, words, False, not way, before, before, pids)


def open_way(subject: IsolationSubject, note: IsolationNote, seen: ServiceSeen) -> str:
    """Why a service is not isolated as its note says, by what is read now; empty where it is."""
    if note.how == FREEZE:
        going = [str(each.pid) for each in seen.processes if not each.stopped]
        return f"process {', '.join(going)} goes on" if going or not seen.processes else ""
    decision = plan.decide(seen, may_freeze=True)
    if decision.outcome != CUT:
        return decision.words
    if seen.own_namespace != note.namespace:
        return "it is in another network namespace since"
    try:
        with _opened(subject, seen) as namespace:
            return namespace.complaint(_devices(subject, seen, decision))
    except (Unread, OSError) as error:
        return str(error)


def _cut(subject: IsolationSubject, seen: ServiceSeen, decision: IsolationDecision) -> str:
    """Put the rules there and try them. Returns why it is not cut off; empty where it is."""
    try:
        with _opened(subject, seen) as namespace:
            namespace.cut(_devices(subject, seen, decision))
            why_not = namespace.complaint(_devices(subject, seen, decision))
    except (NotCut, Unread, OSError) as error:
        return str(error)
    # One that has left the namespace between the look and the rules is seen now.
    after = subject.look()
    return why_not or "; ".join(after.unread or plan.why_not_cut(after))


def _opened(subject: IsolationSubject, seen: ServiceSeen) -> AbstractContextManager[Namespace]:
    return cutting.opened(subject.proc, seen.main or 0, seen.own_namespace, subject.run, subject.timeout)


def _devices(subject: IsolationSubject, seen: ServiceSeen, decision: IsolationDecision) -> list[str]:
    """The interfaces from which bare packets are to be kept. Raises OSError."""
    return cutting.interfaces(subject.proc, seen.main or 0) if decision.packets else []


def _members(subject: IsolationSubject) -> tuple[plan.ProcessSeen, ...]:
    seen = subject.look()
    if seen.unread:
        raise Unread("; ".join(seen.unread))
    return seen.processes


def _namespaces(before: IsolationNote | None, seen: ServiceSeen) -> Iterator[str]:
    """Where rules of ours may be: never the host's own."""
    found = {seen.own_namespace, before.namespace if before is not None else ""}
    yield from sorted(found - {""} - seen.host_namespaces)


def _note_of(
    seen: ServiceSeen, decision: IsolationDecision, order: IsolationOrder, before: IsolationNote | None
) -> IsolationNote:
    """The note of this order. Who wanted it first, why and since when is kept."""
    wanted = notes.make(
        {
            "label": seen.label,
            "how": decision.outcome,
            # Rules of a run before may be in the namespace that its note says, although it is frozen now.
            "namespace": seen.own_namespace or (before.namespace if before is not None else ""),
            "pid": seen.main or 0,
            "since": time.time(),
            "who": order.who,
            "why": order.why,
            "incident": order.incident,
        }
    )
    if before is None:
        return wanted
    return replace(wanted, since=before.since, who=before.who, why=before.why, incident=before.incident)
