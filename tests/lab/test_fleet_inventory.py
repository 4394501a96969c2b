# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin on the lab's Prometheus: who is there, what serves which pool, and who does not answer."""

from __future__ import annotations

import subprocess

from . import faults
from .laboratory import Lab, environment
from .places import CHECKOUT, PROGRAMS
from .waiting import wait_for

FOUND_SECONDS = 120


def graph(lab: Lab) -> dict[str, set[str]]:
    """Return the hosts below each group, as ansible-inventory draws them."""
    command = [str(PROGRAMS / "ansible-inventory"), "-i", str(lab.fleet), "--graph"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT, env=environment())
    found: dict[str, set[str]] = {}
    group = ""
    for line in done.stdout.splitlines():
        name = line.lstrip(" |-")
        if name.startswith("@"):
            group = name[1:-1]
        else:
            found.setdefault(group, set()).add(name)
    return found


def test_the_fleet_is_what_prometheus_scrapes(lab: Lab) -> None:
    shown = graph(lab)
    # ops is a machine of the lab that nobody scrapes as one.
    assert shown["autoglm_fleet"] == {"node-a", "node-b"}
    assert shown["autoglm_pool_chat"] == shown["autoglm_service_llama"] == {"node-a", "node-b"}
    assert shown["autoglm_presence_heard"] == {"node-a", "node-b"}
    # Nobody has looked at GPUs here, and what nobody has read is not healthy.
    assert shown["autoglm_verdict_unknown"] == {"node-a", "node-b"}


def test_a_host_that_is_gone_is_still_of_the_fleet_and_not_heard(lab: Lab) -> None:
    with faults.unplugged(lab.node_a):
        wait_for(
            "node-a to be missed", lambda: "node-a" not in graph(lab)["autoglm_presence_heard"] or None, FOUND_SECONDS
        )
        shown = graph(lab)
        assert "node-a" in shown["autoglm_fleet"]
        assert "node-b" in shown["autoglm_presence_heard"]
