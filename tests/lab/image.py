# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that hosts boot from: Debian with systemd and sshd, for the lab also everything served.

The lab's is Debian testing, because it packages a real llama-server. Built with debootstrap from the machine's
own Debian mirror, so that no container registry is needed; once, then found again by its tag, which is a
hash of suite and package list.
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
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .places import CACHE
from .podman import podman, succeeds
from .progress import step

REPOSITORY = "localhost/autoglm-lab"
SCRIPTS = Path("/usr/share/debootstrap/scripts")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
BOOTED = ("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo")
# What people have on a server before any role comes.
ADMINISTERED = ("python3", "procps", "iproute2", "ca-certificates", "curl")


@dataclass(frozen=True)
class Image:
    """A release of Debian with these packages, and how long its first build takes."""

    suite: str
    packages: tuple[str, ...]
    seconds: int

    @property
    def tag(self) -> str:
        """Name the image by what is in it."""
        content = " ".join((self.suite, *self.packages))
        return f"{REPOSITORY}:{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @property
    def script(self) -> Path:
        """Debootstrap's way to make it; older ones do not know new suites by name, and that of sid serves."""
        own = SCRIPTS / self.suite
        return own if own.exists() else SCRIPTS / "sid"


OF_LAB = Image(
    "forky",
    (
        *BOOTED,
        *ADMINISTERED,
        *("haproxy", "nginx-light", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter"),
        *("llama.cpp-tools", "python3-venv"),
    ),
    70,
)

# For roles, which bring what they need: a server as its installation leaves it.
OF_SUITE = {
    "bookworm": Image("bookworm", (*BOOTED, *ADMINISTERED), 60),
    "trixie": Image("trixie", (*BOOTED, *ADMINISTERED), 60),
    OF_LAB.suite: OF_LAB,
}


def tag() -> str:
    """Name the image of the lab."""
    return OF_LAB.tag


def ensure() -> str:
    """Return the lab's image, after building it if this machine has none; LAB_IMAGE names another one."""
    return os.environ.get("LAB_IMAGE") or ensure_built(OF_LAB)


def ensure_built(image: Image) -> str:
    """Return the tag of an image that can be booted."""
    if not succeeds("image", "exists", image.tag):
        with _building(wait=True):
            if not succeeds("image", "exists", image.tag):
                _build(image)
    return image.tag


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


def _build(image: Image) -> None:
    """Bootstrap into a scratch folder, import under a scratch tag, and only then give it its name."""
    log = CACHE / "debootstrap.log"
    said = f"Building an image of Debian {image.suite}, once on this machine (about {image.seconds} s)"
    try:
        with step(said, lambda: _last_line(log)):
            _import(_bootstrap(image, log), image.tag)
    finally:
        _discard()


def _bootstrap(image: Image, log: Path) -> Path:
    """Return a folder with a whole Debian. Tried twice, because hundreds of downloads are a lot to go well."""
    packages = CACHE / "packages"
    packages.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as out:
        for _ in range(2):
            root = Path(tempfile.mkdtemp(prefix="build-", dir=CACHE)) / "root"
            command = [
                # Its own mount namespace: what it mounts in the root is gone with it, even if it is killed.
                *("unshare", "--mount", "debootstrap", "--variant=minbase", f"--keyring={KEYRING}"),
                *(f"--cache-dir={packages}", f"--include={','.join(image.packages)}"),
                *(image.suite, str(root), mirror(), str(image.script)),
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


def _import(root: Path, tag: str) -> None:
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    unfinished = f"{REPOSITORY}:unfinished"
    podman("import", "--quiet", str(archive), unfinished, seconds=600)
    podman("tag", unfinished, tag)
    podman("untag", unfinished, unfinished)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return lines[-1] if lines else ""
