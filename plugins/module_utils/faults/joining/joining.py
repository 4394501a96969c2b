# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events joined into faults: one fault per burst, with a named cause, its victims and its place.

Pure and incremental: C(Joiner.feed) takes an event and its time and answers with the faults that ended by then.  A
fault ends after three minutes of silence.  Time never runs backwards here; where the given time does, the latest holds.

    cause      48 over 171, 63 and 154; 79 over everything; else the gravest, else the first (rules.rank)
    fabric     the same NVLink code on two or more GPUs or switches within ten seconds is one fault, and stays one
    folding    three lines of a lost GPU are one event; details of SXid and AER reports are counted, and open no fault
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..lines.continuation import MOST_LINES, continues, event_of_continuation
from ..lines.framing import unframe
from ..lines.pci import Event
from ..lines.reading import event_of
from ..lines.timeline import Timeline
from .rules import PCIE_KINDS, code_of, fabric_code, place_of, rank, victim_of

SILENCE = 180.0
FABRIC_WINDOW = 10.0
_PARTS_WINDOW = 5.0
_MOST_FAULTS = 256
_MOST_NAMES = 64


@dataclass
class KernelFault:
    """One fault. C(scope): gpu, fabric or host. C(gpus): addresses of GPUs and switches that report it.

    C(root) is the event nearest to the cause, C(events) how many lines were joined, C(codes) how often each code came.
    C(clock): whose seconds C(first_at) and C(last_at) are: boot, wall, date (without its year), delta, arrival (when
    the line was read), or none.
    """

    scope: str
    root: Event
    first_at: float
    last_at: float
    events: int = 0
    details: int = 0
    gpus: tuple[str, ...] = ()
    victims: tuple[tuple[int | None, str | None], ...] = ()
    codes: dict[str, int] = field(default_factory=dict)
    root_at: float = 0.0
    clock: str = "arrival"

    def as_dict(self) -> dict[str, Any]:
        """A plain value for JSON."""
        return {
            "scope": self.scope,
            "root": dict(self.root),
            "events": self.events,
            "details": self.details,
            "gpus": list(self.gpus),
            "first_at": None if self.clock == "none" else self.first_at,
            "last_at": None if self.clock == "none" else self.last_at,
            "clock": self.clock,
            "victims": [{"pid": pid, "process": process} for pid, process in self.victims],
            "codes": dict(self.codes),
        }

    def add(self, event: Event, at: float) -> None:
        """Add an event to the fault."""
        if rank(event) < rank(self.root):
            self.root, self.root_at = event, at
        self.last_at = max(self.last_at, at)
        self.events += 1
        code = code_of(event)
        if code in self.codes or len(self.codes) < _MOST_NAMES:
            self.codes[code] = self.codes.get(code, 0) + 1
        if place_of(event)[0] != "host":
            self.gpus = _with_name(self.gpus, event["pci"])
        victim = victim_of(event)
        if victim is not None:
            self.victims = _with_name(self.victims, victim)

    def absorb(self, other: KernelFault) -> None:
        """Merge another fault into this one."""
        if (rank(other.root), other.root_at) < (rank(self.root), self.root_at):
            self.root, self.root_at = other.root, other.root_at
        self.first_at, self.last_at = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        self.events += other.events
        self.details += other.details
        for code, count in other.codes.items():
            self.codes[code] = self.codes.get(code, 0) + count
        for gpu in other.gpus:
            self.gpus = _with_name(self.gpus, gpu)
        for victim in other.victims:
            self.victims = _with_name(self.victims, victim)


def _with_name(names: tuple[Any, ...], name: Any) -> tuple[Any, ...]:
    return names if name in names or len(names) >= _MOST_NAMES else (*names, name)


class Joiner:
    """The faults that are open now. Holds a bounded number of them, and of each a bounded number of names."""

    def __init__(self) -> None:
        self._now = float("-inf")
        self._open: dict[tuple[str, str], KernelFault] = {}
        self._seen: dict[str, dict[str, float]] = {}  # fabric code -> who reported it -> when last
        self._parts: tuple[float, str | None, int] | None = None
        self.clock = "arrival"

    def feed(self, event: Event, at: float) -> list[KernelFault]:
        """Process an event. Returns the faults that have ended, oldest first."""
        ended = self.advance(at)
        whole = self._complete_event(event)
        if whole is not None:
            ended += self._take_in(whole)
        return ended

    def advance(self, at: float) -> list[KernelFault]:
        """Advance the time. Returns the faults that have ended, oldest first."""
        self._now = max(self._now, at)
        return self._end_where(lambda fault: self._now - fault.last_at > SILENCE)

    def open_faults(self) -> list[KernelFault]:
        """The faults that have not ended, oldest first. Changes nothing."""
        copies = (replace(fault, codes=dict(fault.codes)) for fault in self._open_once())
        return sorted(copies, key=lambda fault: fault.first_at)

    def flush(self) -> list[KernelFault]:
        """End every fault, as after the last line. Returns them, oldest first."""
        self._seen.clear()
        self._parts = None
        return self._end_where(lambda _fault: True)

    def _open_once(self) -> list[KernelFault]:
        return list({id(fault): fault for fault in self._open.values()}.values())

    def _end_where(self, over: Any) -> list[KernelFault]:
        ended = [fault for fault in self._open_once() if over(fault)]
        if ended:
            gone = {id(fault) for fault in ended}
            self._open = {place: fault for place, fault in self._open.items() if id(fault) not in gone}
        return sorted(ended, key=lambda fault: fault.first_at)

    def _complete_event(self, event: Event) -> Event | None:
        """The event to count: three lines about a lost GPU count once, with the address of the first."""
        kind = event["kind"]
        if kind in ("none", "gpu_identity"):
            return None
        if kind != "gpu_off_bus_multiline":
            return event
        pci = event.get("pci")
        if event["part"] == 1:
            self._parts = (self._now, pci, 1)
            return None
        if event["part"] == 2:
            return None
        begun, self._parts = self._parts, None
        if begun is not None and self._now - begun[0] <= _PARTS_WINDOW:
            pci = begun[1]
        lost: Event = {"kind": "gpu_off_bus_text", "implies_xid": 79}
        return {**lost, "pci": pci} if pci else lost

    def _take_in(self, event: Event) -> list[KernelFault]:
        place = place_of(event)
        fault = self._open.get(place) or self._fault_nearby(event)
        if event.get("is_new_fault") is False:
            if fault is not None:
                fault.details += 1
                fault.last_at = self._now
            return []
        if fault is None:
            fault = KernelFault(place[0], event, self._now, self._now, root_at=self._now, clock=self.clock)
        self._open[place] = fault
        fault.add(event, self._now)
        self._merge_into_fabric(event, fault)
        return self._end_oldest()

    def _fault_nearby(self, event: Event) -> KernelFault | None:
        """The open fault of the GPU on whose bus an event happened, or of the fabric fault that caused it."""
        pci = event.get("pci")
        if event["kind"] in PCIE_KINDS and isinstance(pci, str):
            return self._open.get(("gpu", pci.partition(".")[0]))
        caused_by = event.get("caused_by")
        if caused_by is not None:
            for fault in self._open_once():
                if fault.scope == "fabric" and f"xid {caused_by}" in fault.codes:
                    return fault
        return None

    def _merge_into_fabric(self, event: Event, fault: KernelFault) -> None:
        """Merge the same NVLink code on several GPUs into one fault of the fabric."""
        code = fabric_code(event)
        if code is None:
            return
        seen = {who: when for who, when in self._seen.get(code, {}).items() if self._now - when <= FABRIC_WINDOW}
        place = place_of(event)
        others = [who for who in seen if who != place[1]]
        seen[place[1]] = self._now
        self._seen[code] = dict(sorted(seen.items(), key=lambda item: item[1])[-_MOST_NAMES:])
        if len(self._seen) > _MOST_FAULTS:
            del self._seen[next(iter(self._seen))]
        for who in others:
            fault = self._merged(fault, self._open.get((place[0], who)))
        if others:
            # A GPU that is gone takes the links of its neighbours with it.  Which they are is said before the first of
            # them is taken in: either of two faults may be the one that stays.
            gone = [lost for lost in self._open_once() if lost is not fault and rank(lost.root)[0] == 0]
            for lost in gone:
                if self._now - lost.last_at <= FABRIC_WINDOW:
                    fault = self._merged(fault, lost)
            fault.scope = "fabric"

    def _merged(self, fault: KernelFault, other: KernelFault | None) -> KernelFault:
        """Merge two faults into the older one, and return it."""
        if other is None or other is fault:
            return fault
        older, newer = (other, fault) if other.first_at <= fault.first_at else (fault, other)
        older.absorb(newer)
        for place, known in list(self._open.items()):
            if known is newer:
                self._open[place] = older
        return older

    def _end_oldest(self) -> list[KernelFault]:
        ended: list[KernelFault] = []
        while len(self._open) > _MOST_FAULTS:
            oldest = min(self._open_once(), key=lambda fault: fault.last_at)
            ended += self._end_where(lambda fault, oldest=oldest: fault is oldest)
        return ended


class LineJoiner:
    """Lines of one log into faults, by the lines' own clocks.

    C(arrival): lines of a log without any clock count by the time at which they are fed, because they are fed as they
    are written.  Without it events without a clock may be days apart, and are never joined, also not with one that has
    a clock: each fault is C(clock) C(none).
    """

    def __init__(self, arrival: bool = True) -> None:
        self._joiner = Joiner()
        self._timeline = Timeline()
        self._arrival = arrival
        self._before: list[str | bytes] = []
        self._adrift = False  # nobody knows when the last event was
        self.unreadable = 0
        self.without_clock = False

    def feed(self, line: str | bytes, now: float) -> list[KernelFault]:
        """Process a line. Returns the faults that have ended, oldest first."""
        framed = unframe(line)
        goes_on = framed.bare and continues(reversed(self._before))
        event = event_of_continuation(framed) if goes_on else event_of(framed)
        self._remember_line(line)
        self.unreadable += event["kind"] == "unreadable"
        moment = self._timeline.place(framed)
        own, begins = framed.clock is not None, _begins_fault(event) and not goes_on
        # What describes the event before it, and what goes on with its message, has the time of that.
        adrift = not (own or self._arrival) and (begins or self._adrift)
        at, clock = moment.at, moment.clock or "arrival"
        if adrift or at is None:
            at, clock = now, "arrival" if self._arrival else "none"
        ended: list[KernelFault] = []
        if moment.apart or (adrift and begins) or (own and self._adrift):
            ended, self._joiner = self._joiner.flush(), Joiner()
        self.without_clock = self.without_clock or (adrift and begins)
        self._adrift = adrift
        self._joiner.clock = clock
        return ended + self._joiner.feed(event, at)

    def feed_all(self, lines: Iterable[str | bytes], now: float) -> list[KernelFault]:
        """Process lines. Returns the faults that have ended."""
        return [fault for line in lines for fault in self.feed(line, now)]

    def open_faults(self) -> list[KernelFault]:
        """The faults that have not ended."""
        return self._joiner.open_faults()

    def flush(self) -> list[KernelFault]:
        """End every fault."""
        return self._joiner.flush()

    def _remember_line(self, line: str | bytes) -> None:
        if line.strip():
            self._before = [*self._before[1 - MOST_LINES :], line]


def _begins_fault(event: Event) -> bool:
    """Whether an event may begin a fault, and is not a part of the one before it."""
    return not (
        event["kind"] in ("none", "gpu_identity")
        or event.get("is_new_fault") is False
        or (event["kind"] == "gpu_off_bus_multiline" and event["part"] != 1)
    )
