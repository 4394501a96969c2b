# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that all hosts of the lab boot from: Debian testing with systemd, sshd and everything served.

Debian testing, because it packages a real llama-server. Built with debootstrap from the machine's own
Debian mirror, so that no container registry is needed; once, then found again by its tag, which is a
hash of the package list. LAB_IMAGE names an image to use instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import LabError
from .places import CACHE
from .podman import podman, succeeds
from .progress import step

SUITE = "forky"
SCRIPT = "/usr/share/debootstrap/scripts/sid"  # older debootstraps do not know the suite by name; this one serves
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo"),
    *("python3", "procps", "iproute2", "ca-certificates", "curl"),
    *("haproxy", "nginx-light", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "llama.cpp-tools"),
)
REPOSITORY = "localhost/autoglm-lab"


def tag() -> str:
    """Name the image by what is in it."""
    return f"{REPOSITORY}:{hashlib.sha256(' '.join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]}"


def ensure() -> str:
    """Return an image that can be booted, after building it if this machine has none."""
    if named := os.environ.get("LAB_IMAGE"):
        return named
    if not succeeds("image", "exists", tag()):
        with _building(wait=True):
            if not succeeds("image", "exists", tag()):
                _build()
    return tag()


def discard_unfinished() -> None:
    """Remove what an interrupted build has left, unless one goes on in another process."""
    try:
        with _building(wait=False):
            _discard()
    except BlockingIOError:
        return


@contextmanager
def _building(*, wait: bool) -> Iterator[None]:
    """Keep other processes from building: of two builds in one folder, the first to end removes the other's."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "image.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _discard() -> None:
    for leftover in CACHE.glob("build-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def mirror() -> str:
    """Take the Debian mirror that this machine itself uses, in either spelling of apt's sources."""
    if named := os.environ.get("LAB_MIRROR"):
        return named
    for file in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        if file.suffix in {".list", ".sources"} and file.exists():
            lines = re.findall(r"^(?:deb\b|URIs:)(.*)", file.read_text(encoding="utf-8"), re.MULTILINE)
            for uri in re.findall(r"https?://\S+/debian/?(?=\s|$)", "\n".join(lines)):
                return str(uri)
    return "http://deb.debian.org/debian"


def _build() -> None:
    """Bootstrap into a scratch folder, import under a scratch tag, and only then give it its name."""
    log = CACHE / "debootstrap.log"
    try:
        with step("Building the lab's image, once on this machine (about 70 s)", lambda: _last_line(log)):
            _import(_bootstrap(log))
    finally:
        _discard()


def _bootstrap(log: Path) -> Path:
    """Return a folder with a whole Debian. Tried twice, because hundreds of downloads are a lot to go well."""
    packages = CACHE / "packages"
    packages.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        for _ in range(2):
            root = Path(tempfile.mkdtemp(prefix="build-", dir=CACHE)) / "root"
            command = [
                # Its own mount namespace: what it mounts in the root is gone with it, even if it is killed.
                *("unshare", "--mount", "debootstrap", "--variant=minbase", f"--keyring={KEYRING}"),
                *(f"--cache-dir={packages}", f"--include={','.join(PACKAGES)}", SUITE, str(root), mirror(), SCRIPT),
            ]
            done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False)
            if done.returncode == 0:
                shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
                shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
                return root
            out.write(f"debootstrap ended with {done.returncode}\n")
            out.flush()
    raise LabError(
        f"debootstrap from {mirror()} failed twice; what it said is in {log}, LAB_MIRROR names another mirror"
    )


def _import(root: Path) -> None:
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    unfinished = f"{REPOSITORY}:unfinished"
    podman("import", "--quiet", str(archive), unfinished, seconds=600)
    podman("tag", unfinished, tag())
    podman("untag", unfinished, unfinished)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else ""
