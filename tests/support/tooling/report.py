# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs steps one after the other, goes on after a failure, and says at the end what failed and what took too long."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# "===== 42 passed, 1 skipped in 8.01s ====="
_CLOSING = re.compile(r"^(?:=+ )?((?:\d+ \w+,? ?)+) in [\d.]+s(?: \([\d:]+\))?(?: =+)?$")
# Twice what the longest, integration, takes on a quick machine with nothing else to do.
LONGEST_PYTEST_RUN = 60 * 60
_TESTS_FAILED = 1
SLOWEST = "--durations=10"
# Of more than these no machine was the cause. One that holds up a container can fail the next few tests too.
MOST_RUN_ONCE_MORE = 10
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?)")

Check = Callable[[Workplace], str]


@dataclass(frozen=True)
class Step:
    """A check with a name; it returns what is worth a word in the table, or raises StepFailedError.

    ``budget`` are the seconds that it may take on a machine with two cores and nothing else to do, with room to grow.
    A step over it is named in the table and has not failed: a busy machine is nobody's mistake.
    """

    name: str
    check: Check
    workplace: Workplace
    budget: float


@dataclass(frozen=True)
class StepRow:
    """What became of a step: ``said`` is what the check returned, or why it failed."""

    title: str
    verdict: str
    seconds: float
    budget: float
    said: str

    @property
    def over(self) -> bool:
        return self.seconds > self.budget

    def line(self, width: int) -> str:
        """Return its line of the table, with the titles as wide as the widest."""
        over = f"  over its budget by {self.seconds - self.budget:.0f} s" if self.over else ""
        taken = f"{self.seconds:6.1f} s of {self.budget:4.0f} s"
        return f"  {self.verdict:6}  {taken}  {self.title:{width}}  {self.said}{over}"


@dataclass
class Report:
    """What has been run so far."""

    started: float = field(default_factory=time.monotonic)
    rows: list[StepRow] = field(default_factory=list)
    tests: Counter[str] = field(default_factory=Counter)

    def run(self, step: Step) -> None:
        title = f"{step.name} ({step.workplace.name})"
        began = time.monotonic()
        print(f"\n===> [{began - self.started:5.0f} s] {title}", flush=True)
        before = self.tests.total()
        try:
            said, verdict = step.check(step.workplace), "ok"
        except StepFailedError as problem:
            said, verdict = str(problem), "FAILED"
            if self.tests.total() == before or not self.tests["failed"] + self.tests["error"]:
                self.tests["failed"] += 1  # not a test of pytest's, but a failure all the same
            print(f"---> FAILED: {problem}", flush=True)
        self.rows.append(StepRow(title, verdict, time.monotonic() - began, step.budget, said))

    def pytest(self, *arguments: str, beside: int = 1, once_more: bool = False) -> Check:
        """Make a check out of a pytest run, whose closing line goes to the table and into the sum.

        beside: how many tests run at a time.  once_more: what failed is run again by itself, after all else, and has
        failed if it fails again, or if it is one of many. It is for tests of real processes, which a machine may hold
        up for longer than any of them waits; the table tells of both runs, so that nobody takes what fails now and then
        for sound.
        """

        def check(workplace: Workplace) -> str:
            options = [f"-n{beside}"] if beside > 1 else []
            own_cache = ("-o", f"cache_dir={_own_cache(workplace, arguments)}")
            status, closing = _run_pytest(workplace, *options, *own_cache, *arguments)
            counts = _counts(closing)
            failed = counts["failed"] + counts["error"]
            if status == _TESTS_FAILED and once_more and failed <= MOST_RUN_ONCE_MORE:
                print(f"---> {closing}; what failed is run once more, by itself", flush=True)
                only_failed = ("--last-failed", "--last-failed-no-failures=none", *own_cache)
                status, again = _run_pytest(workplace, *only_failed, *arguments)
                counts = counts - Counter(failed=counts["failed"], error=counts["error"]) + _counts(again)
                closing = f"{closing}; what failed, by itself: {again}"
            self.tests.update(counts)
            if status != 0 or not closing:
                raise StepFailedError(closing or f"pytest exited with {status}")
            return closing

        return check

    def finish(self) -> int:
        """Print the table and the sum of all tests, and return the exit code."""
        elapsed = time.monotonic() - self.started
        failures = sum(row.verdict != "ok" for row in self.rows)
        width = max((len(row.title) for row in self.rows), default=0)
        print(f"\n===> [{elapsed:5.0f} s] summary: the time of each step, and its budget")
        for row in self.rows:
            print(row.line(width))
        if late := [row.title for row in self.rows if row.over]:
            print(f"Over its budget: {', '.join(late)}. Was the machine busy? If not, docs/testing.md says what to do.")
        print("All pytest runs together" + (", and steps that failed otherwise:" if failures else ":"))
        counts = [f"{self.tests[what]} {what}" for what in ("failed", "passed", "skipped", "error") if self.tests[what]]
        print(f"===== {', '.join(counts) or 'no tests ran'} in {elapsed:.2f}s =====", flush=True)
        return 1 if failures else 0


def _run_pytest(workplace: Workplace, *arguments: str) -> tuple[int, str]:
    """Return its exit status and its closing line."""
    process = subprocess.Popen(
        [workplace.python, "-m", "pytest", "--color=no", SLOWEST, *arguments],
        cwd=CHECKOUT,
        env=workplace.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # As Ctrl-C would, so that the lab takes itself down; what hangs shall not hang CI.
    too_long = threading.Timer(LONGEST_PYTEST_RUN, process.send_signal, [signal.SIGINT])
    too_long.start()
    closing = _show(process.stdout)
    status = process.wait()
    too_long.cancel()
    return status, closing


def _own_cache(workplace: Workplace, arguments: tuple[str, ...]) -> str:
    """Say where a run keeps what failed: one beside it would write over what both find in the usual place."""
    digest = hashlib.sha256(" ".join((workplace.name, *arguments)).encode()).hexdigest()
    return f".pytest_cache/of-{digest[:12]}"


def _counts(closing: str) -> Counter[str]:
    """Return how many tests a closing line tells of, by what became of them."""
    return Counter({what.removesuffix("s"): int(count) for count, what in _COUNT.findall(closing)})


def _show(stream: IO[str]) -> str:
    """Pass on what pytest says as it says it, and keep its closing line."""
    closing = ""
    for line in stream:
        sys.stdout.write(line)
        sys.stdout.flush()
        match = _CLOSING.match(line.strip())
        if match:
            closing = line.strip().strip("= ")
    return closing
