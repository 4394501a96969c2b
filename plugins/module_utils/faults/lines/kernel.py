# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Out of memory, hung tasks, lockups, panics and segmentation faults, as the kernel prints them.

Source of the texts: C(mm/oom_kill.c), C(kernel/hung_task.c), C(kernel/watchdog.c), C(kernel/panic.c) and
C(arch/*/mm/fault.c).
"""

from __future__ import annotations

import re

from .pci import Event

# Kernels before 5.0 announced a kill ("Kill process ... or sacrifice child") and then told of it.
_ANNOUNCED = re.compile(
    r"(?:(?:Memory cgroup o|O)ut of memory(?: \([a-z_ ]{1,40}\))?: )?Kill process (\d{1,10}) \(([^\n]{0,64})\) "
    r"(?:score \d{1,6} )?or sacrifice child"
)
_NO_VICTIM = re.compile(r"Out of memory(?: and|:) no killable processes|[^\n]{0,80}no killable processes")
_GROUP_KILL = re.compile(r"Tasks in ([^\n]{1,4096}) are going to be killed due to memory\.oom\.group set")
_KILL = re.compile(
    r"(?:(Memory cgroup o|O)ut of memory(?: \([a-z_ ]{1,40}\))?: )?Killed process (\d{1,10})"
    r"(?:, UID (\d{1,10}),)?(?= )"
)
_KILLED_NAME_END = re.compile(r"\)(?=[.,]?\s*\Z|,? (?:total-vm|vsz|score |sub-tree|vm-|anon-rss))")
_UID = re.compile(r"\bUID:(\d{1,10})\b")
_RECORD = re.compile(r"oom-kill:constraint=([A-Z_]{1,40})(?=,|\s*\Z)")
# Names of processes and of control groups are their users' own, commas and all: what ends the line is the kernel's.
_RECORD_TASK = re.compile(r",task=(.{0,64}),pid=(\d{1,10})(?:,uid=\d{1,10})?\s*\Z")
# The first slash after the cpuset (a name without one, or the root) begins a path of the kernel's own.
_RECORD_GROUP = re.compile(r"[^/]*(?:,cpuset=/,[^/]*)?,(oom|task)_memcg=(?=/)")
_NEXT_GROUP = ",task_memcg="
_INVOKED = re.compile(r"((?:NVRM: )?\S(?:(?!: )[^\n]){0,63}?) (?:invoked|triggered) oom-killer: ")
_REAPED = re.compile(r"oom_reaper: reaped process (\d{1,10}) \(([^\n]{1,64})\),")
_UNREAPED = re.compile(r"oom_reaper: unable to reap pid:(\d{1,10}) \(([^\n]{1,64})\)")
_HUNG = re.compile(
    r"(?:INFO: )?task ([^\n]{1,64}):(\d{1,10}) blocked (?:in I/O wait )?for more than (\d{1,10}) ?s(?:econds)?\b"
)
_LOCKUP = re.compile(
    r"(?:(?:NMI )?watchdog: )?BUG: soft lockup - CPU#(\d{1,6}) stuck for (\d{1,8})s!(?: \[([^\n]{1,64}):(\d{1,10})\])?"
)
_PANIC = re.compile(r"Kernel [pP]anic - not syncing: ?([^\n]*)")
_SEGFAULT = re.compile(r"([^\n]{1,64})\[(\d{1,10})\]: segfault at [0-9a-fA-F]{1,16} [re]?ip[ :]")
_LIBRARY = re.compile(r" in ([^\[\]\s][^\[\]\n]{0,255})\[[0-9a-fA-F,+]{1,60}\]")


def parse_kernel_text(text: str) -> Event | None:
    """The event of a line about a process or the kernel itself, or None."""
    for parse in (
        _parse_kill,
        _parse_oom_record,
        _parse_announced_kill,
        _parse_around_kill,
        _parse_hung_task,
        _parse_lockup,
        _parse_panic,
        _parse_segfault,
    ):
        event = parse(text)
        if event is not None:
            return event
    return None


def _parse_kill(text: str) -> Event | None:
    match = _KILL.match(text)
    if match is None:
        return None
    opened = text.find("(", match.end())
    closed = _last_match_start(_KILLED_NAME_END, text, opened)
    if opened != match.end() + 1 or closed < 0:
        return None
    event: Event = {"kind": "oom_kill", "pid": int(match.group(2)), "process": text[opened + 1 : closed]}
    if match.group(1) is not None:
        event["scope"] = "system" if match.group(1) == "O" else "cgroup"
    uid = match.group(3) or _first_group(_UID.search(text, closed))
    if uid is not None:
        event["uid"] = int(uid)
    return event


def _last_match_start(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where the last match of a pattern begins, within what a process name can be long."""
    found = (
        [match.start() for match in pattern.finditer(text, start, min(len(text), start + 400))] if start >= 0 else []
    )
    return found[-1] if found else -1


def _first_group(match: re.Match[str] | None) -> str | None:
    return None if match is None else match.group(1)


def _parse_oom_record(text: str) -> Event | None:
    match = _RECORD.match(text)
    if match is None:
        return None
    event: Event = {"kind": "oom_kill_record", "constraint": match.group(1)}
    task = _RECORD_TASK.search(text)
    if task is not None:
        event.update(pid=int(task.group(2)), process=task.group(1))
        group = _victims_group(text[: task.start()])
        if group:
            event["task_memcg"] = group
    return event


def _victims_group(text: str) -> str:
    """The victim's control group in a record up to C(,task=); empty where a name makes that uncertain.

    Source of the order: C(dump_oom_victim), C(mem_cgroup_print_oom_context).  The victim is in the group that ran out
    of memory or below it, and so a name that holds C(,task_memcg=) cannot lead out of the group of whoever chose it.
    """
    first = _RECORD_GROUP.match(text)
    if first is None:
        return ""
    paths = text[first.end() :]
    if first.group(1) == "task":
        return paths
    at = paths.find(_NEXT_GROUP)
    while at >= 0:
        around, group = paths[:at], paths[at + len(_NEXT_GROUP) :]
        if group == around or group.startswith(around.rstrip("/") + "/"):
            return group
        at = paths.find(_NEXT_GROUP, at + 1)
    return ""


def _parse_announced_kill(text: str) -> Event | None:
    announced = _ANNOUNCED.match(text)
    if announced is not None:
        pid, process = announced.groups()
        return {"kind": "oom_announced", "pid": int(pid), "process": process, "is_new_fault": False}
    if _NO_VICTIM.match(text):
        return {"kind": "oom_no_victim"}
    group = _GROUP_KILL.match(text)
    return None if group is None else {"kind": "oom_group_kill", "task_memcg": group[1], "is_new_fault": False}


def _parse_around_kill(text: str) -> Event | None:
    invoked = _INVOKED.match(text)
    if invoked is not None:
        return {"kind": "oom_invoked", "process": invoked.group(1), "is_new_fault": False}
    reaped = _REAPED.match(text) or _UNREAPED.match(text)
    if reaped is not None:
        return {
            "kind": "oom_reaper",
            "pid": int(reaped.group(1)),
            "process": reaped.group(2),
            "is_new_fault": False,
        }
    return None


def _parse_hung_task(text: str) -> Event | None:
    match = _HUNG.match(text)
    if match is None:
        return None
    process, pid, seconds = match.groups()
    return {"kind": "hung_task", "process": process, "pid": int(pid), "seconds": int(seconds)}


def _parse_lockup(text: str) -> Event | None:
    match = _LOCKUP.match(text)
    if match is None:
        return None
    cpu, seconds, process, pid = match.groups()
    event: Event = {"kind": "soft_lockup", "cpu": int(cpu), "seconds": int(seconds)}
    if process is not None:
        event.update(process=process, pid=int(pid))
    return event


def _parse_panic(text: str) -> Event | None:
    match = _PANIC.match(text)
    return None if match is None else {"kind": "kernel_panic", "reason": match.group(1).strip()}


def _parse_segfault(text: str) -> Event | None:
    match = _SEGFAULT.match(text)
    if match is None:
        return None
    library = _first_group(_LIBRARY.search(text, match.end()))
    event: Event = {"kind": "segfault", "process": match.group(1), "pid": int(match.group(2))}
    if library is not None:
        event["library"] = library
    event["nccl"] = library is not None and "libnccl" in library
    return event
