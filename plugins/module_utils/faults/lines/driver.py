# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the NVIDIA driver says without an Xid: GPUs lost, not initialised, of another version; NVLink and peer memory.

Source of the texts: C(osapi.c), C(osinit.c), C(nv-pci.c), C(kernel_nvlink_gh100.c), C(kernel_rc_watchdog.c),
C(kern_fsp.c), C(kern_fsp_gh100.c) and C(nvidia-peermem.c).
"""

from __future__ import annotations

import re

from .pci import ADDRESS, Event, pci_address

_IDENTITY = re.compile(rf"GPU at (?:PCI:)?({ADDRESS}): (GPU-[0-9A-Za-z-]{{1,64}})\s*\Z")
_LOST = re.compile(
    rf"(?:The NVIDIA )?GPU(?: at)?(?: (?:PCI:)?({ADDRESS}))?:? ?(?:\(PCI ID: [0-9a-fA-F:]{{1,16}}\) ?)?"
    r"(?:installed in this system )?(?:GPU )?(?:has )?fallen off the bus"
)
_PART_1 = re.compile(
    rf"The NVIDIA GPU ({ADDRESS})\s*(?:\(PCI ID: [0-9a-fA-F:]{{1,16}}\) installed in this system has)?\s*\Z"
)
_PART_2 = re.compile(r"(?:\(PCI ID: [0-9a-fA-F:]{1,16}\) )?installed in this system has\s*\Z")
_PART_3 = re.compile(r"fallen off the bus and is not responding to commands")
_INIT = re.compile(
    rf"(?:GPU (?:at )?(?:PCI:)?({ADDRESS}): )?(?:RmInitAdapter(?: failed|: [^\n]{{0,200}}(?:[Ff]ail|[Cc]annot))|"
    r"rm_init_adapter(?:\(\d{1,4}\))? failed)"
)
_MISMATCH = re.compile(r"API mismatch: ")
_VERSION = re.compile(r"has the version ([0-9][0-9A-Za-z.]{0,31}[0-9A-Za-z])")
_NVLINK = re.compile(
    r"(?:GPU(\d{1,3}) )?knvlink\w{0,40}(?:PostRxDet|Discover|Init|Load|Train|Setup|Enable|AddDev)\w{0,60}: "
    r"[^\n]{0,200}?(?:[Ff]ail|[Uu]nable)"
)
# _kgspIsHeartbeatTimedOut and _kgspRpcRecvPoll of kernel_gsp.c; what stands before the words changes with the release.
_GSP = re.compile(r"(?:GPU(\d{1,3}) )?(?:\w{1,60}: )?(?:[\w -]{0,40})?[Hh]eartbeat timed out")
# The watchdog of the driver's channels.  "Possibly locked" it says while it tries again by itself, as after a mode set.
_WATCHDOG = re.compile(r"(?:GPU(\d{1,3}) )?(?:\w{1,60}: )?RC watchdog: GPU is probably locked!")
# The processor that boots a GPU since Hopper.  What the driver dumps of its registers is no fault of its own.
_FSP = re.compile(
    r"(?:GPU(\d{1,3}) )?(?:\w{1,60}: )?(?:Timed out waiting for FSP |Received error message from FSP |"
    r"FSP command timed out|FSP response reported error|FSP boot (?:command|cmds) failed|"
    r"FSP secure boot (?:partition timed out|GSP prechecks failed))"
)
# nvGpuOpsReportFatalError of nv_gpu_ops.c.  The memory manager of all GPUs refuses everything from then on.
_UVM = re.compile(r"(?:GPU\d{1,3} )?(?:\w{1,60}: )?uvm encountered global fatal error (0x[0-9a-fA-F]{1,8})")
# The driver prints the GPU's number since 555, and words of nvstatuscodes.h beside the number or the number alone.
_STATUS = re.compile(r"(?:GPU(\d{1,3}) )?\w{1,60}: ")
_STATUS_LOST = re.compile(r"\[NV_ERR_GPU_IS_LOST\]|rpcSendMessage failed with status 0x0000000[fF]\b")
_STATUS_RESET = re.compile(
    r"\[NV_ERR_RESET_REQUIRED\]|\b(?:params)?[sS]tatus=0x00000062\b|failed with status 0x00000062\b"
)
_POWER = re.compile(rf"(?:GPU (?:at )?(?:PCI:)?({ADDRESS})?:? ?)?[^\n]{{0,40}}does not have the necessary power cables")
_BAR = re.compile(r"This PCI I/O region assigned to your NVIDIA device is invalid")
_PROBE = re.compile(r"The NVIDIA probe routine failed for (\d{1,4}) device")
# Since Linux 6.8 the device stands before it: drivers/base/dd.c.  -ENODEV and -ENXIO are no failures there.
_PROBE_OF = re.compile(
    rf"(?:nvidia|amdgpu): probe of ({ADDRESS}) failed with error (-?\d{{1,6}})|"
    rf"(?:nvidia|amdgpu) ({ADDRESS}): probe with driver (?:nvidia|amdgpu) failed with error (-?\d{{1,6}})"
)
_PEER = re.compile(r"(?:nvidia[-_]peermem|nv_peer_mem):? [^\n]{0,120}?\bERROR\b")


def parse_driver_text(text: str) -> Event | None:
    """The event of a line of the NVIDIA driver that has no number, or None."""
    if _PEER.match(text):
        return {"kind": "peermem_error"}
    probe = _PROBE_OF.match(text)
    if probe is not None:
        pci, error = probe[1] or probe[3], probe[2] or probe[4]
        return {"kind": "gpu_probe_failure", "pci": pci_address(pci), "error": int(error)}
    if not text.startswith(("NVRM: ", "NVRM nv")):
        return None
    # A message of several lines that a logger has put on one is read as one.  The first open drivers wrote no colon.
    message = " ".join(word for word in text.split() if word not in ("NVRM:", "NVRM"))
    return (
        _parse_identity(message)
        or _parse_lost(message)
        or _parse_not_ready(message)
        or _parse_stuck(message)
        or _parse_status(message)
    )


def _parse_identity(message: str) -> Event | None:
    match = _IDENTITY.match(message)
    if match is None:
        return None
    return {
        "kind": "gpu_identity",
        "pci": pci_address(match.group(1)),
        "uuid": match.group(2),
        "is_new_fault": False,
    }


def _parse_lost(message: str) -> Event | None:
    part_1 = _PART_1.match(message)
    if part_1 is not None:
        return {"kind": "gpu_off_bus_multiline", "part": 1, "pci": pci_address(part_1.group(1))}
    if _PART_2.match(message):
        return {"kind": "gpu_off_bus_multiline", "part": 2}
    if _PART_3.match(message):
        return {"kind": "gpu_off_bus_multiline", "part": 3}
    lost = _LOST.match(message)
    if lost is None:
        return None
    event: Event = {"kind": "gpu_off_bus_text", "implies_xid": 79}
    if lost.group(1) is not None:
        event["pci"] = pci_address(lost.group(1))
    return event


def _parse_not_ready(message: str) -> Event | None:
    failed = _INIT.match(message)
    if failed is not None:
        event: Event = {"kind": "gpu_init_failure"}
        if failed.group(1) is not None:
            event["pci"] = pci_address(failed.group(1))
        return event
    if _MISMATCH.match(message):
        client = _VERSION.search(message[:400])
        return {"kind": "driver_mismatch", "client": client.group(1)} if client else {"kind": "driver_mismatch"}
    nvlink = _NVLINK.match(message)
    return None if nvlink is None else _with_number({"kind": "nvlink_init_failure"}, nvlink[1])


def _parse_stuck(message: str) -> Event | None:
    """Which part of a GPU, or of the driver, does not answer."""
    uvm = _UVM.match(message)
    if uvm is not None:
        return {"kind": "uvm_fatal", "status": int(uvm[1], 16)}
    for kind, pattern in (("gsp_heartbeat", _GSP), ("rc_watchdog", _WATCHDOG), ("fsp_failure", _FSP)):
        match = pattern.match(message)
        if match is not None:
            return _with_number({"kind": kind}, match[1])
    return None


def _parse_status(message: str) -> Event | None:
    """What the driver says by a status of its own, in an assertion or a call that failed."""
    status = _STATUS.match(message)
    if status is None:
        return _parse_not_taken(message)
    if _STATUS_LOST.search(message, 0, 400):
        return _with_number({"kind": "gpu_off_bus_text", "implies_xid": 79}, status[1])
    if _STATUS_RESET.search(message, 0, 400):
        return _with_number({"kind": "gpu_reset_required"}, status[1])
    return _parse_not_taken(message)


def _parse_not_taken(message: str) -> Event | None:
    """Why the driver did not bind to a device when it was loaded."""
    power = _POWER.match(message)
    if power is not None:
        return {"kind": "gpu_power_cable", **({"pci": pci_address(power[1])} if power[1] else {})}
    if _BAR.match(message):
        return {"kind": "gpu_bar_invalid"}
    probe = _PROBE.match(message)
    return None if probe is None else {"kind": "gpu_probe_failure", "count": int(probe[1])}


def _with_number(event: Event, number: str | None) -> Event:
    """The driver's own number of a GPU, which is neither an address nor NVML's index."""
    return event if number is None else {**event, "gpu_number": int(number)}
