# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exporter requires, for the Python of the lab's hosts: they reach no package index, this machine does."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .errors import LabError
from .hosts import Host
from .places import CACHE, CHECKOUT

DISTRIBUTION = CHECKOUT / "roles/gpu_exporter/files/distribution.json"
SECONDS = 300


def ensure(host: Host) -> Path:
    """Return a folder with these wheels, fetched on first use by this machine's own pip, with its settings."""
    python = host.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    wanted = requirements()
    digest = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
    folder = CACHE / f"wheels-{python}-{digest}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wheels-", dir=CACHE) as unfinished:
            whole = Path(unfinished) / "whole"
            _download(python, wanted, whole)
            whole.rename(folder)
    return folder


def requirements() -> list[str]:
    """Return what the distribution of the exporter asks for."""
    metadata = str(json.loads(DISTRIBUTION.read_text(encoding="utf-8"))["metadata"])
    return [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]


def _download(python: str, wanted: list[str], folder: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)),
        *("--only-binary=:all:", f"--python-version={python}", *wanted),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
