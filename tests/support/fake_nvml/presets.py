# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states that must never read as healthy, by name. Other people's checks call most of them healthy, or hang.

Each is a function that injures a fake of eight GPUs; ``NEVER_HEALTHY`` maps their names to them. ``healthy`` is the
one good state, to see that a check can say so at all.  ``BY_ARCHITECTURE`` are GPUs that have not got what others tell:
each makes a fake of L40S into one, and all of them are well.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.support.fake_nvml.driver import FakeNvml

DRIVER_NOT_LOADED = 9
LIBRARY_MISMATCH = 18
UNKNOWN = 999
NOT_SUPPORTED = 3


def healthy(_fake: FakeNvml) -> None:
    """As it was made."""


def seven_of_eight(fake: FakeNvml) -> None:
    """GPU 3 is not listed any more."""
    fake.set("gpu3.gone", 1)


def gpu_lost(fake: FakeNvml) -> None:
    """GPU 3 is listed, and answers GPU_IS_LOST to everything."""
    fake.set("gpu3.lost", 1)


def driver_mismatch(fake: FakeNvml) -> None:
    """The driver was upgraded under a running kernel module."""
    fake.fail("nvmlInit*", LIBRARY_MISMATCH)


def driver_not_loaded(fake: FakeNvml) -> None:
    """No kernel module."""
    fake.fail("nvmlInit*", DRIVER_NOT_LOADED)


def recovery_action_reset(fake: FakeNvml) -> None:
    """The driver itself asks for a reset of GPU 3."""
    fake.set("gpu3.recovery", 1)


def recovery_action_system_reboot(fake: FakeNvml) -> None:
    """An action that older tables do not know."""
    fake.set("gpu3.recovery", 7)


def recovery_action_unread(fake: FakeNvml) -> None:
    """A driver that does not know field 230, and a GPU 3 that needs a reset: only the older fields say so."""
    fake.set_many({"driver": "550.163.01", "fields.last": 229, "gpu3.recovery": 1, "gpu3.reset.status": 1})


def ecc_and_remap_failure(fake: FakeNvml) -> None:
    """Five uncorrectable errors and a failed row remapping, with no recovery action from the driver."""
    fake.set_many({"gpu3.ecc.vol.dbe": 5, "gpu3.ecc.agg.dbe": 5, "gpu3.remap.unc": 8, "gpu3.remap.failed": 1})


def one_link_down(fake: FakeNvml) -> None:
    """Link 7 of GPU 3."""
    fake.link_down(3, 7)


def nvlink_unknown(fake: FakeNvml) -> None:
    """Every NVLink call fails with UNKNOWN, and every NVLink field value too."""
    fake.fail("nvmlDeviceGetNvLink*", UNKNOWN, gpu="*")
    for field in (91, 147, *range(161, 167), *range(201, 223), *range(235, 251)):
        fake.fail_field(field, UNKNOWN)


def call_blocks(fake: FakeNvml) -> None:
    """Whatever touches GPU 3 does not come back."""
    fake.hang("nvmlDevice*", gpu=3)


def init_blocks(fake: FakeNvml) -> None:
    """Not even nvmlInit comes back."""
    fake.hang("nvmlInit*")


def everything_unreadable(fake: FakeNvml) -> None:
    """Every function of GPU 3 fails with UNKNOWN."""
    fake.fail("nvmlDevice*", UNKNOWN, gpu=3)


Preset = Callable[[FakeNvml], None]

NEVER_HEALTHY: dict[str, Preset] = {
    preset.__name__: preset
    for preset in (
        seven_of_eight,
        gpu_lost,
        driver_mismatch,
        driver_not_loaded,
        recovery_action_reset,
        recovery_action_system_reboot,
        recovery_action_unread,
        ecc_and_remap_failure,
        one_link_down,
        nvlink_unknown,
        call_blocks,
        init_blocks,
        everything_unreadable,
    )
}


# What a GPU cannot tell that shares the memory of its host, after reports of nvidia-smi and DCGM on DGX Spark (driver
# 580): no memory of its own, no ECC, no limits of power.
_OWN_MEMORY = (
    "nvmlDeviceGetMemoryInfo*", "nvmlDeviceGetBAR1MemoryInfo", "nvmlDeviceGetEccMode", "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetMemoryErrorCounter", "nvmlDeviceGetRemappedRows*", "nvmlDeviceGetRetiredPages*",
    "nvmlDeviceGetSramEccErrorStatus", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagement*",
)  # fmt: skip
# What the guest of a vGPU is not told, after NVIDIA's vGPU user guide (what nvidia-smi shows inside of a guest).
_OF_THE_BOARD = (
    "nvmlDeviceGetTemperature*", "nvmlDeviceGetPower*", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetEccMode",
    "nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetMemoryErrorCounter", "nvmlDeviceGetRemappedRows*",
    "nvmlDeviceGetRetiredPages*", "nvmlDeviceGetSramEccErrorStatus", "nvmlDeviceGetCurrentClocks*Reasons",
    "nvmlDeviceGet*Pcie*", "nvmlDeviceGetPerformanceState", "nvmlDeviceGetSerial",
)  # fmt: skip


def gb10(fake: FakeNvml) -> None:
    """Unified memory."""
    fake.set("gpu*.name", "NVIDIA GB10")
    _cannot(fake, _OWN_MEMORY)


def vgpu(fake: FakeNvml) -> None:
    """A virtual one, from within its guest."""
    fake.set("gpu*.name", "NVIDIA L40S-48Q")
    _cannot(fake, _OF_THE_BOARD)


def jetson(fake: FakeNvml) -> None:
    """Part of a chip: memory of the host, no board, and no PCI bus that it would be on."""
    fake.set("gpu*.name", "Orin (nvgpu)")
    _cannot(fake, (*_OWN_MEMORY, *_OF_THE_BOARD, "nvmlDeviceGetPciInfo*", "nvmlDeviceGetMinorNumber"))
    _cannot(fake, ("nvmlDeviceGetPersistenceMode", "nvmlDeviceGetMigMode", "nvmlDeviceGetNvLink*"))


def _cannot(fake: FakeNvml, functions: tuple[str, ...]) -> None:
    for function in functions:
        fake.fail(function, NOT_SUPPORTED, gpu="*")


BY_ARCHITECTURE: dict[str, Preset] = {preset.__name__: preset for preset in (gb10, vgpu, jetson)}
