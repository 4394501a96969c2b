# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests lost by a rolling restart, and its time per replica, beside systemctl restart under the same load."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab import engine, laboratory
from tests.lab.laboratory import Lab
from tests.lab.memory_limit import UNIT
from tests.lab.test_rolling_restart import rolling_restart
from tests.lab.waiting import wait_for
from tests.support.servers.traffic import Counts, Traffic

# Long enough answers that some are always under way, and so few that one replica serves them all in time.
TOKENS = 300
PER_SECOND = 3
ANSWERS_BEFORE = 20


@dataclass(frozen=True)
class Restarts:
    """What all replicas restarted once came to."""

    seconds: float
    counts: Counts

    @property
    def lost(self) -> int:
        return self.counts.lost


def main() -> None:
    """Measure both ways on a lab of its own, in turn."""
    lab = laboratory.up()
    try:
        wait_for("both nodes to generate", lambda: all(engine.generates(node) for node in lab.nodes), 60)
        plain = under_load(lab, lambda: restart_plainly(lab))
        ours = under_load(lab, lambda: restart_losslessly(lab))
    finally:
        laboratory.down()
    replicas = len(lab.nodes)
    print(f"restart of {replicas} replicas behind HAProxy, streams and plain requests of {TOKENS} tokens under way")
    for name, figures in (("systemctl restart of each", plain), ("rolling_restart", ours)):
        counts = figures.counts
        print(
            f"  {name:28} {counts.failed:4} failed   {counts.truncated:4} broken off   of {counts.sent:5} requests   "
            f"{figures.seconds / replicas:6.1f} s a replica{'   baseline' if figures is plain else ''}"
        )
        for error, count in counts.errors.most_common(3):
            print(f"    {count:4} x {error}")


def under_load(lab: Lab, restart: Callable[[], None]) -> Restarts:
    """Restart while users wait for answers, and let the last of them get theirs."""
    with users(lab) as traffic:
        begun = time.monotonic()
        restart()
        seconds = time.monotonic() - begun
    return Restarts(seconds, traffic.counts)


@contextmanager
def users(lab: Lab) -> Iterator[Traffic]:
    traffic = Traffic(lab.balancer, tokens=TOKENS, per_second=PER_SECOND)
    traffic.start()
    try:
        wait_for("answers", lambda: traffic.counts.ok >= ANSWERS_BEFORE, 120)
        yield traffic
        after = traffic.counts.ok
        wait_for("answers after it", lambda: traffic.counts.ok >= after + ANSWERS_BEFORE, 120)
    finally:
        traffic.stop()


def restart_plainly(lab: Lab) -> None:
    """As people do it: one after the other, each awaited until it generates."""
    for node in lab.nodes:
        node.run("systemctl", "restart", UNIT)
        wait_for(f"{node.name} to generate", lambda node=node: engine.generates(node), 60)  # type: ignore[misc]


def restart_losslessly(lab: Lab) -> None:
    """Run the playbook."""
    done = rolling_restart(lab)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
