# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus, Alertmanager and their tools, with which rules are checked: from PATH, else out of Debian's packages.

The packages are unpacked into a cache folder, not installed: installing them would start a Prometheus and
an Alertmanager on the developer's machine. Nothing here needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE_OF = {
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}


class ToolMissingError(Exception):
    """The tool is not here and cannot be fetched; the message says how to get it."""


def tool(name: str) -> str:
    """The path of one of these programs."""
    found = shutil.which(name)
    if found:
        return found
    cached = _cache() / name
    if not cached.exists():
        _fetch(name, cached)
    return str(cached)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "autoglm-recovery" / "prometheus-tools"


def _fetch(name: str, destination: Path) -> None:
    package = PACKAGE_OF[name]
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ToolMissingError(f"{name} is needed on PATH; it comes with {package} (https://prometheus.io/download/).")
    print(f"fetching {name} out of Debian's package {package} into {destination.parent} ...", file=sys.stderr)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as work:
        download(package, Path(work))
        archive = next(Path(work).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive.name, "root"], cwd=work, check=True)
        # a rename, so that two test runs at once never see half a file
        (Path(work) / "root/usr/bin" / name).rename(destination)


def download(package: str, work: Path) -> None:
    """apt-get download; where the machine has no package lists, with lists of our own, which needs no root."""
    (work / "lists/partial").mkdir(parents=True)
    own_lists = ["-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work}", "-o", "APT::Sandbox::User="]
    attempts = (
        [["apt-get", "-q", "download", package]],
        [["apt-get", "-q", *own_lists, "update"], ["apt-get", "-q", *own_lists, "download", package]],
    )
    said = ""
    for attempt in attempts:
        for command in attempt:
            done = subprocess.run(
                command, cwd=work, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            )
            said = done.stderr.strip()
            if done.returncode != 0:
                break
        else:
            return
    raise ToolMissingError(
        f"the Debian package {package} could not be downloaded: {said.splitlines()[-1] if said else '?'}"
    )


if __name__ == "__main__":
    try:
        for each in PACKAGE_OF:
            print(tool(each))
    except ToolMissingError as problem:
        sys.exit(f"prometheus-tools: {problem}")
