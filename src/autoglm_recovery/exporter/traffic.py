# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that our runs keep out of traffic, with any balancer, and whether a run holds this host.

The notes are those of playbooks/tasks/note_taken_out.yml, ``SHA256_OF_NAME.json`` with ``{"service": NAME}``. The lock
of this host shows whether a run holds it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from autoglm_recovery.knowledge.locks import host_lock

NOTES = Path("/var/lib/autoglm/taken-out")
LOCKS = Path(host_lock.DIRECTORY)
_MOST_NOTES = 1000
_LONGEST = 4096


@dataclass(frozen=True)
class Traffic:
    """``out``: service -> when the note was written, in seconds since 1970.  ``readable``: whether all notes were read.
    ``at_work``: whether a run holds this host; None where that is unknown."""

    out: Mapping[str, float] = field(default_factory=dict)
    readable: bool = False
    at_work: bool | None = None


def look(notes: Path = NOTES, locks: Path = LOCKS) -> Traffic:
    """Read the notes and the lock.  Whatever cannot be read is unknown."""
    # The notes first: a run removes its note before it releases the host.
    out, readable = _read_notes(notes)
    try:
        return Traffic(out, readable, host_lock.in_use(str(locks)))
    except (OSError, host_lock.HostLockUnusable):
        return Traffic(out, readable, None)


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


def _read_note(path: Path) -> tuple[str, float]:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        written = os.fstat(file.fileno()).st_mtime
        content = json.loads(file.read(_LONGEST))
    service = content.get("service") if isinstance(content, dict) else None
    if not isinstance(service, str) or hashlib.sha256(service.encode()).hexdigest() != path.stem:
        raise ValueError(f"{path} is no note of ours")
    return service, written


def traffic_metrics(traffic: Traffic) -> Iterator[Metric]:
    """Yield a sample for each service that is out of traffic, and whether a run holds this host."""
    out = GaugeMetricFamily(
        "autoglm_service_taken_out_timestamp_seconds",
        "Since when a run of ours keeps the service out of traffic",
        labels=("service",),
    )
    for service, written in sorted(traffic.out.items()):
        out.add_metric([service], written)
    yield out
    yield GaugeMetricFamily(
        "autoglm_taken_out_readable",
        "1 while the notes on what runs keep out of traffic can be read",
        value=int(traffic.readable),
    )
    if traffic.at_work is not None:
        yield GaugeMetricFamily(
            "autoglm_host_at_work", "Whether a run holds the lock of this host", value=int(traffic.at_work)
        )
