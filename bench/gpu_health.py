# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long one look of gpu_health takes on eight GPUs, beside asking the same calls one after the other.

The calls of the fake library take as long as real ones do: 1 to 30 ms.  ``parallel`` is a driver that answers GPUs
side by side; ``serial`` one that has a single lock, where nothing can be gained, and nothing must be lost.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine import ExamineOptions, examine
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading import groups, links
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.fields import Fields
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.nvml import Nvml
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.presence import Roots

from tests.support.fake_nvml import FakeNvml, HostTree

GPUS = 8
ROUNDS = 3
LATENCIES = ((1, False), (5, False), (30, False), (1, True))


def main() -> None:
    """Measure, and print each figure beside its baseline."""
    print(
        f"one gpu_health on {GPUS} fake GPUs, median of {ROUNDS} in turn with the same NVML calls one after the other"
    )
    with tempfile.TemporaryDirectory() as directory:
        fake = FakeNvml(Path(directory) / "nvml", gpus=GPUS)
        tree = HostTree(Path(directory) / "host", gpus=GPUS)
        for milliseconds, serial in LATENCIES:
            fake.latency(milliseconds, serial=serial)
            rounds = 1 if milliseconds > 5 else ROUNDS
            pairs = [(sequential(fake), ours(fake, tree)) for _round in range(rounds)]
            tell(milliseconds, serial, pairs)
        fake.close()


def tell(milliseconds: int, serial: bool, pairs: list[tuple[float, float]]) -> None:
    """Print one line."""
    base, mine = (statistics.median(one[place] for one in pairs) for place in (0, 1))
    ratio = statistics.median(ours_took / base_took for base_took, ours_took in pairs)
    how = "serial" if serial else "parallel"
    print(
        f"  {milliseconds:2d} ms a call, {how:8}   sequential {base:7.3f} s   gpu_health {mine:7.3f} s   x {ratio:.2f}"
    )


def ours(fake: FakeNvml, tree: HostTree) -> float:
    """Everything that the module does but Ansible itself: child, host, kernel's log left out, verdict."""
    begun = time.perf_counter()
    asked = ExamineOptions(str(fake.library), device_timeout=60, total_timeout=300, kernel_lines="never")
    result = examine(asked, Roots(tree.proc, tree.sys, tree.dev))
    took = time.perf_counter() - begun
    assert result["verdict"] == "healthy", result["reasons"]
    return took


def sequential(fake: FakeNvml) -> float:
    """The same calls, GPU after GPU, as nvidia-smi and most exporters make them; in a fresh process, like ours."""
    begun = time.perf_counter()
    pid = os.fork()
    if not pid:
        try:
            ask_in_turn(str(fake.library))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return time.perf_counter() - begun


def ask_in_turn(library: str) -> None:
    """Every group of the plan of every GPU, in this thread."""
    nvml = Nvml(library)
    nvml.init()
    groups.host(nvml, Fields())
    for index in range(GPUS):
        device = nvml.call("nvmlDeviceGetHandleByIndex", index)
        for name in groups.PLAN:
            module, _colon, function = name.partition(":")
            getattr({"groups": groups, "links": links}[module], function)(nvml, device, Fields())
    nvml.shutdown()


if __name__ == "__main__":
    main()
