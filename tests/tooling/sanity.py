# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity on what ships, in the way that Automation Hub's importer does it.

ansible-test wants to be inside .../ansible_collections/autoglm/recovery, which a checkout seldom is, and it
resolves links; so it gets a copy of what git would see. Left out is what does not ship and has its own checks
(ruff and mypy): the receiver and the tests of Python code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.tooling import interpreters
from tests.tooling.workplace import CHECKOUT, Workplace

NOT_SHIPPED = (".ci/", "bench/", "src/", "tests/")
BUT_ITS_OWN = ("tests/config.yml", "tests/integration/targets/", "tests/sanity/")

# The rest is what pip says for each of the environments.
WORTH_SHOWING = re.compile(
    r"^(Running sanity test|ERROR|FATAL: (?!Command)|WARNING: (?!Location|Using locale)|[a-z]\w+$|See )"
)

# ansible-test starts each of its environments with a get-pip script from a host of its own, which networks that
# only have a package index do not reach; it takes what it finds in its cache instead. In a process of its own:
# ensurepip in this one would leave PIP_CONFIG_FILE=/dev/null behind.
GET_PIP = '''\
"""Installs pip from the one that comes with Python."""
import subprocess
import sys

packages = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"])
subprocess.check_call([sys.executable, "-m", "pip", "install"] + packages)
'''


def run(workplace: Workplace) -> str:
    """Run all sanity tests; the modules are compiled and imported under every Python that is found."""
    pythons = interpreters.find()
    home = _home(workplace)
    with tempfile.TemporaryDirectory(prefix="autoglm-sanity-") as temporary:
        copy = Path(temporary) / "ansible_collections/autoglm/recovery"
        count = _copy(copy)
        print(f"{count} files, Python {', '.join(map(str, pythons))}", flush=True)
        command = [workplace.program("ansible-test"), "sanity", "--color", "no", "--venv"]
        log = CHECKOUT / ".cache/logs" / f"sanity-{workplace.name.lstrip('.')}.log"
        environment = _environment(workplace, home, pythons)
        workplace.run_logged(*command, log=log, show=WORTH_SHOWING, cwd=copy, env=environment)
    return f"{count} files"


def _copy(destination: Path) -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    names = [
        name
        for name in listed
        if (name.startswith(BUT_ITS_OWN) or not name.startswith(NOT_SHIPPED)) and (CHECKOUT / name).is_file()
    ]
    for name in names:
        (destination / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, destination / name)
    # ansible-test asks git which files there are.
    subprocess.run(["git", "init", "--quiet"], cwd=destination, check=True)
    return len(names)


def _home(workplace: Workplace) -> Path:
    """A home folder for ansible-test: its environments outlive the run, its get-pip is nobody else's."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "autoglm-recovery/ansible-test"
    home.mkdir(parents=True, exist_ok=True)
    if (Path.home() / ".config").is_dir() and not (home / ".config").exists():
        (home / ".config").symlink_to(Path.home() / ".config")  # pip's configuration is there
    for version in _pip_versions(workplace):
        script = home / ".ansible/test/cache" / f"get_pip_{version.replace('.', '_')}.py"
        if not script.exists():
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(GET_PIP, encoding="utf-8")
    return home


def _pip_versions(workplace: Workplace) -> list[str]:
    """The versions of pip that this ansible-test asks for; they are part of the script's name."""
    source = "from ansible_test._internal import python_requirements as r; print(open(r.__file__).read())"
    return re.findall(r"\bpip='([\d.]+)'", workplace.read(workplace.python, "-c", source))


def _environment(workplace: Workplace, home: Path, pythons: list[interpreters.Interpreter]) -> dict[str, str]:
    """Real interpreters instead of pyenv's shims, which ansible-test would find and which would not start."""
    environment = workplace.environment(HOME=str(home))
    folders = [folder for folder in environment["PATH"].split(os.pathsep) if Path(folder).name != "shims"]
    found = [str(each.path.parent) for each in reversed(pythons)]
    environment["PATH"] = os.pathsep.join(dict.fromkeys([folders[0], *found, *folders[1:]]))
    return environment
