# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test can break, while the reader runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.fake_nvml import NEVER_HEALTHY
from tests.support.fake_nvml.build import build
from tests.support.fake_nvml.host import default_addresses

STAY = """
import sys
import pynvml as n
n.nvmlInit()
d = n.nvmlDeviceGetHandleByIndex(2)
for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except n.NVMLError as error:
        print(type(error).__name__, flush=True)
"""


@pytest.fixture
def reader():
    """A process that has the library open and evaluates what it is given, line by line."""
    running = []

    def start(fake):
        process = subprocess.Popen(
            [sys.executable, "-c", STAY],
            env=fake.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)

        def ask(expression: str) -> str:
            process.stdin.write(expression + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        return ask

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_while_the_reader_runs(fake_nvml, reader) -> None:
    ask = reader(fake_nvml)
    recovery = "[v.value.uiVal for v in n.nvmlDeviceGetFieldValues(d, [230])]"
    assert (ask("n.nvmlDeviceGetRemappedRows(d)"), ask(recovery)) == ("(0, 0, 0, 0)", "[0]")
    fake_nvml.set_many({"gpu2.ecc.vol.dbe": 5, "gpu2.remap.pending": 1, "gpu2.remap.failed": 1, "gpu2.recovery": 4})
    assert ask("n.nvmlDeviceGetTotalEccErrors(d, 1, 0)") == "5"
    assert ask("n.nvmlDeviceGetMemoryErrorCounter(d, 1, 0, 2)") == "5"
    assert (ask("n.nvmlDeviceGetRemappedRows(d)"), ask(recovery)) == ("(0, 0, 1, 1)", "[4]")
    fake_nvml.link_down(2, 7)
    assert ask("[n.nvmlDeviceGetNvLinkState(d, i) for i in range(6, 9)]") == "[1, 0, 1]"
    assert ask("n.nvmlDeviceGetNvLinkRemotePciInfo(d, 7)") == "NVMLError_NotSupported"
    assert ask("n.nvmlDeviceGetNvLinkRemotePciInfo(d, 6).busId") == "00000000:C2:00.0"
    assert ask("n.nvmlDeviceGetNvLinkRemoteDeviceType(d, 6)") == "2"
    fake_nvml.set("gpu2.clocks.reasons", 0x48)
    assert ask("n.nvmlDeviceGetCurrentClocksEventReasons(d)") == "72"
    fake_nvml.set("gpu2.lost", 1)
    assert ask("n.nvmlDeviceGetTemperature(d, 0)") == "NVMLError_GpuIsLost"
    assert ask("n.nvmlDeviceGetCount()") == "8"
    fake_nvml.unset("gpu2.lost")
    assert ask("n.nvmlDeviceGetTemperature(d, 0)") == "31"


def test_errors_by_name_and_pattern(fake_nvml, reader) -> None:
    ask = reader(fake_nvml)
    fake_nvml.fail("nvmlDeviceGetNvLink*", 999, gpu="*")
    assert ask("n.nvmlDeviceGetNvLinkState(d, 0)") == "NVMLError_Unknown"
    assert ask("n.nvmlDeviceGetTemperature(d, 0)") == "31"
    fake_nvml.fail("nvmlDeviceGetTemperature", 4, gpu=2)
    assert ask("n.nvmlDeviceGetTemperature(d, 0)") == "NVMLError_NoPermission"
    assert ask("n.nvmlDeviceGetTemperature(n.nvmlDeviceGetHandleByIndex(1), 0)") == "31"


def test_field_values_have_their_own_result_and_type(make_fake_nvml, reader) -> None:
    fake = make_fake_nvml("b200")
    ask = reader(fake)
    items = "[(v.nvmlReturn, v.valueType) for v in n.nvmlDeviceGetFieldValues(d, [91, (222, 3), (161, 99), 230, 999])]"
    assert ask(items) == "[(0, 1), (0, 3), (2, 1), (0, 1), (2, 3)]"
    big = 2**40 + 1
    fake.set_many({"gpu2.field.208.3": big, "gpu2.field.230.ret": 999})
    assert ask("n.nvmlDeviceGetFieldValues(d, [(208, 3)])[0].value.ullVal") == str(big)
    assert ask("n.nvmlDeviceGetFieldValues(d, [(208, 4)])[0].value.ullVal") == "0"
    assert ask("n.nvmlDeviceGetFieldValues(d, [230])[0].nvmlReturn") == "999"
    # A reader of the wrong member of the union reads rubbish.
    assert ask("n.nvmlDeviceGetFieldValues(d, [91])[0].value.uiVal") == "18"
    assert ask("n.nvmlDeviceGetFieldValues(d, [91])[0].value.ullVal") != "18"


def test_processes_in_two_steps_and_mig(fake_nvml, reader) -> None:
    ask = reader(fake_nvml)
    assert ask("n.nvmlDeviceGetComputeRunningProcesses(d)") == "[]"
    fake_nvml.set("gpu2.procs", "4242:1073741824,4243:5:1:0")
    processes = "[(p.pid, p.usedGpuMemory, p.gpuInstanceId) for p in n.nvmlDeviceGetComputeRunningProcesses(d)]"
    assert ask(processes) == "[(4242, 1073741824, 4294967295), (4243, 5, 1)]"
    fake_nvml.set_many({"gpu2.mig": 1, "gpu2.mig.count": 2, "gpu2.mig.1.profile": "3g.40gb", "gpu2.mig.1.gi": 2})
    assert ask("n.nvmlDeviceGetMigMode(d)") == "[1, 1]"
    mig = "n.nvmlDeviceGetMigDeviceHandleByIndex(d, 1)"
    assert ask(f"n.nvmlDeviceGetName({mig})") == "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    assert ask(f"n.nvmlDeviceGetGpuInstanceId({mig})") == "2"
    assert ask(f"n.nvmlDeviceGetUUID({mig})").startswith("MIG-")
    assert ask("n.nvmlDeviceGetMigDeviceHandleByIndex(d, 2)") == "NVMLError_NotFound"


def test_xid_events_reach_every_set(fake_nvml, reader) -> None:
    ask = reader(fake_nvml)
    ask("globals().update(s=n.nvmlEventSetCreate())")
    ask("n.nvmlDeviceRegisterEvents(d, n.nvmlEventTypeXidCriticalError, s)")
    assert ask("n.nvmlEventSetWait_v2(s, 10)") == "NVMLError_Timeout"
    fake_nvml.xid(5, 13)  # of a GPU that nobody asked about
    fake_nvml.xid(2, 48)
    assert ask("n.nvmlEventSetWait_v2(s, 1000).eventData") == "48"
    assert ask("n.nvmlEventSetWait_v2(s, 10)") == "NVMLError_Timeout"


HANG = "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetTemperature(n.nvmlDeviceGetHandleByIndex(4), 0))"


@pytest.mark.parametrize("function", ["nvmlDeviceGetTemperature", "nvmlInit*"])
def test_a_hang_ends_by_kill_alone(fake_nvml, function: str) -> None:
    fake_nvml.hang(function, gpu=None if "Init" in function else 4)
    process = subprocess.Popen([sys.executable, "-c", HANG], env=fake_nvml.environment(), stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.kill()
    assert process.wait(5) == -signal.SIGKILL
    process.stdout.close()


def test_a_hang_can_be_released(fake_nvml) -> None:
    fake_nvml.hang("nvmlDeviceGetTemperature", gpu=4)
    process = subprocess.Popen([sys.executable, "-c", HANG], env=fake_nvml.environment(), stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.7)
    fake_nvml.release()
    assert process.communicate(timeout=10)[0] == b"31\n"


def test_latency(fake_nvml, ask_pynvml) -> None:
    fake_nvml.latency(20)
    started = time.monotonic()
    ask_pynvml(fake_nvml, "d = n.nvmlDeviceGetHandleByIndex(0)\nout = [n.nvmlDeviceGetName(d) for _ in range(20)]")
    assert time.monotonic() - started >= 0.4


def test_found_without_any_environment(fake_nvml) -> None:
    """As a module finds it under become: by its path, loaded first; the state lies beside it."""
    fake_nvml.set("gpu0.temp", 77)
    program = (
        f"import ctypes; ctypes.CDLL({str(fake_nvml.library)!r})\n"
        "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetTemperature(n.nvmlDeviceGetHandleByIndex(0), 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], env={}, capture_output=True, text=True, check=True)
    assert done.stdout == "77\n"


def test_two_hosts_in_one_process(make_fake_nvml, ask_pynvml) -> None:
    """Their libraries are two, so that a test may compare."""
    one, two = make_fake_nvml(gpus=8), make_fake_nvml("l40s", gpus=4)
    assert ask_pynvml(one, "out = n.nvmlDeviceGetCount()") == 8
    assert ask_pynvml(two, "out = n.nvmlDeviceGetCount()") == 4


FIRST_CALLS = """
out = []
for i in range(8):
    d = ask(n.nvmlDeviceGetHandleByIndex, i)
    out.append(d if isinstance(d, str) else ask(n.nvmlDeviceGetNvLinkState, d, 7))
"""

FINGERPRINTS = {
    "seven_of_eight": [1] * 7 + ["error 2"],
    "gpu_lost": [1] * 3 + ["error 15"] + [1] * 4,
    "recovery_action_reset": [1] * 8,
    "recovery_action_system_reboot": [1] * 8,
    "recovery_action_unread": [1] * 8,
    "ecc_and_remap_failure": [1] * 8,
    "one_link_down": [1] * 3 + [0] + [1] * 4,
    "nvlink_unknown": ["error 999"] * 8,
    "everything_unreadable": [1] * 3 + ["error 999"] + [1] * 4,
}
INIT_FAILS = {"driver_mismatch": "error 18", "driver_not_loaded": "error 9"}
BLOCKING = {"call_blocks", "init_blocks"}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_presets(fake_nvml, ask_pynvml, name: str) -> None:
    NEVER_HEALTHY[name](fake_nvml)
    assert ask_pynvml(fake_nvml, FIRST_CALLS) == FINGERPRINTS[name]


@pytest.mark.parametrize("name", INIT_FAILS)
def test_presets_of_the_driver(fake_nvml, ask_pynvml, name: str) -> None:
    NEVER_HEALTHY[name](fake_nvml)
    assert ask_pynvml(fake_nvml, "out = ask(n.nvmlInit)", init=False) == INIT_FAILS[name]


@pytest.mark.parametrize("name", sorted(BLOCKING))
def test_presets_that_block(fake_nvml, name: str) -> None:
    NEVER_HEALTHY[name](fake_nvml)
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-c", HANG.replace("(4)", "(3)")], env=fake_nvml.environment(), timeout=1, check=False
        )


def test_every_preset_has_a_test() -> None:
    assert set(NEVER_HEALTHY) == set(FINGERPRINTS) | set(INIT_FAILS) | BLOCKING


def test_the_host_of_these_gpus(fake_gpu_host, fake_nvml, ask_pynvml) -> None:
    host = fake_gpu_host(gpus=8, switches=4)
    script = "out = [n.nvmlDeviceGetPciInfo(n.nvmlDeviceGetHandleByIndex(i)).busId[4:].lower() for i in range(8)]"
    assert ask_pynvml(fake_nvml, script) == default_addresses(8)
    host.remove_pci(3)
    host.remove_device(4)
    assert not (host.sys / "bus/pci/devices" / default_addresses(8)[3]).exists()
    assert sorted(path.name for path in host.dev.glob("nvidia[0-9]*")) == [f"nvidia{i}" for i in (0, 1, 2, 3, 5, 6, 7)]


def test_built_once(tmp_path) -> None:
    first = build("new", tmp_path)
    made = os.stat(first).st_mtime_ns
    assert build("new", tmp_path) == first
    assert os.stat(first).st_mtime_ns == made
    assert build("old", tmp_path) != first
