# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our runs keep from services, with any balancer: traffic, or a part of their load; and how this host stands.

The notes are those of playbooks/tasks/note_taken_out.yml and note_shed.yml, ``SHA256_OF_NAME.json`` with
``{"service": NAME}``. Beside the former is the mark of a quarantine. The lock of this host shows whether a run holds
it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.knowledge.locks import host_lock, quarantine
from autoglm_recovery.knowledge.locks.quarantine import Quarantine, QuarantineUnreadable

NOTES = Path("/var/lib/autoglm/taken-out")
SHED = Path("/var/lib/autoglm/shed")
LOCKS = Path(host_lock.DIRECTORY)
_MOST_NOTES = 1000
_LONGEST = 4096
_LONGEST_MARK = 64 * 1024
# A label is no place for a long text; the mark on the host has all of it.
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Traffic:
    """``out``: service -> when the note was written, in seconds since 1970.  ``readable``: whether all notes were read,
    and the mark.  ``quarantine``: the mark of this host, if there is one that could be read.
    ``shed``, ``shed_readable``: the same of services that a part of their load is kept from.
    ``at_work``: whether a run holds this host; None where that is unknown."""

    out: Mapping[str, float] = field(default_factory=dict)
    readable: bool = False
    at_work: bool | None = None
    quarantine: Quarantine | None = None
    shed: Mapping[str, float] = field(default_factory=dict)
    shed_readable: bool = False


def look(notes: Path = NOTES, locks: Path = LOCKS, shed: Path = SHED) -> Traffic:
    """Read the notes and the lock.  Whatever cannot be read is unknown."""
    # The notes first: a run removes its note before it releases the host.
    out, readable = _read_notes(notes)
    less, less_readable = _read_notes(shed)
    mark: Quarantine | None = None
    try:
        mark = _read_mark(notes / quarantine.FILE_NAME)
    except (QuarantineUnreadable, OSError, ValueError):
        readable = False
    at_work: bool | None = None
    with contextlib.suppress(OSError, host_lock.HostLockUnusable):
        at_work = host_lock.in_use(str(locks))
    return Traffic(out, readable, at_work, mark, less, less_readable)


def _read_notes(folder: Path) -> tuple[dict[str, float], bool]:
    out: dict[str, float] = {}
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.name.endswith(".json")]
    except FileNotFoundError:
        return {}, True
    except OSError:
        return {}, False
    readable = len(names) <= _MOST_NOTES
    for name in names[:_MOST_NOTES]:
        try:
            service, written = _read_note(folder / name)
        except FileNotFoundError:
            continue  # the note was removed meanwhile
        except (OSError, ValueError, RecursionError):
            readable = False
        else:
            out[service] = written
    return out, readable


def _read_mark(path: Path) -> Quarantine | None:
    try:
        with _opened(path) as file:
            return quarantine.parse(file.read(_LONGEST_MARK).decode("utf-8", "replace"))
    except FileNotFoundError:
        return None


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _read_note(path: Path) -> tuple[str, float]:
    with _opened(path) as file:
        written = os.fstat(file.fileno()).st_mtime
        content = json.loads(file.read(_LONGEST))
    service = content.get("service") if isinstance(content, dict) else None
    if not isinstance(service, str) or hashlib.sha256(service.encode()).hexdigest() != path.stem:
        raise ValueError(f"{path} is no note of ours")
    return service, written


def traffic_metrics(traffic: Traffic) -> Iterator[Metric]:
    """Yield a sample for each service that gets nothing or less, the quarantine, and whether a run holds this host."""
    yield _since(
        "autoglm_service_taken_out_timestamp_seconds",
        "Since when a run of ours keeps the service out of traffic",
        traffic.out,
    )
    yield _since(
        "autoglm_service_load_shed_timestamp_seconds",
        "Since when a run of ours keeps a part of its load from the service",
        traffic.shed,
    )
    yield GaugeMetricFamily(
        "autoglm_load_shed_readable",
        "1 while the notes on what runs keep a part of its load from can be read",
        value=int(traffic.shed_readable),
    )
    marked = GaugeMetricFamily(
        "autoglm_quarantined_timestamp_seconds",
        "Since when this host is under quarantine, by whom and why; absent while it is not",
        labels=("by", "reason"),
    )
    if traffic.quarantine is not None:
        mark = traffic.quarantine
        marked.add_metric([mark.who, one_line(mark.reason, _LONGEST_REASON)], mark.since)
    yield marked
    meant = GaugeMetricFamily(
        "autoglm_quarantine_meant_until_timestamp_seconds",
        "When people meant to have the quarantine of this host over; absent where nobody has said that",
    )
    if traffic.quarantine is not None and traffic.quarantine.until is not None:
        meant.add_metric([], traffic.quarantine.until)
    yield meant
    yield GaugeMetricFamily(
        "autoglm_taken_out_readable",
        "1 while the notes on what runs keep out of traffic, and the mark of a quarantine, can be read",
        value=int(traffic.readable),
    )
    if traffic.at_work is not None:
        yield GaugeMetricFamily(
            "autoglm_host_at_work", "Whether a run holds the lock of this host", value=int(traffic.at_work)
        )


def _since(name: str, text: str, services: Mapping[str, float]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=("service",))
    for service, written in sorted(services.items()):
        metric.add_metric([service], written)
    return metric
