# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of a process or the kernel other than lack of memory: stalls, lockups, oopses, traps, bad memory.

Source of the texts: C(kernel/rcu/tree_stall.h), C(kernel/watchdog.c), C(kernel/workqueue.c), C(arch/x86/mm/fault.c),
C(arch/x86/kernel/traps.c), C(arch/x86/kernel/dumpstack.c), C(arch/arm64/mm/fault.c), C(mm/memory-failure.c).
"""

from __future__ import annotations

import re

from .pci import Event

_RCU = re.compile(r"(?:rcu: )?INFO: (rcu\w{0,40}) (?:self-)?detected (?:expedited )?stalls? on (?:CPU|tasks)")
_RCU_STARVED = re.compile(r"(?:rcu: )?(rcu\w{0,40}) kthread starved for \d{1,12} jiffies")
_HARD = re.compile(
    r"(?:NMI )?watchdog: (?:CPU ?\d{1,6}:? )?(?:Watchdog )?detected hard LOCKUP on (?:cpu|CPU|other CPUs) ?(\d{1,6})|"
    r"watchdog: CPU (\d{1,6}) self-detected hard LOCKUP"
)
_WORKQUEUE = re.compile(
    r"BUG: workqueue lockup - pool(?: cpus=([\d,-]{1,256}))?(?:[^\n]{0,400}? stuck for (\d{1,8})s!)?"
)
_OOPS = re.compile(
    r"BUG: (kernel NULL pointer dereference|unable to handle (?:page fault|kernel [^\n]{1,60}?)(?= for| at|,|$))|"
    r"Internal error: (Oops)|"
    r"Unable to handle kernel ([^\n]{1,60}?) at virtual address|(kernel BUG) at |"
    r"(general protection fault)(?=,)|"
    # What die() was given, a code and how often it has died: since Linux 6.10 "Oops: " stands before it.
    r"(?:Oops: |Internal error: )?([a-zA-Z][a-zA-Z ]{2,60}?)(?: - [A-Z]{2,12})?"
    r"(?:, (?:probably|maybe) for [^\n]{1,80}?)?: [0-9a-f]{4,16} \[#\d"
)
_TRAP = re.compile(
    r"traps: ([^\n]{1,64})\[(\d{1,10})\] (general protection fault|trap invalid opcode|trap ([a-z ]{1,32})) ip:"
)
_LIBRARY = re.compile(r" in ([^\[\]\s][^\[\]\n]{0,255})\[[0-9a-fA-F,+]{1,60}\]")
_MEMORY = re.compile(
    r"(?:Memory failure: (0x[0-9a-fA-F]{1,16}): |(?=MCE: Killing )MCE: )(Killing|Sending SIGBUS to|Fail to kill) "
    r"([^\n]{1,64}):(\d{1,10}) due to hardware memory corruption"
)


def parse_stall_text(text: str) -> Event | None:
    """The event of a line about a stall, an oops, a trap or broken memory, or None."""
    rcu = _RCU.match(text) or _RCU_STARVED.match(text)
    if rcu is not None:
        return {"kind": "rcu_stall", "flavour": rcu[1]}
    hard = _HARD.match(text)
    if hard is not None:
        return {"kind": "hard_lockup", "cpu": int(hard[1] or hard[2])}
    oops = _OOPS.match(text)
    if oops is not None:
        return {"kind": "kernel_oops", "reason": next(word for word in oops.groups() if word)}
    return _parse_workqueue(text) or _parse_trap(text) or _parse_memory_failure(text)


def _parse_workqueue(text: str) -> Event | None:
    match = _WORKQUEUE.match(text)
    if match is None:
        return None
    event: Event = {"kind": "workqueue_lockup"}
    if match[1] is not None:
        event["cpus"] = match[1]
    if match[2] is not None:
        event["seconds"] = int(match[2])
    return event


def _parse_trap(text: str) -> Event | None:
    match = _TRAP.match(text)
    if match is None:
        return None
    process, pid, what, _other = match.groups()
    kinds = {"general protection fault": "general_protection", "trap invalid opcode": "invalid_opcode"}
    library = _LIBRARY.search(text, match.end())
    event: Event = {"kind": kinds.get(what, "trap"), "process": process, "pid": int(pid)}
    if what not in kinds:
        event["reason"] = what[len("trap ") :]
    if library is not None:
        event["library"] = library[1]
    event["nccl"] = library is not None and "libnccl" in library[1]
    return event


def _parse_memory_failure(text: str) -> Event | None:
    match = _MEMORY.match(text)
    if match is None:
        return None
    page, how, process, pid = match.groups()
    event: Event = {"kind": "memory_failure", "process": process, "pid": int(pid), "killed": how == "Killing"}
    return event if page is None else {**event, "page": page}
