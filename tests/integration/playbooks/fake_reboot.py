# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that reboots, for a fleet on this machine: a boot id, an init and programs of systemd of its own.

This machine cannot be rebooted, nor has it systemd. What ``host_reboot`` asks is answered at the outermost edge: by
files that are bound over those of the kernel in a mount namespace of each task, and by three programs. A real systemd
that reboots is asked in ``tests/integration/roles/test_reboot.py``.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting import note

from .gpus import GpuFleet

# What stands for ssh(1): it fails as ssh does while the host is down, and is in the host's own places otherwise.
SSH = """#!/bin/sh
for last; do :; done
if test -e {host}/down; then
    touch {host}/refused; echo 'ssh: connect to host p1 port 22: Connection refused' >&2; exit 255
fi
case "$last" in sftp) exec /usr/lib/openssh/sftp-server;; esac
exec unshare --mount sh -c 'mount --bind {host}/boot_id /proc/sys/kernel/random/boot_id \\
    && mount --bind {host}/comm /proc/1/comm && mount --bind {host}/run /run && exec /bin/sh -c "$1"' sh "$last"
"""
# systemctl(1) and busctl(1) of systemd 252, on a host at rest.
SYSTEMCTL = """#!/bin/sh
case "$*" in
    is-system-running) echo running;;
    *ActiveState*) echo ActiveState=inactive;;
    *) echo "Unknown command verb" >&2; exit 1;;
esac
"""
BUSCTL = "#!/bin/sh\necho 'a(ssssuu) 0'\n"
# Takes the order, answers, and goes down; comes back with another boot id, without what was below /run, once a
# connection was refused: no task that began before sees the new boot.
SYSTEMD_RUN = """#!/bin/sh
echo "$*" >> {host}/orders
setsid sh -c '
    sleep 2
    touch {host}/down
    until test -e {host}/refused; do sleep 0.1; done
    rm -rf {host}/run/autoglm
    cat /proc/sys/kernel/random/uuid > {host}/boot_id
    rm {host}/down' < /dev/null > /dev/null 2>&1 &
"""


class FakeRebootingFleet(GpuFleet):
    """p1 is a host that reboots."""

    def reboots(self) -> FakeRebootingFleet:
        """Make it so."""
        (self.host / "run/systemd/system").mkdir(parents=True)
        (self.host / "bin").mkdir()
        (self.host / "comm").write_text("systemd\n")
        self.new_boot()
        for name, text in (("systemctl", SYSTEMCTL), ("busctl", BUSCTL), ("systemd-run", SYSTEMD_RUN), ("ssh", SSH)):
            path = self.host / "bin" / name
            path.write_text(text.replace("{host}", str(self.host)))
            path.chmod(0o755)
        self.hosts["p1"].update(
            ansible_connection="ssh",
            ansible_ssh_executable=str(self.host / "bin/ssh"),
            ansible_ssh_args="",
            ansible_sftp_extra_args=f"-S {self.host / 'bin/ssh'}",
            ansible_ssh_transfer_method="smart",
            ansible_ssh_retries=0,
        )
        return self

    @property
    def host(self) -> Path:
        """Where what is p1's own lies."""
        return self.directory / "p1-host"

    @property
    def note_file(self) -> Path:
        """The note of its last reboot."""
        return self.notes / "reboot/note.json"

    @property
    def note(self) -> dict[str, Any]:
        """What it says."""
        return dict(json.loads(self.note_file.read_text()))

    @property
    def orders(self) -> list[str]:
        """How systemd-run was called."""
        path = self.host / "orders"
        return path.read_text().splitlines() if path.exists() else []

    def killed_after_its_order(self, gpus: list[str]) -> None:
        """What a run leaves that was killed when it had ordered a reboot, which has happened since."""
        boot = (self.host / "boot_id").read_text().strip()
        told: dict[str, Any] = {"gpus": tuple(gpus), "gpu_count": len(gpus)}
        ordered = note.RebootNote(boot, time.time() - 60, "incident a-7", "GPU lost", **told)
        self.note_file.parent.mkdir(mode=0o700)
        self.note_file.write_text(note.as_text(ordered))
        self.new_boot()

    def new_boot(self) -> None:
        """As after a reboot. Written in place: it is bound over the kernel's."""
        (self.host / "boot_id").write_text(f"{uuid.uuid4()}\n")

    def environment(self, **variables: str) -> dict[str, str]:
        """With its programs before those of this machine."""
        own = super().environment()
        path = f"{self.host / 'bin'}{os.pathsep}{own['PATH']}"
        return {**own, "PATH": path, "ANSIBLE_PIPELINING": "true", **variables}
