# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution autoglm-exporter: what the exporter imports, built, and used on each Python that there is.

python -m tests.support.tooling.exporter_distribution OUT      build the sdist and the wheel
python -m tests.support.tooling.exporter_distribution          write what the role gpu_exporter builds a wheel by
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grimp

from tests.support.servers.ports import free_port
from tests.support.tooling import interpreters
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

ENTRANCE = "autoglm_recovery.exporter.command"
PROJECT = CHECKOUT / "distributions/exporter"
DESCRIPTION = CHECKOUT / "roles/gpu_exporter/files/distribution.json"
BUILDER = CHECKOUT / "roles/gpu_exporter/files/build_wheel.py"
ANSWERS_WITHIN_S = 120
# Of the environment of Python 3.9 with all that it needs and without pip; the receiver's has more than 120.
LARGEST_MB = 16
_LINE = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."
_WANTED = (
    # The loop, the reader of the kernel's log, and the child process that asks NVML, on a machine with or without.
    "autoglm_heartbeat_timestamp_seconds",
    'xid="79"',
    "autoglm_probe_duration_seconds",
)


def files() -> list[str]:
    """Return what the exporter needs, as paths from the checkout: each file that it imports, and their packages."""
    graph = grimp.build_graph("autoglm_recovery", cache_dir=None)
    needed = {ENTRANCE, *graph.find_upstream_modules(ENTRANCE)}
    packages = {module.rsplit(".", count)[0] for module in needed for count in range(1, module.count(".") + 1)}
    return sorted(_path(module) for module in needed | packages)


def _path(module: str) -> str:
    place = Path("src", *module.split("."))
    return str(place / "__init__.py" if (CHECKOUT / place).is_dir() else place.with_suffix(".py"))


def build(out: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel of it."""
    with tempfile.TemporaryDirectory(prefix="autoglm-exporter-") as temporary:
        stage = Path(temporary)
        for path in files():
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / path, stage / path)
        for path in (PROJECT / "pyproject.toml", PROJECT / "README.md", CHECKOUT / "COPYING"):
            shutil.copyfile(path, stage / path.name)
        command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(out), str(stage)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepFailedError(f"autoglm-exporter cannot be built: {(done.stdout + done.stderr)[-2000:]}")
    return next(out.glob("autoglm_exporter-*.tar.gz")), next(out.glob("autoglm_exporter-*.whl"))


def described(wheel: Path) -> str:
    """Return distribution.json: what a wheel that hatchling has made holds, for the role's own builder."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    named = re.sub("^Version: .*$", "Version: @VERSION@", metadata, count=1, flags=re.MULTILINE)
    # Its licence file is in no wheel of the role's, and neither is the page that an index shows.
    head = named.partition("\n\n")[0].splitlines()
    # Written as of a version that pip of 2021 knows, which Ubuntu 22.04 and RHEL 9 have.
    head[0] = "Metadata-Version: 2.1"
    newer = ("License-File:", "License-Expression:", "Description-Content-Type:")
    short = [line for line in head if not line.startswith(newer)]
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    document = {
        "files": [path.removeprefix("src/autoglm_recovery/") for path in files()],
        "metadata": "\n".join(short) + "\n",
        "scripts": scripts,
    }
    return json.dumps(document, indent=2) + "\n"


def _same_as_the_roles(workplace: Workplace, work: Path, wheel: Path) -> Path:
    """Build it as the role does, of what the description says, and require the same code and requirements."""
    if DESCRIPTION.read_text("utf-8") != described(wheel):
        raise StepFailedError(f"{DESCRIPTION.relative_to(CHECKOUT)} is old: python -m {__spec__.name} writes it")
    workplace.read(workplace.python, str(BUILDER), str(work))
    (own,) = work.glob("*.whl")
    with zipfile.ZipFile(own) as ours, zipfile.ZipFile(wheel) as theirs:
        code = [
            {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
            for archive in (ours, theirs)
        ]
    if code[0] != code[1]:
        raise StepFailedError("the role's wheel and hatchling's differ in their code")
    return own


def check_exporter(workplace: Workplace) -> str:
    """Build it, and run what is installed of it on each Python of this machine from 3.9 on."""
    with tempfile.TemporaryDirectory(prefix="autoglm-exporter-") as temporary:
        work = Path(temporary)
        sdist, wheel = build(work / "dist")
        workplace.read(workplace.python, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
        wheel = _same_as_the_roles(workplace, work, wheel)
        found = interpreters.find()
        with ThreadPoolExecutor(max_workers=2) as lanes:
            sizes = list(lanes.map(partial(_try, workplace, work, wheel), found))
    told = ", ".join(f"{each} {size:.1f} MB" for each, size in zip(found, sizes, strict=True))
    if max(sizes) > LARGEST_MB:
        raise StepFailedError(f"autoglm-exporter is larger than {LARGEST_MB} MB installed: {told}")
    return f"{wheel.name} runs on {told}"


def _try(workplace: Workplace, work: Path, wheel: Path, interpreter: interpreters.Interpreter) -> float:
    """Install it where nothing else is, use it from an empty folder, and return its size in MB."""
    fresh, elsewhere = Workplace(f"exporter on {interpreter}", work / f"venv-{interpreter}"), work / f"in-{interpreter}"
    elsewhere.mkdir()
    uv = workplace.program("uv")
    workplace.read(uv, "venv", "--quiet", "--python", str(interpreter.path), str(fresh.venv), cwd=elsewhere)
    workplace.read(uv, "pip", "install", "--quiet", "--python", fresh.python, str(wheel), cwd=elsewhere)
    size = sum(path.stat().st_size for path in fresh.venv.rglob("*") if path.is_file() and not path.is_symlink())
    fresh.read(fresh.python, "-W", "error::SyntaxWarning", "-c", _IMPORT_ALL, cwd=elsewhere)
    _serve(fresh, elsewhere)
    return size / 1e6


_IMPORT_ALL = """
import importlib, pkgutil, autoglm_recovery
for module in pkgutil.walk_packages(autoglm_recovery.__path__, "autoglm_recovery."):
    importlib.import_module(module.name)
"""


def _serve(fresh: Workplace, elsewhere: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    (elsewhere / "kmsg").write_text(f"3,1,1000000,-;{_LINE}\n")
    options = ["--listen", address, "--interval", "200ms", "--kmsg", "kmsg", "--state-file", "state.json"]
    with (elsewhere / "log").open("wb") as log:
        command = [fresh.program("autoglm-exporter"), *options]
        exporter = subprocess.Popen(command, cwd=elsewhere, env=fresh.environment(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + ANSWERS_WITHIN_S
        while not all(word in (page := _metrics(address)) for word in _WANTED):
            if exporter.poll() is not None or time.monotonic() > deadline:
                lacks = ", ".join(word for word in _WANTED if word not in page)
                raise StepFailedError(f"{fresh.name} lacks {lacks}: {(elsewhere / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
    finally:
        exporter.terminate()
        ended = exporter.wait()
    if ended != 0:
        raise StepFailedError(f"{fresh.name} ended with {ended}: {(elsewhere / 'log').read_text()[-2000:]}")


def _metrics(address: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


if __name__ == "__main__":
    if sys.argv[1:]:
        for built in build(Path(sys.argv[1]).resolve()):
            print(built)
    else:
        with tempfile.TemporaryDirectory(prefix="autoglm-exporter-") as temporary:
            DESCRIPTION.write_text(described(build(Path(temporary))[1]), "utf-8")
