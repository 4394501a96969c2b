# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose real systemd reboots by reboot_node: it takes the order, goes down and comes back.

The container shares the kernel of its machine, so that its boot id is a fake one, which a unit of its own makes at each
boot; and it is started again from outside when it has ended, as the firmware of a machine does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.roles.systemd_host import SystemdHost, systemd_host
from tests.support.servers.waiting import until

FAKE_BOOT_ID = """[Unit]
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/uuid > /run/boot-id'
ExecStart=mount --bind /run/boot-id /proc/sys/kernel/random/boot_id
"""
FORBIDDEN = "systemd-run --unit=upgrade systemd-inhibit --what=shutdown --who=dpkg --why=upgrade sleep infinity"


@contextmanager
def fake_firmware(host: SystemdHost) -> Iterator[None]:
    """Start the container again whenever it has ended."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            if host.podman("inspect", "--format", "{{.State.Status}}", host.container).strip() == "exited":
                host.podman("start", host.container)
                # podman gives it another address each time.
                host.said(f"ip address add {host.address}/16 dev eth0 || ip address show dev eth0 to {host.address}")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def boot_id(host: SystemdHost) -> str:
    """Return the boot id that the host tells."""
    return host.said("cat /proc/sys/kernel/random/boot_id").strip()


def test_a_host_with_systemd_is_rebooted_once_and_not_while_somebody_forbids_it(tmp_path: Path) -> None:
    unit, wanted = tmp_path / "fake-boot-id.service", tmp_path / "wanted.conf"
    unit.write_text(FAKE_BOOT_ID)
    wanted.write_text("[Unit]\nWants=fake-boot-id.service\n")
    files = {
        "/etc/systemd/system/fake-boot-id.service": unit,
        "/etc/systemd/system/sysinit.target.d/fake.conf": wanted,
    }
    with systemd_host(tmp_path, files) as host:
        before = boot_id(host)
        assert before != Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        inventory = host.inventory(autoglm_services=[], autoglm_expected_gpus=0)
        asked = ("-e", json.dumps({"target": "node-a", "reason": "to see it", "reboot_timeout": 120}))

        host.said(FORBIDDEN)
        until("the inhibitor", lambda: "dpkg" in host.said("systemd-inhibit --list --no-pager || true"))
        refused = host.play(inventory, "autoglm.recovery.reboot_node", *asked)
        assert refused.failed
        assert "a shutdown is forbidden now by dpkg (process " in refused.said
        host.said("systemctl stop upgrade.service")
        assert boot_id(host) == before

        with fake_firmware(host):
            done = host.play(inventory, "autoglm.recovery.reboot_node", *asked)
        assert not done.failed, done.said
        assert "node-a was rebooted and is well" in done.said
        assert boot_id(host) != before
        note = json.loads(host.said("cat /var/lib/autoglm/reboot/note.json"))
        assert (note["boot"], note["state"]) == (before, "proven")
