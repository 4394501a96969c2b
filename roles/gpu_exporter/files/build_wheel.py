# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the wheel of autoglm-exporter out of this collection, with nothing but Python: build_wheel.py FOLDER

It prints the wheel's name. A controller may have no network, no pip and no hatchling, and a pure wheel is an archive of
the files with three more. distribution.json says which files, and what their metadata is; it is written and checked by
tests/support/tooling/exporter_distribution.py. The version ends with a digest of the content, so that pip takes another
content for another version, and the same files are the same wheel, byte for byte.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
import zipfile
from pathlib import Path

COLLECTION = Path(__file__).resolve().parents[3]
PACKAGE = "autoglm_recovery"
# Where the files are: in a checkout and in what Galaxy gives, and in the wheel of autoglm-recovery beside it.
ROOTS = (COLLECTION / "src" / PACKAGE, COLLECTION.parent.parent.parent / PACKAGE)
DISTRIBUTION = Path(__file__).with_name("distribution.json")
# As hatchling has it; an archive knows no time before 1980.
WHEN = (2020, 2, 2, 0, 0, 0)
WHEEL = """\
Wheel-Version: 1.0
Generator: autoglm.recovery.gpu_exporter
Root-Is-Purelib: true
Tag: py3-none-any
"""


class BuildError(Exception):
    """The wheel cannot be built; the message says why."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write(f"usage: {Path(__file__).name} FOLDER\n")
        return 2
    try:
        sys.stdout.write(f"{write_wheel(Path(arguments[0]))}\n")
    except (OSError, BuildError) as error:
        sys.stderr.write(f"autoglm-exporter cannot be built: {error}\n")
        return 1
    return 0


def write_wheel(folder: Path) -> str:
    """Write the wheel into a folder, and return its name."""
    name, files = wheel()
    record = f"{info(name)}/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    unfinished = folder / f".{name}.{os.getpid()}"
    # Not compressed: two versions of zlib would make two wheels of the same files.
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, WHEN)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    unfinished.replace(folder / name)
    return name


def wheel() -> tuple[str, dict[str, bytes]]:
    """Return the name of the wheel, and its files by their paths in it, without the list of them."""
    described = json.loads(DISTRIBUTION.read_text("utf-8"))
    code = {f"{PACKAGE}/{path}": _read(path) for path in described["files"]}
    version = f"{_version(code)}+{_fingerprint(code, described)}"
    name = f"autoglm_exporter-{version}-py3-none-any.whl"
    metadata = described["metadata"].replace("@VERSION@", version)
    scripts = "".join(f"{script} = {entrance}\n" for script, entrance in described["scripts"].items())
    about = {
        "METADATA": metadata,
        "WHEEL": WHEEL,
        "entry_points.txt": f"[console_scripts]\n{scripts}",
    }
    return name, code | {f"{info(name)}/{each}": text.encode() for each, text in about.items()}


def info(name: str) -> str:
    """Return the folder of a wheel's metadata."""
    return "-".join(name.split("-")[:2]) + ".dist-info"


def _read(path: str) -> bytes:
    """The knowledge is what modules of the collection stand on; whatever else there is has a folder of its own."""
    shared = path.removeprefix("knowledge/")
    places = (COLLECTION / "plugins/module_utils" / shared,) if shared != path else tuple(root / path for root in ROOTS)
    for place in places:
        if place.is_file():
            return place.read_bytes()
    raise BuildError(f"{places[0]} is missing: the collection is not whole, install it again")


def _version(code: dict[str, bytes]) -> str:
    found = re.search(r'^__version__ = "([0-9][0-9a-z.]*)"$', code[f"{PACKAGE}/__init__.py"].decode(), re.MULTILINE)
    if found is None:
        raise BuildError("the version cannot be read")
    return found[1]


def _fingerprint(code: dict[str, bytes], described: dict[str, object]) -> str:
    content = [[path, _digest(content)] for path, content in sorted(code.items())]
    # A letter first: of a part of a version that is a number, zeros before it are dropped.
    return "g" + hashlib.sha256(json.dumps([content, described], sort_keys=True).encode()).hexdigest()[:12]


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
