# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine must have before the lab can boot; on Debian as root it is installed on the spot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.support.tooling import debian

from .errors import LabError
from .progress import say, step

# A Debian package, and the programs or files of which one shows that it is there.
PACKAGES: dict[str, tuple[str, ...]] = {
    "podman": ("podman",),
    "crun": ("crun",),
    "netavark": ("/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"),
    "iptables": ("iptables", "/usr/sbin/iptables"),
    "debootstrap": ("debootstrap", "/usr/sbin/debootstrap"),
    "debian-archive-keyring": ("/usr/share/keyrings/debian-archive-keyring.gpg",),
    "openssh-client": ("ssh",),
    "util-linux": ("nsenter",),
    "tar": ("tar",),
}
ONLY_TO_BUILD = ("debootstrap", "debian-archive-keyring")


def _present(signs: tuple[str, ...]) -> bool:
    return any(Path(sign).exists() if sign.startswith("/") else shutil.which(sign) for sign in signs)


def missing(packages: Mapping[str, tuple[str, ...]] = PACKAGES) -> list[str]:
    """Name the Debian packages that are not there."""
    unneeded = ONLY_TO_BUILD if os.environ.get("LAB_IMAGE") else ()
    return [name for name, signs in packages.items() if name not in unneeded and not _present(signs)]


def ensure(packages: Mapping[str, tuple[str, ...]] = PACKAGES) -> None:
    """Install what is missing, or say in one sentence what it is and how to get it."""
    if os.geteuid() != 0:
        raise LabError("the lab boots systemd hosts in containers and needs root: run it as root, or with sudo")
    absent = missing(packages)
    if not absent:
        return
    say(f"Missing on this machine, will be installed: {', '.join(absent)}")
    with step(debian.command(absent)):
        try:
            debian.install(lambda: missing(packages))
        except debian.NotInstalledError as error:
            raise LabError(str(error)) from error
