# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mlx5 adapters report: cables, modules, power, queues that stand still, firmware that does not answer.

Source of the texts: C(drivers/net/ethernet/mellanox/mlx5/core): C(events.c), C(health.c), C(cmd.c),
C(en_main.c), C(en/reporter_tx.c).
"""

from __future__ import annotations

import re

from .pci import DEVICE, Event, pci_address

_HEAD = re.compile(
    rf"(?:mlx5_core(?:\.\w{{1,20}}\.\d{{1,6}})? ({DEVICE})(?: [\w-]{{1,32}}:? ?)?(?:: |(?=Link ))|mlx5_core: |"
    r"(?=mlx5_)|(?=Port module event))"
)
_TEXTS = (
    ("ib_cable_unplugged", re.compile(r"Port module event[^\n]{0,80}Cable unplugged")),
    ("ib_module_temp", re.compile(r"Port module event[^\n]{0,80}High Temperature|High temperature on sensors")),
    ("ib_pcie_power", re.compile(r"Detected insufficient power on the PCIe slot")),
    ("ib_unrecoverable", re.compile(r"unrecoverable hardware error")),
    ("ib_health_poll", re.compile(r"device's health compromised|poll_health:[^\n]{0,40}Fatal error \d")),
    ("ib_health", re.compile(r"Health issue observed")),
    ("ib_link_down", re.compile(r"Link (?:down|DOWN)\b")),
    ("ib_tx_timeout", re.compile(r"TX timeout (?:detected|on queue: (\d{1,6}))")),
    ("ib_cmd_timeout", re.compile(r"timeout\. Will cause a leak of a command resource")),
    ("ib_access_reg", re.compile(r"ACCESS_REG\(0x[0-9a-f]{1,8}\)[^\n]{0,40}failed")),
)


def parse_infiniband(text: str) -> Event | None:
    """The event of a line of the mlx5 driver, or None."""
    head = _HEAD.match(text)
    if head is None:
        return None
    message = text[head.end() : head.end() + 400]
    for kind, pattern in _TEXTS:
        found = pattern.search(message)
        if found:
            event: Event = {"kind": kind}
            if found.lastindex:
                # Each queue has a line, after the one that tells of all.
                event.update(queue=int(found[1]), is_new_fault=False)
            if head.group(1) is not None:
                event["pci"] = pci_address(head.group(1), function=True)
            return event
    return None
