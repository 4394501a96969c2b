# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH keys and the webhook's token: made anew for every lab, and gone with it."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import account

from .hosts import Host
from .places import STATE


@dataclass(frozen=True)
class Keys:
    """Files on this machine that open the lab's doors."""

    receiver: Path  # of the receiver's user alone; opens a login that is not root
    person: Path  # opens root
    host: Path
    known_hosts: Path
    token: Path


def make(hosts: list[Host]) -> Keys:
    """One key for the receiver, one for a person, and one that all hosts show, so that Ansible can be strict."""
    folder = STATE / "keys"
    folder.mkdir(mode=0o711)
    names = ("receiver", "person", "host", "known_hosts", "webhook-token")
    keys = Keys(*(folder / name for name in names))
    for path in (keys.receiver, keys.person, keys.host):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "autoglm-lab", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    public = public_of(keys.host)
    keys.known_hosts.write_text("".join(f"{host.address} {public}" for host in hosts), encoding="utf-8")
    keys.token.write_text(secrets.token_hex(24), encoding="utf-8")
    keys.token.chmod(0o600)
    for path in (keys.receiver, keys.token):
        os.chown(path, account.UID, account.UID)
    return keys


def public_of(key: Path) -> str:
    """Return the public line that belongs to a private key file."""
    return key.with_name(f"{key.name}.pub").read_text(encoding="utf-8")
