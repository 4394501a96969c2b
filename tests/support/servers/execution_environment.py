# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real execution environment: the lab's Debian with ansible-core and ssh in it, made on first use.

On machines where podman needs a namespace of its own, ``podman`` on a PATH of ours is a script that enters it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import podman as lab
from tests.support.servers.containers import Runtime

REPOSITORY = "localhost/autoglm-ee"
# The newest, because the lab's Debian has a Python that older ones do not run on.
CORE = "ansible-core==2.21.5"
COLLECTIONS = "/usr/share/ansible/collections"
# The lab's hosts are reached and reach nobody, so that they lack it. Debian testing's lists expire after a week.
_INSTALL = """\
apt-get -q -o Acquire::Check-Valid-Until=false update
apt-get -q install -y --no-install-recommends openssh-client
rm -rf /var/lib/apt/lists /var/cache/apt
"""
_PROGRAM = """\
#!/usr/bin/python3
import sys
from ansible.cli.playbook import main
sys.exit(main())
"""


def ensure(podman: Runtime) -> str:
    """Return the image's name, after making it if this machine has none; some 40 MB are fetched for that."""
    name = f"{REPOSITORY}:{podman.image.rpartition(':')[2]}-{CORE.rpartition('=')[2]}-ssh"
    if not lab.succeeds("image", "exists", name):
        with tempfile.TemporaryDirectory() as work:
            _fill(Path(work), podman("run", "--rm", *podman.options, podman.image, "python3", "-V").split()[1])
            _commit(podman, Path(work), name)
    return name


def _fill(tree: Path, python: str) -> None:
    """Lay out what the image has beside Debian."""
    version = ".".join(python.split(".")[:2])
    # Else pip would ask whether the Python that it runs on would do.
    options = ["--ignore-requires-python", "--python-version", version, "--only-binary", ":all:"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", *options, "--target", f"{tree}/opt/ansible", CORE]
    subprocess.run(install, check=True, stdin=subprocess.DEVNULL)
    program = tree / "usr/local/bin/ansible-playbook"
    program.parent.mkdir(parents=True)
    program.write_text(_PROGRAM)
    program.chmod(0o755)


def _commit(podman: Runtime, tree: Path, name: str) -> None:
    container = podman.make("create", "execution-environment", "sh", "-ec", _INSTALL)
    try:
        start = [*podman.prefix, podman.kind, "start", "--attach", container]
        done = subprocess.run(start, capture_output=True, text=True, check=False, timeout=300, cwd="/")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        lab.unpack(container, tree)
        changes = ("--change=ENV PYTHONPATH=/opt/ansible", "--change=CMD /bin/sh")
        lab.podman("commit", "--quiet", *changes, container, name, seconds=300)
    finally:
        lab.podman("rm", "--force", container)


def on_path(folder: Path, podman: Runtime) -> str:
    """Return a PATH whose podman is the one that works on this machine."""
    real = shutil.which("podman")
    assert real is not None
    program = folder / "podman"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([*podman.prefix, real])} "$@"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"
