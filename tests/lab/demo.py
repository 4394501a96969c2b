# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: a small fleet loses an inference server to the kernel's OOM killer and heals it, as you watch."""

from __future__ import annotations

import os
import signal
import sys
import time

from tests.support.servers.traffic import PER_SECOND, Traffic

from . import faults, laboratory, memory_limit, report, traffic
from .errors import LabError
from .laboratory import Lab
from .places import CHECKOUT, PROGRAMS
from .progress import say, step
from .receiver import HEAL_SECONDS, OVER, Receiver, ReceiverEndedError
from .steady import wait_until_steady
from .timeline import Timeline


def main() -> int:
    """Run the demo; whatever happens, leave nothing running unless KEEP=1 asks for it."""
    keep = os.environ.get("KEEP") == "1"
    code, lab = 1, None
    _on_signals(_interrupt)
    try:
        started = time.monotonic()
        lab = laboratory.up()
        code = _show(lab, started)
    except (LabError, ReceiverEndedError) as error:
        say(f"\nerror: {error}")
    except KeyboardInterrupt:
        keep, code = False, 130
        say("\nStopped.")
    finally:
        if lab and keep:
            _how_to_look(lab)
        elif laboratory.is_ours():
            _take_down()
    return code


def _on_signals(handler: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)  # type: ignore[arg-type]


def _interrupt(*_: object) -> None:
    """Turn every wish to stop into the exception that unwinds us; a second one must not cut the cleaning short."""
    _on_signals(signal.SIG_IGN)
    raise KeyboardInterrupt


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
        with step(f"Sending {PER_SECOND} requests a second through HAProxy, until all is steady"):
            users.start()
            wait_until_steady(lab, users)
        say(f"  Ready {time.monotonic() - started:.0f} s after the start.\n")
        retried_before = traffic.retried(lab.balancer_metrics)
        story = _break_and_watch(lab, receiver)
        users.stop()
        report.show_stages(story)
        report.show_traffic(users.counts, traffic.retried(lab.balancer_metrics) - retried_before)
        say(f"Metrics of the receiver: {receiver.url}/metrics\n")
        complaints = report.complaints(lab, receiver, story)
    finally:
        users.stop()
        if os.environ.get("KEEP") != "1":
            receiver.stop()
    for complaint in complaints:
        say(f"NOT HEALED: {complaint}")
    if not complaints:
        say("node-a came back by itself: one run, on the right host, proven by a generated completion.")
    return 1 if complaints else 0


def _break_and_watch(lab: Lab, receiver: Receiver) -> Timeline:
    say("Sending node-a a prompt that needs more memory than its limit leaves free ...")
    story = Timeline(lab, receiver, faults.out_of_memory(lab.node_a))
    say(f"\n{report.HEADING}")
    deadline = time.monotonic() + HEAL_SECONDS
    before = story.fault.at
    while True:
        story.poll()
        over = story.incident is not None and story.incident["state"] in OVER
        late = time.monotonic() > deadline
        for event in story.due(everything=over or late):
            say(report.line(event, story.fault.at, before))
            before = max(before, event.at)
        if over or late:
            return story
        time.sleep(0.1)


def _how_to_look(lab: Lab) -> None:
    programs = PROGRAMS.relative_to(CHECKOUT) if PROGRAMS.is_relative_to(CHECKOUT) else PROGRAMS
    say(
        f"""
KEEP=1: the lab is still up.
  Prometheus     {lab.prometheus}
  Alertmanager   {lab.alertmanager}
  users' door    {lab.balancer}/v1/completions
  the receiver   its log is in {Receiver(lab).log}, its metrics at {Receiver(lab).url}/metrics
  incidents      curl -H "Authorization: Bearer $(cat {lab.keys.token})" {Receiver(lab).url}/api/v1/incidents
  a host         ssh -i {lab.keys.person} -o UserKnownHostsFile={lab.keys.known_hosts} root@{lab.node_a.address}
  the fleet      {programs}/ansible-inventory -i {lab.fleet} --graph
  break it again {programs}/autoglm drill crash --host node-b -i {lab.by_person}
                 --url {Receiver(lab).url} --token-file {lab.keys.token}
  by hand        {programs}/ansible-playbook autoglm.recovery.restart_process -i {lab.by_person} -e target=node-a
Remove it with: make demo-clean"""
    )


if __name__ == "__main__":
    sys.exit(main())
