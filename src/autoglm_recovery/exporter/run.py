# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter and its threads.

kernel      waits for records, counts faults, queues alerts
alerts      one for each Alertmanager: sends
execs       waits for executed programs where a service declares its own, counts, queues alerts
gpus        one snapshot after the other, through a session that a hung driver cannot block
main        processes, services out of traffic, heartbeat, state file
http        joins prepared pages
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from autoglm_recovery.exporter import state
from autoglm_recovery.exporter.alertmanager import AlertSender
from autoglm_recovery.exporter.exec_connector import ProcessConnector
from autoglm_recovery.exporter.exec_watch import ExecWatch
from autoglm_recovery.exporter.faults import CountedFault, FaultObserver
from autoglm_recovery.exporter.gpu_metrics import gpu_metrics
from autoglm_recovery.exporter.guard import WebGuard
from autoglm_recovery.exporter.http import ExporterServer, page
from autoglm_recovery.exporter.kernel import FastPath, KernelReader
from autoglm_recovery.exporter.kmsg import KernelLogReader
from autoglm_recovery.exporter.ledger import FaultLedger
from autoglm_recovery.exporter.links import LinkCounters
from autoglm_recovery.exporter.live_metrics import (
    alert_metrics,
    exec_metrics,
    fault_metrics,
    kernel_metrics,
    own_metrics,
    probe_metrics,
    service_metrics,
)
from autoglm_recovery.exporter.memory import GpuOwnerMemory
from autoglm_recovery.exporter.processes import Processes
from autoglm_recovery.exporter.services import Services
from autoglm_recovery.exporter.traffic import LOCKS, NOTES, SHED, look, traffic_metrics
from autoglm_recovery.exporter.view import errors_in, not_looked_yet, view_of
from autoglm_recovery.knowledge.faults.catalogue.numbers import Overrides
from autoglm_recovery.knowledge.gpu.reading.presence import Roots
from autoglm_recovery.knowledge.gpu.reading.session import NvmlSession
from autoglm_recovery.knowledge.gpu.reading.snapshot import take
from autoglm_recovery.knowledge.host import clocks

# Lines without a fault also move the position in the log, but are not worth a write of their own.
_PLACE_SAVED_EVERY = 300.0
_LEAVING = 15.0

log = structlog.get_logger()


@dataclass(frozen=True)
class ExporterSettings:
    """The settings of the command line."""

    listen: str
    interval: timedelta
    state_file: Path
    host: str
    services: Services = field(default_factory=Services)
    nvml_library: str | None = None
    probe_timeout: timedelta = timedelta(seconds=5)
    expected_gpus: int | None = None
    kmsg: Path | None = Path("/dev/kmsg")
    alertmanagers: tuple[str, ...] = ()
    headers: Callable[[], dict[str, str]] = dict
    authorities: ssl.SSLContext | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    roots: Roots = field(default_factory=Roots)
    overrides: Overrides | None = None
    notes: Path = NOTES
    shed: Path = SHED
    locks: Path = LOCKS
    guard: WebGuard | None = None


class Exporter:
    """The whole exporter: its threads, its state file and its HTTP server."""

    def __init__(self, settings: ExporterSettings) -> None:
        """Read the state and bind the address; nothing runs yet.  Raises ExporterListenError."""
        self._settings = settings
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._ledger = FaultLedger()
        self._memory = GpuOwnerMemory(settings.services, settings.expected_gpus)
        self._processes = Processes(settings.services, settings.roots.proc)
        self._state = state.StateFile(settings.state_file)
        self._senders = [
            AlertSender(url, settings.headers, authorities=settings.authorities) for url in settings.alertmanagers
        ]
        self._fast = FastPath(settings.host, self._senders, dict(settings.labels))
        self._kernel = self._kernel_reader(self._restore_state())
        self._execs = ExecWatch(ProcessConnector(), settings.services, self._take_exec, settings.roots.proc)
        self._save_failed = ""
        self._saves_failed = 0
        self._gpu_page = page(gpu_metrics(not_looked_yet(self._memory)))
        self._service_page = self._traffic_page = b""
        self._began = self._heartbeat = time.time()
        self._read_at = time.monotonic()
        self._took: float | None = None
        self._errors: Counter[str] = Counter()
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        self._place_saved_at = time.monotonic()
        self._place = self._kernel.source.last if self._kernel else None
        self.server = ExporterServer(settings.listen, self.write, settings.guard)

    def run(self) -> None:
        """Work until ``stop`` is called."""
        looking = threading.Thread(target=self._look_at_gpus, name="gpus", daemon=True)
        for sender in self._senders:
            sender.start()
        if self._kernel:
            self._kernel.start()
        if self._execs.watched:
            self._execs.start()
        looking.start()
        self.server.start()
        log.info("the exporter runs", port=self.server.port, host=self._settings.host)
        seconds = self._settings.interval.total_seconds()
        while not self._stopping.is_set():
            begun = time.monotonic()
            self._do_regular_work()
            self._woken.wait(max(0.0, begun + seconds - time.monotonic()))
            self._woken.clear()
        self._shut_down(looking)

    def stop(self) -> None:
        """End ``run``; safe in a signal handler."""
        self._stopping.set()
        self._woken.set()

    def write(self) -> bytes:
        """Return the page of one scrape."""
        age = time.monotonic() - self._read_at
        live = [
            *own_metrics(self._heartbeat, self._saves_failed),
            *probe_metrics(age, self._took, dict(self._errors)),
            *fault_metrics(self._ledger),
            *(kernel_metrics(self._kernel) if self._kernel else ()),
            *exec_metrics(self._execs),
            *(alert_metrics(self._senders) if self._senders else ()),
        ]
        return b"".join(
            (page(live), self._gpu_page, self._service_page, self._traffic_page, generate_latest(self._own))
        )

    def _do_regular_work(self) -> None:
        try:
            self._service_page = page(service_metrics(self._processes.look()))
        except OSError as error:
            log.warning("processes cannot be read", error=str(error))
        given = self._settings
        self._traffic_page = page(traffic_metrics(look(given.notes, given.locks, given.shed)))
        self._heartbeat = time.time()
        self._save_state()

    def _look_at_gpus(self) -> None:
        library = self._settings.nvml_library
        timeout = self._settings.probe_timeout.total_seconds()
        session = NvmlSession(library, device_timeout=timeout, total_timeout=2 * timeout, start="spawn")
        seconds = self._settings.interval.total_seconds()
        links = LinkCounters()
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                self._publish_snapshot(links.complete(take(session, self._settings.roots, links.plan())))
            except Exception:
                # One failed snapshot must not end the thread; the age of the last good one shows the failure.
                log.exception("a look at the GPUs failed")
                self._errors["exporter"] += 1
            self._stopping.wait(max(0.0, begun + seconds - time.monotonic()))
        session.close()

    def _publish_snapshot(self, snapshot: Mapping[str, Any]) -> None:
        self._memory.learn(snapshot, self._processes.service_of)
        self._gpu_page = page(gpu_metrics(view_of(snapshot, self._memory, self._processes.service_of)))
        self._took = snapshot["seconds"]
        self._errors.update(errors_in(snapshot))
        if snapshot["nvml"]["state"] == "read":
            self._read_at = time.monotonic()
            if self._kernel:
                self._kernel.observer.driver_version = snapshot["nvml"]["values"].get("driver_version")

    def _kernel_reader(self, last: int | None) -> KernelReader | None:
        settings = self._settings
        if settings.kmsg is None:
            return None
        memory = self._memory
        observer = FaultObserver(
            settings.services, self._processes.service_of, memory.owner_of, memory.knows, settings.overrides
        )
        source = KernelLogReader(settings.kmsg, last)
        return KernelReader(source, observer, self._ledger, self._fast, self._woken.set)

    def _take_exec(self, fault: CountedFault) -> None:
        """Count it; the regular work saves it.  Nobody is woken: a storm would keep the state file busy."""
        self._ledger.add(fault.labels, fault.at)
        self._fast.tell(fault)

    def _restore_state(self) -> int | None:
        """Restore the state.  Return the position in the kernel's log, if it is still the same log."""
        stored, problem = state.load(self._settings.state_file)
        if problem:
            log.warning("the state is not used; counters begin anew", problem=problem)
        self._ledger.restore(stored.get("faults"))
        same_boot = bool(stored.get("boot_id")) and stored.get("boot_id") == clocks.boot_id()
        self._memory.restore(stored.get("gpus"), same_boot)
        place = stored.get("sequence")
        same_log = same_boot and stored.get("kmsg") == str(self._settings.kmsg)
        return place if same_log and type(place) is int else None

    def _save_state(self, now: bool = False) -> None:
        faults = self._ledger.dump()
        document = {
            "boot_id": clocks.boot_id(),
            "kmsg": str(self._settings.kmsg),
            "faults": faults,
            "gpus": self._memory.dump(),
        }
        place = self._kernel.source.last if self._kernel else None
        late = time.monotonic() - self._place_saved_at > _PLACE_SAVED_EVERY
        if now or late or self._state.differs({**document, "sequence": self._place}):
            self._place, self._place_saved_at = place, time.monotonic()
        try:
            self._state.save({**document, "sequence": self._place})
            self._save_failed = ""
        except OSError as error:
            self._saves_failed += 1
            if str(error) != self._save_failed:
                log.warning("the state cannot be saved; counters begin anew after a restart", error=str(error))
                self._save_failed = str(error)

    def _shut_down(self, looking: threading.Thread) -> None:
        self.server.stop()
        if self._kernel:
            self._kernel.stop()
        self._execs.stop()
        for sender in self._senders:
            sender.stop()
        self._save_state(now=True)
        looking.join(_LEAVING)
