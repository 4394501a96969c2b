# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of kernel lines without a number, by kind: failure class, severity, action and the reason."""

from __future__ import annotations

from .numbers import CatalogueEntry, Overrides, overridden

_NETWORK = ("gpu_comm", "warning", "call_person", "the network card reports a fault")
_NETWORK_KINDS = (
    *("ib_cable_unplugged", "ib_module_temp", "ib_pcie_power", "ib_health_poll", "ib_health"),
    *("ib_unrecoverable", "ib_cmd_timeout", "ib_access_reg"),
)
# kind: (failure class, severity, action, words)
_DEVICES = {
    "gpu_init_failure": ("gpu_lost", "critical", "reboot_node", "the driver could not initialise a GPU"),
    # kernel_gsp.c raises Xid 119 or 120 beside it where it still can; a reset restarts the GPU's own processor.
    "gsp_heartbeat": ("gpu_fault", "critical", "reset_gpu", "the GPU's own processor (GSP) gives no sign of life"),
    # kern_fsp_gh100.c marks the GPU for a reset and raises Xid 143 beside it where it still can.
    "fsp_failure": ("gpu_fault", "critical", "reset_gpu", "the processor that boots a GPU (FSP) does not answer"),
    # As Xid 8, which follows it where a channel can be named; where more is due, Xid 109, 119 and 154 tell.
    "rc_watchdog": ("crash", "warning", "restart_process", "a GPU did not take up the driver's own work for seconds"),
    # NV_ERR_RESET_REQUIRED of nvstatuscodes.h.
    "gpu_reset_required": ("gpu_fault", "critical", "reset_gpu", "the driver says that the GPU has to be reset"),
    # The driver keeps it for the host, on every GPU (see arbitration/recovery.py).  One site got on by loading
    # nvidia_uvm again where nothing held it; all others, and the driver itself, say reboot.
    "uvm_fatal": (
        "gpu_lost",
        "critical",
        "reboot_node",
        "the driver's memory manager (UVM) has failed for all GPUs of the host until it is booted again",
    ),
    "gpu_power_cable": ("gpu_lost", "critical", "call_person", "a GPU's power cables are not connected"),
    "gpu_bar_invalid": ("gpu_lost", "critical", "call_person", "the firmware gave a GPU no address space"),
    # A GPU that the installed driver does not support says the same, and no reboot helps it.
    "gpu_probe_failure": ("gpu_lost", "warning", "call_person", "the driver did not take a GPU"),
    "nvlink_init_failure": ("gpu_comm", "critical", "switch_comm_path", "NVLink could not be initialised"),
    # The line reads the same whether the host's library is meant or one in a container; NVML's own error tells.
    "driver_mismatch": (
        "unknown",
        "warning",
        "call_person",
        "a library of another version than the driver's called it",
    ),
    "peermem_error": (
        "gpu_comm",
        "warning",
        "call_person",
        "the GPU's memory could not be shared with the network card",
    ),
    "pcie_dpc": ("gpu_lost", "critical", "reboot_node", "the PCIe port has cut its device off"),
    "pcie_link_down": ("gpu_lost", "warning", "call_person", "a PCIe slot's link went down"),
    "pcie_inaccessible": ("gpu_lost", "warning", "call_person", "a PCIe device did not answer when it was woken"),
    # amdgpu repairs a ring by itself, and says in a line of its own where it could not.
    "amdgpu_ring_timeout": (
        "gpu_fault",
        "warning",
        "observe",
        "work on an AMD GPU timed out; the driver resets the ring",
    ),
    "amdgpu_page_fault": ("crash", "warning", "observe", "a program on an AMD GPU used an address that is not its own"),
    "amdgpu_hang": ("gpu_fault", "critical", "reboot_node", "an AMD GPU's scheduler does not answer"),
    "amdgpu_wedged": ("gpu_fault", "critical", "reboot_node", "an AMD GPU is wedged, and its driver cannot recover it"),
    "unreadable": ("unknown", "warning", "call_person", "a line that tells of a fault could not be read"),
    # mlx5 restarts the queue by itself, and says so in no line of its own.
    "ib_tx_timeout": ("gpu_comm", "warning", "observe", "a network card's send queue stood still, and is restarted"),
    "ib_link_down": (
        "gpu_comm",
        "info",
        "observe",
        "a network port's link went down; whether it stays so, its state tells",
    ),
    **dict.fromkeys(_NETWORK_KINDS, _NETWORK),
}
# Hosts and processes. What is to be done about them, the alerts about the services tell; a policy may say more.
_HOSTS = {
    "oom_kill": ("oom", "critical", "restart_process", "the kernel killed a process for want of memory"),
    "oom_no_victim": ("oom", "critical", "call_person", "memory is gone, and nothing may be killed for it"),
    "hung_task": ("deadlock", "warning", "observe", "a task has waited in the kernel for minutes"),
    "soft_lockup": ("deadlock", "warning", "observe", "a processor was stuck in the kernel"),
    "hard_lockup": ("deadlock", "critical", "call_person", "a processor is stuck with interrupts off"),
    "rcu_stall": ("deadlock", "critical", "call_person", "a processor has not let go for many seconds"),
    "workqueue_lockup": ("deadlock", "warning", "observe", "work of the kernel has waited for many seconds"),
    "kernel_oops": ("unknown", "critical", "call_person", "the kernel itself failed, and what it held may stay locked"),
    "kernel_panic": ("node_down", "critical", "call_person", "the kernel has stopped"),
    "segfault": ("crash", "warning", "observe", "a process used an address that is not its own"),
    "general_protection": ("crash", "warning", "observe", "a process used an address that cannot be"),
    "invalid_opcode": ("crash", "warning", "observe", "a process ran what is no instruction of this processor"),
    "trap": ("crash", "warning", "observe", "the processor stopped a process"),
    "memory_failure": ("crash", "critical", "call_person", "a page of memory is broken, and its process was ended"),
    "edac_ce": ("unknown", "info", "observe", "memory errors that were corrected"),
    "edac_ue": ("unknown", "critical", "call_person", "a memory error that could not be corrected"),
    "mce": ("unknown", "warning", "observe", "the processor reports a machine check"),
    "apei": ("unknown", "warning", "observe", "the firmware reports a hardware error"),
    "nvme_timeout": ("unknown", "warning", "observe", "a disk did not answer in time"),
}
_BY_STAGE = {
    ("amdgpu_reset", "begin"): ("gpu_fault", "warning", "observe", "the driver resets an AMD GPU"),
    ("amdgpu_reset", "failed"): ("gpu_fault", "critical", "reboot_node", "an AMD GPU's reset has failed"),
    ("amdgpu_ras", "uncorrectable"): (
        "gpu_fault",
        "critical",
        "reboot_node",
        "an AMD GPU's memory error was not corrected",
    ),
    ("amdgpu_ras", "correctable"): ("gpu_fault", "info", "observe", "an AMD GPU's errors that were corrected"),
    ("amdgpu_ras", ""): ("gpu_fault", "warning", "call_person", "an AMD GPU reports a hardware error"),
    ("pcie_aer", "correctable"): ("gpu_fault", "info", "observe", "PCIe errors that were corrected"),
    ("pcie_aer", "non-fatal"): (
        "gpu_fault",
        "warning",
        "observe",
        "PCIe errors that were not corrected; the link goes on",
    ),
    ("pcie_aer", "fatal"): ("gpu_lost", "critical", "reboot_node", "a fatal PCIe error"),
}
# They tell of hosts and processes, are counted, and are no witness about a GPU.
HOST_KINDS = frozenset(_HOSTS)
# Every kind that has a meaning of its own, for those who name one in a policy.
NAMED_KINDS = frozenset(_DEVICES) | HOST_KINDS | {kind for kind, _stage in _BY_STAGE}


def lookup_kind(kind: str, stage: str | None = None, overrides: Overrides | None = None) -> CatalogueEntry:
    """The meaning of a kind of line. Never fails: an unknown kind is class unknown, never harmless, never acted on.

    C(stage): the word by which lines of one kind differ: the severity of a report, the stage of a reset.
    """
    row = _DEVICES.get(kind) or _HOSTS.get(kind) or _BY_STAGE.get((kind, stage or ""))
    known = row is not None
    failure_class, severity, action, words = row or (
        "unknown",
        "warning",
        "call_person",
        f"a kernel line of kind {kind[:40]}",
    )
    return overridden(
        CatalogueEntry("kind", 0, kind[:40], words, failure_class, severity, action, known=known), overrides
    )
