# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the kernel's log to the ledger and to Alertmanager, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from autoglm_recovery.exporter.alertmanager import AlertSender, FastAlert
from autoglm_recovery.exporter.alerts import alert_of, labels_of, summary_of
from autoglm_recovery.exporter.faults import CountedFault, FaultObserver
from autoglm_recovery.exporter.kmsg import KernelLogReader
from autoglm_recovery.exporter.ledger import FaultLedger

_WAIT = 1.0
_TRY_AGAIN = 5.0

log = structlog.get_logger()


@dataclass
class FastPath:
    """Builds fast alerts and queues them at the senders, of which there is one for each Alertmanager."""

    host: str
    senders: Sequence[AlertSender] = ()
    more_labels: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.time

    def tell(self, fault: CountedFault) -> None:
        """Raise the alert of a fault, unless it is long over: a restart reads old lines again."""
        alert = alert_of(fault.labels)
        if alert is None or not self.senders:
            return
        ends = fault.at + alert.hold.total_seconds()
        if ends <= self.clock():
            return
        labels = labels_of(alert, self.host, fault.labels, self.more_labels)
        annotations = {"summary": summary_of(alert, self.host, fault.labels)}
        if fault.detail:
            annotations["description"] = fault.detail
        for sender in self.senders:
            sender.put(FastAlert(labels, annotations, fault.at, ends))


@dataclass
class KernelReader:
    """Follows the kernel's log until it is stopped.  ``readable``: whether the log can be read now."""

    source: KernelLogReader
    observer: FaultObserver
    ledger: FaultLedger
    fast: FastPath
    fault_seen: Callable[[], None]
    readable: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Start the thread that reads."""
        thread = threading.Thread(target=self.run, name="kernel", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()

    def run(self) -> None:
        """Read until told to stop; where it cannot be read, try again."""
        said = ""
        while not self._stopping.is_set():
            try:
                self.source.open()
                self.readable = True
                said = ""
                while not self._stopping.is_set():
                    self.read()
                    self.source.wait(_WAIT)
            except Exception as error:  # noqa: BLE001 - after any error the next record may be readable again
                self.readable = False
                if str(error) != said:  # once, not every few seconds
                    log.warning("the kernel's log cannot be read", path=str(self.source.path), error=str(error))
                    said = str(error)
                self._stopping.wait(_TRY_AGAIN)
            finally:
                self.source.close()

    def read(self) -> None:
        """Read and process the records that are available now."""
        for record in self.source.read():
            fault = self.observer.take(record)
            if fault is None:
                continue
            self.ledger.add(fault.labels, fault.at)
            self.fast.tell(fault)
            self.fault_seen()
            log.info("kernel fault", **fault.labels)
