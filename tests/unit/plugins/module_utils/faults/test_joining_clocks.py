# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs that mix frames and clocks: within three minutes it is one fault, what may be days apart is not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.joining.joining import LineJoiner

FIRST = "NVRM: Xid (PCI:0000:65:00): 48, pid=1, name=x, y"
THEN = "NVRM: Xid (PCI:0000:65:00): 79, pid=1, name=x, y"


def record(boot_us: int, wall_us: int, message: str) -> str:
    fields = {"_TRANSPORT": "kernel", "_SOURCE_MONOTONIC_TIMESTAMP": str(boot_us), "__REALTIME_TIMESTAMP": str(wall_us)}
    return json.dumps({**fields, "MESSAGE": message})


ONE = {
    "a program's line with a date alone between the kernel's, which have seconds too": [
        f"Jan 12 09:10:00 g kernel: [ 5000.000000] {FIRST}",
        "Jan 12 09:10:01 g systemd[1]: Started Session 4 of User x.",
        f"Jan 12 09:10:02 g kernel: [ 5002.000000] {THEN}",
    ],
    "the same in RFC 3339, over New Year": [
        f"2026-12-31T23:59:59.1+00:00 g kernel: [ 5000.000000] {FIRST}",
        "2026-12-31T23:59:59.5+00:00 g sshd[12]: Connection closed by 10.0.0.1 port 22",
        f"2027-01-01T00:00:01.1+00:00 g kernel: [ 5002.000000] {THEN}",
    ],
    "a date without its year that goes over New Year beside the kernel's seconds": [
        f"Dec 31 23:59:59 g kernel: [ 5000.000000] {FIRST}",
        "Jan  1 00:00:00 g systemd[1]: logrotate.service: Deactivated successfully.",
        f"Jan  1 00:00:01 g kernel: [ 5002.000000] {THEN}",
    ],
    "the clock on the wall is put forward, the kernel's seconds go on": [
        f"Mar 29 01:59:59 g kernel: [ 5000.000000] {FIRST}",
        f"Mar 29 03:00:01 g kernel: [ 5002.000000] {THEN}",
    ],
    "the clock on the wall is put back, the kernel's seconds go on": [
        f"Oct 25 02:59:59 g kernel: [ 5000.000000] {FIRST}",
        f"Oct 25 02:00:01 g kernel: [ 5002.000000] {THEN}",
    ],
    "the offset changes with summer time": [
        f"2026-03-29T01:59:59+0100 g kernel: {FIRST}",
        f"2026-03-29T03:00:01+0200 g kernel: {THEN}",
    ],
    "a collector in UTC beside a local journal, over midnight": [
        f"2026-03-29T23:59:59.123456789Z stdout F {FIRST}",
        f"2026-03-30T02:00:01+02:00 g kernel: {THEN}",
    ],
    "dmesg -T and the journal's ISO dates of one clock": [
        f"[Thu Dec 31 23:59:59 2026] {FIRST}",
        f"2027-01-01T00:00:01+00:00 g kernel: {THEN}",
    ],
    "lines that overtake each other by milliseconds": [f"[ 5000.004000] {FIRST}", f"[ 5000.001000] {THEN}"],
}
APART = {
    "two boots at the same seconds, days apart": [
        f"Jan 12 09:10:00 g kernel: [ 5000.000000] {FIRST}",
        f"Jan 15 09:10:02 g kernel: [ 5002.000000] {THEN}",
    ],
    "two boots in the journal's JSON": [
        record(5_000_000_000, 1_768_000_000_000_000, FIRST),
        record(5_002_000_000, 1_768_300_000_000_000, THEN),
    ],
    "two boots in a container's log": [
        f"2026-04-17T19:56:43Z stdout F [ 1234.567890] {FIRST}",
        f"2026-04-19T19:56:43Z stdout F [ 1236.567890] {THEN}",
    ],
    "two boots, of which a program's line tells": [
        f"Jan 12 09:10:00 g kernel: [ 5000.000000] {FIRST}",
        "Jan 15 09:10:01 g systemd[1]: Started Session 4 of User x.",
        f"Jan 15 09:10:02 g kernel: [ 5002.000000] {THEN}",
    ],
    "a start within the first minute": [
        f"[   50.000000] {FIRST}",
        "[    0.000000] Linux version 6.8.0-31-generic",
        f"[   52.000000] {THEN}",
    ],
    "the ring of a boot days ago, written out at once": [
        f"2026-04-17T19:56:43.1Z stdout F [ 1234.567890] {FIRST}",
        f"2026-04-17T19:56:43.2Z stdout F [91236.567890] {THEN}",
    ],
    "the kernel's seconds, then the wall's": [f"[ 5000.000000] {FIRST}", f"2026-01-12T09:10:00Z g kernel: {THEN}"],
    "no clock after a clock": [f"2026-01-12T09:10:00Z g kernel: {FIRST}", THEN],
    "no clock before a clock": [FIRST, f"[  +0.500000] {THEN}"],
    "a date that cannot be after one that can": [
        f"2026-02-28T09:10:00Z g kernel: {FIRST}",
        f"[Mon Feb 31 09:10:01 2026] {THEN}",
    ],
    "the same day of another year": [f"[Mon Jan 12 09:10:00 2026] {FIRST}", f"[Tue Jan 12 09:10:01 2027] {THEN}"],
    "a clock on the wall that is set after the start": [
        f"1970-01-01T00:00:30Z g kernel: {FIRST}",
        f"2026-01-12T09:10:00Z g kernel: {THEN}",
    ],
}


def counts(lines: list[str], now: float = 5.0) -> list[int]:
    joiner = LineJoiner(arrival=False)
    return [fault.events for fault in joiner.feed_all(lines, now) + joiner.flush()]


@pytest.mark.parametrize("lines", ONE.values(), ids=ONE)
def test_what_was_written_within_the_window_is_one_fault(lines: list[str]) -> None:
    assert counts(lines) == [2]


@pytest.mark.parametrize("lines", APART.values(), ids=APART)
@pytest.mark.parametrize("now", [5.0, 1_768_209_001.0])
def test_what_may_be_days_apart_is_not(lines: list[str], now: float) -> None:
    assert counts(lines, now) == [1, 1]


def test_after_the_date_was_put_forward_the_kernels_seconds_count_on() -> None:
    """The date of a program's line is an hour ahead; what the kernel writes ten minutes apart stays two faults."""
    lines = [
        f"Mar 29 01:59:58 g kernel: [ 5000.000000] {FIRST}",
        "Mar 29 03:00:00 g systemd[1]: Time has been changed",
        f"Mar 29 03:00:01 g kernel: [ 5003.000000] {FIRST}",
        f"Mar 29 03:10:01 g kernel: [ 5603.000000] {THEN}",
    ]
    joiner = LineJoiner(arrival=False)
    told = joiner.feed_all(lines, 5.0) + joiner.flush()
    assert [(fault.events, fault.first_at) for fault in told] == [(1, 5000.0), (1, 5003.0), (1, 5603.0)]


def test_what_describes_an_event_without_a_clock_stays_with_it() -> None:
    aer = "nvidia 0000:65:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=x"
    lines = ["2026-01-12T09:10:00Z g kernel: quiet", aer, "nvidia 0000:65:00.0:    [21] ACSViol   (First)"]
    joiner = LineJoiner(arrival=False)
    (fault,) = joiner.feed_all(lines, 5.0) + joiner.flush()
    assert (fault.events, fault.details, fault.clock) == (1, 1, "none")
    assert joiner.without_clock
