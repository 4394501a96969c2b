# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the NVIDIA driver says without an Xid: GPUs lost, not initialised, of another version; NVLink and peer memory.

Source of the texts: C(osapi.c), C(osinit.c), C(nv-pci.c), C(kernel_nvlink_gh100.c) and C(nvidia-peermem.c).
"""

from __future__ import annotations

import re

from .line_pci import ADDRESS, Event, pci_address

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
    r"knvlink\w{0,40}(?:PostRxDet|Discover|Init|Load|Train|Setup|Enable|AddDev)\w{0,60}: "
    r"[^\n]{0,200}?(?:[Ff]ail|[Uu]nable)"
)
_PEER = re.compile(r"(?:nvidia[-_]peermem|nv_peer_mem):? [^\n]{0,120}?\bERROR\b")


def parse_driver_text(text: str) -> Event | None:
    """The event of a line of the NVIDIA driver that has no number, or None."""
    if _PEER.match(text):
        return {"kind": "peermem_error"}
    if not text.startswith("NVRM: "):
        return None
    # A message of several lines that a logger has put on one is read as one.
    message = " ".join(word for word in text.split() if word != "NVRM:")
    return _identity(message) or _lost(message) or _not_ready(message)


def _identity(message: str) -> Event | None:
    match = _IDENTITY.match(message)
    if match is None:
        return None
    return {
        "kind": "gpu_identity",
        "pci": pci_address(match.group(1)),
        "uuid": match.group(2),
        "is_new_fault": False,
    }


def _lost(message: str) -> Event | None:
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


def _not_ready(message: str) -> Event | None:
    failed = _INIT.match(message)
    if failed is not None:
        event: Event = {"kind": "gpu_init_failure"}
        if failed.group(1) is not None:
            event["pci"] = pci_address(failed.group(1))
        return event
    if _MISMATCH.match(message):
        client = _VERSION.search(message[:400])
        return {"kind": "driver_mismatch", "client": client.group(1)} if client else {"kind": "driver_mismatch"}
    if _NVLINK.match(message):
        return {"kind": "nvlink_init_failure"}
    return None
