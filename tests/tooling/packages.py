# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets: the collection as ansible-galaxy builds and installs it, and the wheel as pip does."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from tests.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# A new folder in the checkout is decided about here: it ships, or galaxy.yml's build_ignore names it.
SHIPS = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "COPYING",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "REUSE.toml",
    "changelogs",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
# Understood only where that is installed; tests/integration/awx runs it with the real one.
NEED_ANOTHER_COLLECTION = {"awx_setup"}
WHEEL_SHIPS = {"ansible_collections", "autoglm_recovery"}
COLLECTION_IN_WHEEL = "ansible_collections/autoglm/recovery"


def check_collection(workplace: Workplace) -> str:
    """Build the collection, install it where nothing else is, and use the installed copy."""
    with tempfile.TemporaryDirectory(prefix="autoglm-collection-") as temporary:
        work = Path(temporary)
        workplace.read(workplace.program("ansible-galaxy"), "collection", "build", "--output-path", temporary)
        archive = next(work.glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            names = [member.name for member in tar.getmembers() if not member.isdir()]
        _refuse_junk(names, SHIPS)
        environment = workplace.environment(
            ANSIBLE_COLLECTIONS_PATH=str(work / "installed"),
            # The environment links the checkout, which must not be taken for an installed copy.
            ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="false",
        )
        galaxy = [workplace.program("ansible-galaxy"), "collection"]
        install = [*galaxy, "install", "--offline", "-p", str(work / "installed"), str(archive)]
        workplace.read(*install, cwd=work, env=environment)
        workplace.read(*galaxy, "verify", "--offline", "autoglm.recovery", cwd=work, env=environment)
        _use(workplace, work, environment)
    return f"{archive.name}, {len(names)} files"


def check_wheel(workplace: Workplace) -> str:
    """Build the wheel, install it into an environment of its own, and use both of its halves."""
    with tempfile.TemporaryDirectory(prefix="autoglm-wheel-") as temporary:
        work = Path(temporary)
        pip = ["-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check"]
        workplace.read(workplace.python, *pip, "wheel", "--no-deps", "--wheel-dir", temporary, str(CHECKOUT))
        wheel = next(work.glob("*.whl"))
        names = zipfile.ZipFile(wheel).namelist()
        _refuse_junk([name for name in names if ".dist-info/" not in name], WHEEL_SHIPS)
        _same_knowledge(names)
        fresh = Workplace("the wheel", work / "venv")
        workplace.read(workplace.python, "-m", "venv", str(fresh.venv))
        fresh.read(fresh.python, *pip, "install", str(wheel), cwd=work)
        fresh.read(fresh.program("autoglm"), "--help", cwd=work)
        _use(fresh, work, fresh.environment())
    return f"{wheel.name}, {len(names)} files"


def _refuse_junk(names: list[str], expected: set[str]) -> None:
    strangers = sorted(
        {name for name in names if PurePosixPath(name).parts[0] not in expected}
        | {name for name in names if "__pycache__" in name or "/." in name or name.endswith((".pyc", "~"))}
    )
    if strangers:
        raise StepFailedError(f"ships what should not: {', '.join(strangers[:5])}")


def _same_knowledge(names: list[str]) -> None:
    """module_utils is a link in the checkout; in the wheel both places must have the files."""
    in_collection = _below(names, f"{COLLECTION_IN_WHEEL}/plugins/module_utils/")
    in_package = _below(names, "autoglm_recovery/knowledge/")
    if not in_package or in_collection != in_package:
        raise StepFailedError(f"the knowledge is not the same in both: {sorted(in_collection ^ in_package)[:5]}")


def _below(names: list[str], folder: str) -> set[str]:
    return {name.removeprefix(folder) for name in names if name.startswith(folder)}


def _use(workplace: Workplace, elsewhere: Path, environment: dict[str, str]) -> None:
    """Every module is documented, and every playbook is found by its full name and understood."""
    modules = [f"autoglm.recovery.{path.stem}" for path in sorted((CHECKOUT / "plugins/modules").glob("[a-z]*.py"))]
    names = sorted({path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")} - NEED_ANOTHER_COLLECTION)
    playbooks = [f"autoglm.recovery.{name}" for name in names]
    if not modules or not playbooks:
        raise StepFailedError("there is no module or no playbook to try")
    workplace.read(workplace.program("ansible-doc"), "--json", *modules, cwd=elsewhere, env=environment)
    play = [workplace.program("ansible-playbook"), "--syntax-check", "-i", "localhost,", "-e", "target=localhost"]
    workplace.read(*play, *playbooks, cwd=elsewhere, env=environment)
