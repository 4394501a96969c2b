# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gets: the collection as ansible-galaxy builds and installs it, and the wheel as pip does."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from tests.support.servers.ports import free_port
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# A new folder in the checkout is decided about here: it ships, or galaxy.yml's build_ignore names it.
SHIPS = {
    ".ansible-lint",
    ".ansible-lint-ignore",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "COPYING",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "README.zh.md",
    "REUSE.toml",
    "SECURITY.md",
    "changelogs",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "src",
}
# Understood only where that is installed; tests/integration/awx runs it with the real one.
NEED_ANOTHER_COLLECTION = {"awx_setup"}
# The sdist has what a distributor builds, checks and tests with, and no file of the collection's own archive.
SDIST_SHIPS = SHIPS - {"FILES.json", "MANIFEST.json"} | {
    ".ci",
    ".config",
    ".gitignore",
    ".yamllint",
    "Makefile",
    "PKG-INFO",
    "bench",
    "distributions",
    "examples",
    "galaxy.yml",
    "molecule",
    "pyproject.toml",
    "share",
    "src",
    "tests",
}
READY_WITHIN_S = 60
# Where a wheel has what an installer puts below share/.
SHARE_IN_WHEEL = ".data/data/share/"
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
        use(workplace, work, environment)
        _build_exporter(workplace, work / "installed/ansible_collections/autoglm/recovery", work)
    return f"{archive.name}, {len(names)} files"


def _build_exporter(workplace: Workplace, collection: Path, elsewhere: Path) -> None:
    """The role gpu_exporter builds its wheel out of an installed collection, and of it alone."""
    described = json.loads((collection / "roles/gpu_exporter/files/distribution.json").read_text("utf-8"))
    if (collection / "src").exists():
        shipped = {
            path.relative_to(collection / "src/autoglm_recovery").as_posix()
            for path in (collection / "src").rglob("*")
            if path.is_file()
        }
        if strangers := shipped - set(described["files"]):
            raise StepFailedError(f"src ships what the exporter has no use for: {', '.join(sorted(strangers)[:5])}")
    workplace.read(
        workplace.python, str(collection / "roles/gpu_exporter/files/build_wheel.py"), str(elsewhere), cwd=elsewhere
    )


def check_wheel(workplace: Workplace) -> str:
    """Make what a release publishes, the sdist and the wheel of it, and use both halves of the wheel elsewhere."""
    with tempfile.TemporaryDirectory(prefix="autoglm-wheel-", ignore_cleanup_errors=True) as temporary:
        work = Path(temporary)
        build = [workplace.python, "-m", "build", "--installer", "uv", "--outdir"]
        workplace.read(*build, str(work / "dist"), str(CHECKOUT))
        sdist, wheel = next(work.glob("dist/*.tar.gz")), next(work.glob("dist/*.whl"))
        workplace.read(workplace.python, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
        names = _names_in_sdist(sdist)
        _refuse_junk(names, SDIST_SHIPS)
        if twice := {name for name in names if names.count(name) > 1}:
            raise StepFailedError(f"the sdist has twice: {', '.join(sorted(twice)[:5])}")
        files = contents(wheel)
        _refuse_junk([name for name in files if ".dist-info/" not in name and SHARE_IN_WHEEL not in name], WHEEL_SHIPS)
        _same_knowledge(list(files))
        workplace.read(*build, str(work / "direct"), "--wheel", str(CHECKOUT))
        if different := differing(files, contents(next(work.glob("direct/*.whl")))):
            raise StepFailedError(f"the wheel of the sdist is not that of the checkout: {', '.join(different[:5])}")
        with ThreadPoolExecutor(max_workers=2) as lanes:
            others = lanes.submit(_as_a_tool, work, workplace, sdist, wheel)
            _start(work, workplace, wheel)
            others.result()
    return f"{sdist.name}, {len(names)} files; {wheel.name}, {len(files)} files"


def contents(wheel: Path) -> dict[str, bytes]:
    """What a wheel has, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names of files that only one has, or that are not the same in both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _names_in_sdist(sdist: Path) -> list[str]:
    """Names below the one folder that a sdist has."""
    with tarfile.open(sdist) as archive:
        return [member.name.partition("/")[2] for member in archive.getmembers() if not member.isdir()]


def _start(work: Path, workplace: Workplace, wheel: Path) -> None:
    """Install the wheel where nothing else is, and use it from an empty folder: each module, commands, Ansible."""
    fresh = Workplace("the wheel", work / "venv")
    elsewhere = work / "elsewhere"
    elsewhere.mkdir()
    workplace.read(workplace.python, "-m", "venv", str(fresh.venv))
    pip = [fresh.python, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check"]
    fresh.read(*pip, "install", str(wheel), cwd=elsewhere)
    fresh.read(fresh.python, "-c", _IMPORT_ALL, cwd=elsewhere)
    if not (fresh.venv / "share/man/man1/autoglm.1").is_file():
        raise StepFailedError("the wheel brings no man page")
    for command in ("--help", "--version", "schema", "rules"):
        fresh.read(fresh.program("autoglm"), command, cwd=elsewhere)
    (elsewhere / "auto-recovery.yaml").write_text("monitoring: {interval: 2s}\n")
    # Its notes name playbooks that are not installed: with none there is no collection.
    fresh.read(fresh.program("autoglm"), "check", "auto-recovery.yaml", cwd=elsewhere)
    _serve(fresh, elsewhere)
    use(fresh, elsewhere, fresh.environment())
    _build_exporter(fresh, next(fresh.venv.glob("lib/python*/site-packages")) / COLLECTION_IN_WHEEL, elsewhere)


def _as_a_tool(work: Path, workplace: Workplace, sdist: Path, wheel: Path) -> None:
    """Install the sdist with uv and the wheel with pipx, each as a person does who wants the command alone."""
    elsewhere = work / "in-no-checkout"
    elsewhere.mkdir()
    names = ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")
    places = {name: str(work / name) for name in names}
    environment = workplace.environment(**places)
    python = ["--python", sys.executable]
    workplace.read(workplace.program("uv"), "tool", "install", *python, str(sdist), cwd=elsewhere, env=environment)
    workplace.read(
        workplace.program("pipx"), "install", "--backend", "uv", *python, str(wheel), cwd=elsewhere, env=environment
    )
    for folder in ("UV_TOOL_BIN_DIR", "PIPX_BIN_DIR"):
        command = str(Path(places[folder], "autoglm"))
        told = json.loads(workplace.read(command, "version", "--json", cwd=elsewhere, env=environment))
        if f"-{told['autoglm_recovery']}-" not in wheel.name:
            raise StepFailedError(f"{command} is of another release: {told}")
        workplace.read(command, "schema", cwd=elsewhere, env=environment)
    if not Path(places["PIPX_MAN_DIR"], "man1/autoglm.1").exists():
        raise StepFailedError("pipx puts no man page where man finds it")


def _serve(fresh: Workplace, elsewhere: Path) -> None:
    """Start the receiver, which needs its migrations, templates and static files, and look at it as a person does."""
    address = f"127.0.0.1:{free_port()}"
    (elsewhere / "inventory").write_text("localhost ansible_connection=local\n")
    command = [fresh.program("autoglm"), "serve", "--inventory", "inventory", "--listen", address]
    with (elsewhere / "log").open("wb") as log:
        receiver = subprocess.Popen(command, cwd=elsewhere, env=fresh.environment(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not all(_answers(f"http://{address}{path}") for path in ("/readyz", "/", "/static/console.css")):
            if receiver.poll() is not None or time.monotonic() > deadline:
                raise StepFailedError(f"autoglm serve does not serve: {(elsewhere / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
    finally:
        receiver.terminate()
        receiver.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False


# What is left out is what needs an extra that a plain installation does not have.
_IMPORT_ALL = """
import importlib, pkgutil, autoglm_recovery
for module in pkgutil.walk_packages(autoglm_recovery.__path__, "autoglm_recovery."):
    if not module.name.endswith((".tracing_otlp", ".migrations.env")) and ".versions." not in module.name:
        importlib.import_module(module.name)
"""


def _refuse_junk(names: list[str], expected: set[str]) -> None:
    """Refuse names whose first part nobody expects, and what editors and interpreters leave."""
    strangers = sorted(
        {name for name in names if PurePosixPath(name).parts[0] not in expected}
        | {name for name in names if "__pycache__" in name or _hidden(name) or name.endswith((".pyc", "~"))}
    )
    if strangers:
        raise StepFailedError(f"ships what should not: {', '.join(strangers[:5])}")


def _hidden(name: str) -> bool:
    """Formats that tests read have files with such names."""
    return "/." in name and not name.startswith("tests/fixtures/")


def _same_knowledge(names: list[str]) -> None:
    """module_utils is a link in the checkout; in the wheel both places must have the files."""
    in_collection = _below(names, f"{COLLECTION_IN_WHEEL}/plugins/module_utils/")
    in_package = _below(names, "autoglm_recovery/knowledge/")
    if not in_package or in_collection != in_package:
        raise StepFailedError(f"the knowledge is not the same in both: {sorted(in_collection ^ in_package)[:5]}")


def _below(names: list[str], folder: str) -> set[str]:
    return {name.removeprefix(folder) for name in names if name.startswith(folder)}


# What a site writes for an action of its own.
_OWN = "[{hosts: localhost, roles: [{role: autoglm.recovery.check_target, check_target_tasks: tasks.yml}]}]"
_TASKS = "[{import_role: {name: autoglm.recovery.check_target, tasks_from: go_on}}]"


def use(workplace: Workplace, elsewhere: Path, environment: dict[str, str]) -> None:
    """Modules and roles are documented, and every playbook is found by its full name and understood, also a site's."""
    modules = [f"autoglm.recovery.{path.stem}" for path in sorted((CHECKOUT / "plugins/modules").glob("[a-z]*.py"))]
    names = sorted({path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")} - NEED_ANOTHER_COLLECTION)
    playbooks = [f"autoglm.recovery.{name}" for name in names]
    if not modules or not playbooks:
        raise StepFailedError("there is no module or no playbook to try")
    workplace.read(workplace.program("ansible-doc"), "--json", *modules, cwd=elsewhere, env=environment)
    play = [workplace.program("ansible-playbook"), "--syntax-check", "-i", "localhost,", "-e", "target=localhost"]
    (elsewhere / "tasks.yml").write_text(_TASKS)
    (elsewhere / "own.yml").write_text(_OWN)
    workplace.read(*play, *playbooks, "own.yml", cwd=elsewhere, env=environment)
    roles = [f"autoglm.recovery.{path.name}" for path in sorted((CHECKOUT / "roles").iterdir())]
    said = workplace.read(
        workplace.program("ansible-doc"), "--json", "--type", "role", *roles, cwd=elsewhere, env=environment
    )
    if missing := set(roles) - json.loads(said).keys():
        raise StepFailedError(f"ansible-doc does not know: {', '.join(sorted(missing))}")
