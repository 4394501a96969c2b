# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The session: deadlines, children that die or cannot, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading import children, stuck
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.groups import IDENTITY, pci_address
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.nvml import NvmlFailure
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.session import MAX_ABANDONED, NvmlSession

from tests.support.fake_nvml import FakeNvml
from tests.support.servers.waiting import until

D_STATE = "9 (autoglm-nvml:3) D 1 9 9 0"
KILLED = "Name:\tautoglm-nvml\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000100\n"


# For what hangs: long enough that on a busy machine nothing else is taken to hang.
SOON = 2.0
# Far beyond any deadline of the session, and far below for ever.
AT_ONCE = 20.0


def session(fake: FakeNvml, **options) -> NvmlSession:
    """Open a session that waits for a busy machine, unless the test says how long something may hang."""
    return NvmlSession(str(fake.library), **{"device_timeout": 60.0, **options})


@pytest.mark.parametrize("start", [children.FORK, children.SPAWN])
def test_one_child_reads_again_and_again(fake_nvml: FakeNvml, start: str) -> None:
    with session(fake_nvml, start=start, device_timeout=5) as one:
        first = one.read()
        fake_nvml.set("gpu2.temp", 71)
        second = one.read()
    assert [gpu["state"] for gpu in first.gpus] == ["read"] * 8
    assert second.gpus[2]["values"]["temperature_c"] == 71
    assert first.values["driver_version"] == "570.158.01"


def test_nothing_is_null_without_an_error(fake_nvml: FakeNvml) -> None:
    fake_nvml.fail("nvmlDeviceGetPowerUsage", 4, gpu=1)
    with session(fake_nvml) as one:
        look = one.read()
    for gpu in look.gpus:
        assert {name for name, value in gpu["values"].items() if value is None} == set(gpu["errors"])
    assert look.gpus[1]["errors"]["power_usage_mw"]["error"] == "NVML_ERROR_NO_PERMISSION"


@pytest.mark.parametrize("function", ["nvmlInit*", "nvmlSystemGetDriverVersion", "nvmlDeviceGetCount*"])
def test_a_driver_that_hangs_as_a_whole(fake_nvml: FakeNvml, function: str) -> None:
    fake_nvml.hang(function)
    with session(fake_nvml, device_timeout=0.5) as one:
        look = one.read()
    assert (look.state, look.error["kind"]) == ("hung", "hung")
    assert look.seconds < AT_ONCE


def test_the_others_go_on_and_the_next_look_is_whole(fake_nvml: FakeNvml) -> None:
    fake_nvml.hang("nvmlDeviceGetMigMode", gpu=5)
    with session(fake_nvml, device_timeout=SOON) as one:
        look = one.read()
        assert [gpu["state"] for gpu in look.gpus] == ["read"] * 5 + ["hung"] + ["read"] * 2
        assert look.gpus[5]["values"]["temperature_c"] is not None
        assert look.gpus[5]["step"] == "groups:layout"
        assert {thread["comm"] for thread in look.stuck} >= {"autoglm-nvml", "autoglm-nvml:5"}
        fake_nvml.release()
        assert [gpu["state"] for gpu in one.read().gpus] == ["read"] * 8


def test_slow_is_not_hung(fake_nvml: FakeNvml) -> None:
    fake_nvml.latency(20)
    with session(fake_nvml, device_timeout=2, total_timeout=20) as one:
        look = one.read(IDENTITY)
    assert [gpu["state"] for gpu in look.gpus] == ["read"] * 8


def test_the_time_for_everything_is_kept(fake_nvml: FakeNvml) -> None:
    fake_nvml.latency(100)
    with session(fake_nvml, device_timeout=5, total_timeout=0.6) as one:
        look = one.read()
    assert {gpu["state"] for gpu in look.gpus} == {"unread"}
    assert look.gpus[0]["error"]["kind"] == "not_read"
    assert look.seconds < AT_ONCE


def test_hanging_in_shutdown_takes_no_result_away(fake_nvml: FakeNvml) -> None:
    fake_nvml.hang("nvmlShutdown")
    with session(fake_nvml, device_timeout=SOON) as one:
        look = one.read()
    assert [gpu["state"] for gpu in look.gpus] == ["read"] * 8
    assert look.errors["nvml"]["kind"] == "hung"


def test_a_child_that_dies_is_told_and_replaced(fake_nvml: FakeNvml) -> None:
    fake_nvml.hang("nvmlDeviceGetTotalEccErrors", gpu=1)
    with session(fake_nvml, device_timeout=10) as one:
        one.read(IDENTITY)
        pid = one._child.pid
        killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.4; kill -KILL {pid}"])
        look = one.read()
        killer.wait()
        assert look.gpus[1]["state"] == "unread"
        assert "signal 9" in look.gpus[1]["error"]["text"]
        assert look.gpus[0]["state"] == "read"
        fake_nvml.release()
        assert one.read().gpus[1]["state"] == "read"


def test_an_idle_child_that_was_killed_is_replaced(fake_nvml: FakeNvml) -> None:
    with session(fake_nvml, device_timeout=5) as one:
        one.read(IDENTITY)
        os.kill(one._child.pid, signal.SIGKILL)
        until("it to be dead", lambda: psutil.Process(one._child.pid).status() == psutil.STATUS_ZOMBIE)
        assert [gpu["state"] for gpu in one.read(IDENTITY).gpus] == ["read"] * 8


def test_a_child_that_cannot_be_killed_is_not_waited_for(fake_nvml, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in uninterruptible sleep: SIGKILL does nothing for now."""
    fake_nvml.hang("nvmlDeviceGetMigMode", gpu=0)
    kill, spared = os.kill, []
    monkeypatch.setattr(os, "kill", lambda pid, number: spared.append((pid, number)))
    begun = time.monotonic()
    with session(fake_nvml, device_timeout=0.5) as one:
        assert one.read().gpus[0]["state"] == "hung"
    assert time.monotonic() - begun < AT_ONCE
    for pid, number in spared:
        kill(pid, number)
        os.waitpid(pid, 0)


def abandoned_proc(write_proc, gpus: list[int | None]) -> Path:
    files = {}
    for number, gpu in enumerate(gpus):
        root, name = f"{900 + number}", "autoglm-nvml" if gpu is None else f"autoglm-nvml:{gpu}"
        files |= {
            f"{root}/comm": "autoglm-nvml\n",
            f"{root}/status": KILLED,
            f"{root}/task/{root}/comm": f"{name}\n",
            f"{root}/task/{root}/stat": D_STATE.replace("autoglm-nvml:3", name),
            f"{root}/task/{root}/wchan": "rwsem_down_write_slowpath",
            f"{root}/task/{root}/stack": "[<0>] nvidia_ioctl+0x1/0x2 [nvidia]",
        }
    return write_proc(files)


def test_what_an_abandoned_child_hangs_at_is_not_asked_again(fake_nvml: FakeNvml, write_proc) -> None:
    with session(fake_nvml, proc=abandoned_proc(write_proc, [3])) as one:
        look = one.read()
    assert [gpu["state"] for gpu in look.gpus] == ["read"] * 3 + ["hung"] + ["read"] * 4
    assert "process 900" in look.gpus[3]["error"]["text"]
    assert look.stuck[0]["wchan"] == "rwsem_down_write_slowpath"
    assert "nvidia_ioctl" in look.stuck[0]["stack"]
    assert look.seconds < AT_ONCE


@pytest.mark.parametrize("gpus", [[None], list(range(MAX_ABANDONED))])
def test_no_child_is_added_to_those_that_cannot_die(fake_nvml: FakeNvml, write_proc, monkeypatch, gpus) -> None:
    monkeypatch.setattr(children, "start", lambda way: pytest.fail(f"a child was started by {way}"))
    with session(fake_nvml, proc=abandoned_proc(write_proc, gpus)) as one:
        look = one.read()
    assert (look.state, len(look.stuck)) == ("hung", len(gpus))


def test_a_living_probe_of_somebody_else_is_not_abandoned(write_proc) -> None:
    proc = abandoned_proc(write_proc, [1])
    (proc / "900/status").write_text(KILLED.replace("100", "000"))
    assert stuck.abandoned(proc) == []


def test_a_killed_child_that_only_waits_to_be_reaped_is_not_abandoned(write_proc) -> None:
    proc = abandoned_proc(write_proc, [1])
    (proc / "900/task/900/stat").write_text(D_STATE.replace(" D ", " Z "))
    assert stuck.abandoned(proc) == []


def test_who_sleeps_in_the_driver_is_found(write_proc) -> None:
    proc = abandoned_proc(write_proc, [1])
    for name, text in {"comm": "python3", "stat": "77 (python3) D 1", "stack": "[<0>] uvm_ioctl+0x1"}.items():
        (proc / "77/task/77").mkdir(parents=True, exist_ok=True)
        (proc / "77/task/77" / name).write_text(text)
    assert {thread["pid"] for thread in stuck.in_the_driver(proc)} == {77, 900}


def test_nobody_waits_for_streams_that_a_hung_child_holds(fake_nvml: FakeNvml) -> None:
    """Ansible reads a module's output to its end, which a child with the same streams would put off for ever."""
    fake_nvml.hang("nvmlDevice*", gpu=0)
    package = NvmlSession.__module__
    code = f"import os; os.kill = lambda *_: None\nfrom {package} import NvmlSession\n"
    code += f"NvmlSession({str(fake_nvml.library)!r}, 0.3).read(); print('done')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    fake_nvml.release()
    assert done.stdout == "done\n"


def test_no_zombies_and_no_descriptors_are_left(fake_nvml: FakeNvml) -> None:
    fake_nvml.hang("nvmlDevice*", gpu=0)
    before = len(os.listdir("/proc/self/fd"))
    children = {child.pid for child in psutil.Process().children()}
    with session(fake_nvml, device_timeout=0.1) as one:
        for _look in range(3):
            one.read(IDENTITY)
    assert len(os.listdir("/proc/self/fd")) == before

    def reaped() -> bool:
        one.close()  # which reaps what was killed and has ended at last
        return {child.pid for child in psutil.Process().children()} <= children

    until("no child to be left", reaped)


@pytest.mark.parametrize(
    ("kind", "stored", "expected"), [(0, 7, float), (1, 7, 7), (2, 7, 7), (3, 7, 7), (4, 7, 7), (5, 7, 7), (6, 7, 7)]
)
def test_the_type_of_a_field_value_is_honoured(fake_nvml: FakeNvml, kind: int, stored: int, expected) -> None:
    fake_nvml.set_many({"gpu0.field.173.type": kind, "gpu0.field.173": stored})
    with session(fake_nvml) as one:
        value = one.read(("groups:counters",)).gpus[0]["values"]["pcie_correctable_errors"]
    assert isinstance(value, float) if expected is float else value == expected


def test_an_unknown_type_and_an_error_of_one_item_are_that_items_own(fake_nvml: FakeNvml) -> None:
    fake_nvml.set("gpu0.field.173.type", 99)
    fake_nvml.fail_field(180, 999, gpu=0)
    with session(fake_nvml) as one:
        gpu = one.read(("groups:counters",)).gpus[0]
    assert gpu["errors"]["pcie_correctable_errors"]["error"] == "unknown_value_type"
    assert gpu["errors"]["pcie_fatal_errors"]["error"] == "NVML_ERROR_UNKNOWN"
    assert gpu["values"]["pcie_non_fatal_errors"] == 0


def test_newer_functions_fall_back_only_where_they_are_missing(fake_nvml: FakeNvml) -> None:
    fake_nvml.fail("nvmlDeviceGetCurrentClocksEventReasons", 13, gpu=0)
    fake_nvml.fail("nvmlDeviceGetCurrentClocksEventReasons", 999, gpu=1)
    with session(fake_nvml) as one:
        gpus = one.read(("groups:heat",)).gpus
    assert gpus[0]["values"]["clock_reasons"] is not None
    assert gpus[1]["errors"]["clock_reasons"]["error"] == "NVML_ERROR_UNKNOWN"


def test_a_plan_that_is_not_there_is_said(fake_nvml: FakeNvml) -> None:
    with session(fake_nvml) as one:
        look = one.read(("no_such:group",))
    assert look.state == "unread" or look.errors["nvml"]["kind"] == "unreadable"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:3B:00.0", "0000:3b:00.0"),
        (b"00000001:3B:00.0", "0001:3b:00.0"),
        ("0000:3b:00", "0000:3b:00.0"),
        ("3b:00.1", "0000:3b:00.1"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert pci_address(text) == address


def test_no_address() -> None:
    with pytest.raises(NvmlFailure):
        pci_address("nothing")


@pytest.mark.parametrize("options", [{"device_timeout": 0}, {"total_timeout": -1}])
def test_timeouts_that_cannot_be(options: dict) -> None:
    with pytest.raises(ValueError, match="timeout"):
        NvmlSession(None, **options)


HOSTILE = {
    "a line without end": ("while True: say(b'x' * 65536)", "more than 4194304 bytes in a line"),
    "lines without end": ("while True: say((b'{\"a\": \"' + b'x' * 65536 + b'\"}\\n') * 16)", "33554432 in all"),
    "no JSON": ("say(b'yes\\n')", "cannot be read"),
    "nesting": ("say(b'[' * 100000 + b'\\n')", "cannot be read"),
    "no mapping": ("say(b'[1]\\n')", "it is no mapping"),
    "a GPU that is none": ('say(b\'{"gpu": 3, "step": "a"}\\n\')', "was not counted"),
    "too many GPUs": ("say(host(count=10**9))", "too many"),
    "twice": ("say(host(count=1) + host(count=1))", "twice"),
    "an error that is none": ("say(b'{\"error\": 7}\\n')", "its name, kind and text"),
    "an end in the middle": ("say(host(count=1)); os._exit(3)", "exited with status 3"),
}
_CHILD = """
import json, os
def say(data):
    while data:
        data = data[os.write(1, data):]
def host(count):
    return json.dumps({"host": {"values": {}, "errors": {}}, "count": count}).encode() + b"\\n"
os.read(0, 65536)
"""


def say(monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Have another program than ours be the child."""

    def hostile(_way: str) -> children.Child:
        (their_requests, requests), (answers, their_answers) = os.pipe(), os.pipe()
        argv = [sys.executable, "-c", _CHILD + does]
        started = subprocess.Popen(argv, stdin=their_requests, stdout=their_answers)
        started.returncode = 0  # the session's to reap
        os.close(their_requests)
        os.close(their_answers)
        return children.Child(started.pid, requests, answers)

    monkeypatch.setattr(children, "start", hostile)


@pytest.mark.parametrize(("does", "told"), HOSTILE.values(), ids=list(HOSTILE))
def test_what_a_child_says_is_bounded_and_checked(monkeypatch: pytest.MonkeyPatch, does: str, told: str) -> None:
    """A library that is broken or hostile is in the child's memory, and may have it say anything."""
    say(monkeypatch, does)
    look = NvmlSession(device_timeout=60.0).read()
    said = look.error or look.errors["nvml"]
    assert told in said["text"]
    assert all(gpu["state"] == "unread" for gpu in look.gpus)
    assert len(look.gpus) <= 1


def test_a_child_that_always_says_something_has_no_longer_than_all_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    beat = 'say(b\'{"gpu": 0, "step": "a"}\\n\')'
    say(monkeypatch, f"say(host(count=1))\nimport time\nwhile True: {beat}; time.sleep(0.01)")
    look = NvmlSession(device_timeout=60.0, total_timeout=1.0).read()
    assert [gpu["state"] for gpu in look.gpus] in (["unread"], [])
    assert look.state in ("read", "hung")
