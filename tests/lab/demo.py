# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: a small fleet loses an inference server to the kernel's OOM killer and heals it, as you watch."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from . import engine, faults, laboratory, memory_limit, traffic
from .errors import LabError
from .laboratory import Lab
from .progress import say, step
from .receiver import HEAL_SECONDS, OVER, Receiver, ReceiverEndedError
from .steady import wait_until_steady
from .timeline import Timeline
from .traffic import Traffic

# Rows of the table: what people call the stage, and the first event (or the last) that marks it.
STAGES = (
    ("kernel killed llama-server on node-a", "fault", "first"),
    ("alert fires in Prometheus", "firing", "first"),
    ("webhook committed by the receiver", "committed", "first"),
    ("failure class known", "classified", "first"),
    ("action decided", "decided", "first"),
    ("playbook launched", "run_started", "first"),
    ("first task done", "task", "first"),
    ("node-a generates again", "up", "last"),
    ("proven by the playbook", "proof", "last"),
    ("playbook finished", "run_finished", "last"),
    ("incident resolved", "resolved", "last"),
)


@dataclass(frozen=True)
class Verdict:
    """Whether the demo may end with exit code 0, and why not."""

    complaints: list[str]

    @property
    def good(self) -> bool:
        """Nothing to complain about."""
        return not self.complaints


def main() -> int:
    """Run the demo; whatever happens, leave nothing running unless KEEP=1 asks for it."""
    keep = os.environ.get("KEEP") == "1"
    started = time.monotonic()
    _on_signals(_interrupt)
    try:
        lab = laboratory.up()
    except (LabError, KeyboardInterrupt) as error:
        return _give_up(error)
    try:
        code = _show(lab, started)
    except (LabError, ReceiverEndedError) as error:
        say(f"\nerror: {error}")
        code = 1
    except KeyboardInterrupt:
        say("\nStopped.")
        keep, code = False, 130
    except BaseException:
        _take_down()
        raise
    if keep:
        _how_to_look(lab)
    else:
        _take_down()
    return code


def _on_signals(handler: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)  # type: ignore[arg-type]


def _interrupt(*_: object) -> None:
    """Turn every wish to stop into the exception that unwinds us; a second one must not cut the cleaning short."""
    _on_signals(signal.SIG_IGN)
    raise KeyboardInterrupt


def _give_up(error: BaseException) -> int:
    interrupted = isinstance(error, KeyboardInterrupt)
    say("\nStopped." if interrupted else f"error: {error}")
    if laboratory.is_ours():
        _take_down()
    return 130 if interrupted else 1


def _take_down() -> None:
    _on_signals(signal.SIG_IGN)
    with step("Removing the lab"):
        laboratory.down()


def _show(lab: Lab, started: float) -> int:
    say(f"  Memory limit of each llama-server: {memory_limit.for_host('node-a').said}")
    receiver, users = Receiver(lab), Traffic(lab.balancer)
    try:
        with step("Starting the receiver (autoglm serve)"):
            receiver.start()
        with step(f"Sending {traffic.PER_SECOND} requests a second through HAProxy, until all is steady"):
            users.start()
            wait_until_steady(lab, users)
        say(f"  Ready {time.monotonic() - started:.0f} s after the start.\n")
        retried_before = traffic.retried(lab.balancer_metrics)
        story = _break_and_watch(lab, receiver)
        users.stop()
        verdict = judge(lab, receiver, story)
        _tell(receiver, story, users, traffic.retried(lab.balancer_metrics) - retried_before)
    finally:
        users.stop()
        if os.environ.get("KEEP") != "1":
            receiver.stop()
    for complaint in verdict.complaints:
        say(f"NOT HEALED: {complaint}")
    if verdict.good:
        say("node-a came back by itself: one run, on the right host, proven by a generated completion.")
    return 0 if verdict.good else 1


def _break_and_watch(lab: Lab, receiver: Receiver) -> Timeline:
    say("Sending node-a a prompt that needs more memory than its limit leaves free ...")
    story = Timeline(lab, receiver, faults.out_of_memory(lab.node_a))
    say(f"\n  {'since fault':>11} {'step':>7}   what happened")
    deadline = time.monotonic() + HEAL_SECONDS
    before = story.fault.at
    while True:
        story.poll()
        over = story.incident is not None and story.incident["state"] in OVER
        late = time.monotonic() > deadline
        for event in story.due(everything=over or late):
            since, between = event.at - story.fault.at, max(0.0, event.at - before)
            say(f"  {since:9.2f} s {between:6.2f}s   {event.kind:<12} {event.text}")
            before = max(before, event.at)
        if over or late:
            return story
        time.sleep(0.1)


def judge(lab: Lab, receiver: Receiver, story: Timeline) -> Verdict:
    """Say whether the service really came back, by the right hand and no other."""
    complaints = []
    if engine.generates(lab.node_a, seconds=5) is None:
        complaints.append("node-a does not generate")
    incident = story.incident
    if incident is None:
        return Verdict([*complaints, f"no incident reached the receiver; its last words: {receiver.last_words()}"])
    if incident["state"] != "resolved":
        complaints.append(f"the incident is {incident['state']}, not resolved")
    if incident["failure_class"] != "oom":
        complaints.append(f"the failure class is {incident['failure_class']}, not oom")
    runs = [(found["id"], run) for found in receiver.incidents() for run in receiver.incident(found["id"])["runs"]]
    where = [str(run.get("host")) for _, run in runs]
    if where != ["node-a"]:
        complaints.append(f"there should be one run, on node-a; there were runs on: {', '.join(where) or 'no host'}")
    return Verdict(complaints)


def _tell(receiver: Receiver, story: Timeline, users: Traffic, retried: int) -> None:
    table = Table(title="From the kill to the cure")
    table.add_column("stage")
    table.add_column("since the fault", justify="right")
    table.add_column("since the stage before", justify="right")
    marks = [(text, story.first(kind) if which == "first" else story.last(kind)) for text, kind, which in STAGES]
    reached = sorted(((at, text) for text, at in marks if at is not None))
    before = story.fault.at
    for at, text in reached:
        table.add_row(text, f"{at - story.fault.at:.2f} s", f"{at - before:.2f} s")
        before = at
    for text in (text for text, at in marks if at is None):
        table.add_row(text, "not reached", "")
    counts = users.counts
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print()
    console.print(table)
    console.print(
        f"Requests through HAProxy: {counts.sent} sent, {counts.ok} answered whole, {counts.failed} failed, "
        f"{counts.truncated} streams broken off; {retried} sent again by HAProxy to the other node.",
        highlight=False,
    )
    for error, times in counts.errors.items():
        console.print(f"  {times} x {error}", highlight=False, markup=False)
    console.print(f"Answered whole by: {dict(sorted(counts.by_node.items()))}", highlight=False)
    console.print(f"Metrics of the receiver: {receiver.url}/metrics", highlight=False)
    console.print()


def _how_to_look(lab: Lab) -> None:
    say(
        f"""
KEEP=1: the lab is still up.
  Prometheus     {lab.prometheus}
  Alertmanager   {lab.alertmanager}
  users' door    {lab.balancer}/v1/completions
  the receiver   its log is in {Receiver(lab).log}, its metrics at {Receiver(lab).url}/metrics
  incidents      curl -H "Authorization: Bearer $(cat {lab.keys.token})" {Receiver(lab).url}/api/v1/incidents
  a host         ssh -i {lab.keys.client} -o UserKnownHostsFile={lab.keys.known_hosts} root@{lab.node_a.address}
  by hand        .venv/bin/ansible-playbook autoglm.recovery.restart_process -i {lab.inventory} -e target=node-a
Remove it with: make demo-clean"""
    )


if __name__ == "__main__":
    sys.exit(main())
