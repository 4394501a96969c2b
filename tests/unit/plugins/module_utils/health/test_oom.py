# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling an OOM kill from a kill, with lines of real kernels."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.health.oom import oom_evidence
from ansible_collections.autoglm.recovery.plugins.module_utils.host.kernel_log import KernelLine
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ProcessEnd
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemctl import last_end

UNIT = {
    "Id": "llama-server.service",
    "Result": "signal",
    "ExecMainPID": "408",
    "ExecMainCode": "2",
    "ExecMainStatus": "9",
    "ExecMainExitTimestampMonotonic": "2508880410",
    "ExecStart": "{ path=/usr/bin/llama-server ; argv[]=/usr/bin/llama-server --port 8080 ; }",
}
RECORD = (
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={group},"
    "task_memcg={group},task={name},pid={pid},uid=0"
)
KILLED = "Memory cgroup out of memory: Killed process {pid} ({name}) total-vm:752984kB, anon-rss:162928kB, UID:0"


def line(text: str, at: float = 2508.843683, group="/a.scope", name="llama-server", pid=9725) -> KernelLine:
    return KernelLine(at, text.format(group=group, name=name, pid=pid))


@pytest.mark.parametrize(
    "kernel",
    [
        [line(KILLED, pid=408, name="VLLM::Worker")],
        [line(RECORD, group="/system.slice/llama-server.service", name="python3")],
        [line(RECORD, group="/gpu.slice/gpu-a.slice/llama-server.service/worker", name="python3")],
        [line(KILLED)],  # in a container: another pid, but the program, the signal and the moment
        [line(KILLED, at=2480.0, pid=408)],  # a large process takes its time to go
    ],
)
def test_evidence(kernel: list[KernelLine]) -> None:
    assert len(oom_evidence(last_end(UNIT), kernel)) == 1


@pytest.mark.parametrize(
    "kernel",
    [
        [],
        [line(KILLED, name="postgres")],
        [line(KILLED, at=2400.0)],  # an earlier one
        [line(KILLED, at=2600.0, pid=408)],  # a later one, of a process that got the number again
        [line(KILLED, at=2490.0)],  # near, but not near enough for a mere name
        [KernelLine(None, KILLED.format(pid=408, name="llama-server"))],
        # A process may be called as it likes, and is still in its own group, with its own number.
        [line(RECORD, group="/b", name="a,task_memcg=/llama-server.service,task=llama-server,pid=408")],
        [line(KILLED, name="x) Killed process 408 (llama-server")],
        # A sibling of the same program, and groups that users have named so.
        [line(RECORD, group="/system.slice/llama-embed.service"), line(KILLED)],
        [line(RECORD, group=f"/docker/{'4f' * 32}"), line(KILLED)],
        [line(RECORD, group="/user.slice/user-1000.slice/user@1000.service/llama-server.service"), line(KILLED)],
        [line(RECORD, group="/system.slice/other.service/llama-server.service")],
        [line(RECORD, group="/node-a/llama-server.service")],
        [
            line(RECORD.partition(",task=")[0], group="/llama-server.service")
        ],  # cut by the kernel: of whom, it is not known
        [KernelLine(2508.8, "llama-server[408]: segfault at 0 ip 0 sp 0 error 4")],
    ],
)
def test_no_evidence(kernel: list[KernelLine]) -> None:
    assert oom_evidence(last_end(UNIT), kernel) == []


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ("/lab/node-a/llama-server.service", 1),
        ("/machine.slice/libpod-0a.scope/container/system.slice/llama-server.service", 1),
        ("/lab/node-a/llama-embed.service", 0),
        # As the lab limits memory under version 1: a group of no unit, and the program, the signal and the moment.
        ("/lab/node-a", 1),
        ("/machine.slice/libpod-0a.scope/container/system.slice/llama-embed.service", 0),
    ],
)
def test_in_a_container_the_kernel_puts_its_group_before_the_unit_s(group: str, found: int) -> None:
    kernel = [line(RECORD, group=group), line(KILLED)]
    assert len(oom_evidence(last_end(UNIT), kernel, contained=True)) == found


def test_a_program_that_did_not_die_by_signal_9_was_not_that_victim() -> None:
    assert oom_evidence(last_end({**UNIT, "ExecMainStatus": "11"}), [line(KILLED)]) == []


def test_the_surest_of_several_kills_is_told() -> None:
    kernel = [
        line(KILLED, pid=9458),
        line(RECORD, group="/b.slice/llama-server.service", pid=9500),
        line(KILLED, pid=408),
    ]
    assert oom_evidence(last_end(UNIT), kernel) == [
        "the kernel's OOM killer ended process 408 (llama-server), the service's main process"
    ]


def test_what_systemd_says_is_enough() -> None:
    assert oom_evidence(last_end({"Result": "oom-kill"}), []) == ["systemd reports Result=oom-kill"]


def test_a_unit_that_never_ran_has_no_evidence() -> None:
    assert (
        oom_evidence(last_end({"ExecMainExitTimestampMonotonic": "0", "ExecMainPID": "0"}), [line(KILLED, pid=0)]) == []
    )


PID_FILE = ProcessEnd(pid=408, since=2500.0, programs=("llama-server",))  # a PID file tells no end


@pytest.mark.parametrize(
    ("kernel", "found"),
    [
        ([line(KILLED, pid=408)], 1),
        ([line(KILLED, pid=408, at=9000.0)], 1),  # whenever it was
        ([line(KILLED, pid=408, at=2499.0)], 0),  # before it began: another process of that number
        ([line(KILLED, pid=409)], 0),  # the same program, but nothing tells that it was this one
    ],
)
def test_a_process_whose_end_nobody_noted_is_known_by_its_number_alone(kernel: list[KernelLine], found: int) -> None:
    assert len(oom_evidence(PID_FILE, kernel)) == found


def test_a_container_is_known_by_its_group() -> None:
    end = ProcessEnd(exit_code=137, since=2500.0, at=2508.9, groups=("libpod-4f", "libpod-4f.scope"), programs=("sh",))
    assert len(oom_evidence(end, [line(RECORD, group="/libpod_parent/libpod-4f", name="python3")])) == 1
    assert len(oom_evidence(end, [line(RECORD, group="/machine.slice/libpod-4f.scope/container", name="python3")])) == 1
    assert oom_evidence(end, [line(RECORD, group="/libpod_parent/libpod-4e", name="python3")]) == []
