# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Docker engine, out of Debian's packages: unpacked, not installed, and run with a socket and data of its own.

It makes no network and touches no firewall: containers use the host's network.

The image is a static busybox, because the only storage that works on every machine copies an image for each container.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.waiting import wait_for
from tests.support.servers.containers import Runtime
from tests.support.tooling.prometheus_tools import download

PACKAGES = ("docker.io", "containerd", "runc", "libdevmapper1.02.1", "busybox-static")
CACHE = Path("/var/cache/autoglm-parts")
ROOT = CACHE / "docker"
APPLETS = ("sh", "sleep", "echo", "cat")


@contextlib.contextmanager
def docker() -> Iterator[Runtime]:
    """The engine for the length of the block."""
    _ensure()
    with tempfile.TemporaryDirectory(prefix="autoglm-docker-") as directory:
        home = Path(directory)
        socket = home / "docker.sock"
        words = _environment(socket)
        with (home / "dockerd.log").open("wb") as log:
            daemon = subprocess.Popen(_command(home, socket, words), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            wait_for("dockerd", lambda: _is_up(daemon, socket, home / "dockerd.log"), 30)
            runtime = Runtime("docker", "tiny:1", words)
            runtime("import", str(_image(home)), "tiny:1")
            try:
                yield runtime
            finally:
                runtime.remove_all()
        finally:
            daemon.terminate()
            daemon.wait(timeout=30)


def _environment(socket: Path) -> list[str]:
    libraries = ":".join(str(path.parent) for path in ROOT.rglob("libdevmapper.so.*"))
    path = f"{ROOT}/usr/sbin:{ROOT}/usr/bin:{os.environ['PATH']}"
    return ["env", f"PATH={path}", f"LD_LIBRARY_PATH={libraries}", f"DOCKER_HOST=unix://{socket}"]


def _command(home: Path, socket: Path, environment: list[str]) -> list[str]:
    return [
        # Mounts that it forgets go with the namespace; if the test run is killed, it ends, and its containers with it.
        *("unshare", "--mount", "--propagation", "private", "setpriv", "--pdeathsig", "TERM", *environment, "dockerd"),
        *("--host", f"unix://{socket}", "--data-root", str(home / "data"), "--exec-root", str(home / "run")),
        *("--pidfile", str(home / "docker.pid"), "--storage-driver=vfs"),
        *("--bridge=none", "--iptables=false", "--ip-masq=false"),
    ]


def _is_up(daemon: subprocess.Popen[bytes], socket: Path, log: Path) -> bool:
    if daemon.poll() is not None:
        raise RuntimeError(f"dockerd ended: {log.read_text(errors='replace')[-2000:]}")
    return socket.exists()


def _ensure() -> None:
    """Unpack the packages once on this machine. Under another name first: what is interrupted leaves no root."""
    if ROOT.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        for package in PACKAGES:
            place = Path(work) / package
            place.mkdir()
            download(package, place)
            archive = next(place.glob("*.deb"))
            subprocess.run(["dpkg-deb", "-x", str(archive), str(Path(work) / "root")], check=True)
        with contextlib.suppress(FileExistsError, OSError):
            (Path(work) / "root").rename(ROOT)
    if not ROOT.exists():
        raise LabError(f"{ROOT} could not be made")


def _image(home: Path) -> Path:
    tree, archive = home / "image", home / "image.tar"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin/busybox", tree / "bin/busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    subprocess.run(["tar", "-C", str(tree), "-cf", str(archive), "."], check=True)
    return archive
