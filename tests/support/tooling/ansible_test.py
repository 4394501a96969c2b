# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-test needs: to be inside .../ansible_collections/autoglm/recovery, real interpreters, and a pip.

A checkout seldom is in such a folder, and ansible-test resolves links; so it gets a copy of what git would see. Left
out is what does not ship and has its own checks (ruff and mypy): the receiver and the tests of Python code.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.tooling import interpreters
from tests.support.tooling.workplace import CHECKOUT, Workplace

NOT_SHIPPED = (".ci/", ".github/", "bench/", "examples/", "src/", "tests/")
BUT_ITS_OWN = ("tests/config.yml", "tests/integration/targets/", "tests/sanity/")

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


def copy(destination: Path) -> int:
    """Copy what git sees and ansible-test should, and return how many files those are."""
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


def home(workplace: Workplace) -> Path:
    """A home folder for ansible-test: its environments outlive the run, its get-pip is nobody else's."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "autoglm-recovery/ansible-test"
    folder.mkdir(parents=True, exist_ok=True)
    if (Path.home() / ".config").is_dir() and not (folder / ".config").exists():
        (folder / ".config").symlink_to(Path.home() / ".config")  # pip's configuration is there
    for version in _pip_versions(workplace):
        script = folder / ".ansible/test/cache" / f"get_pip_{version.replace('.', '_')}.py"
        if not script.exists():
            script.parent.mkdir(parents=True, exist_ok=True)
            script.write_text(GET_PIP, encoding="utf-8")
    return folder


def _pip_versions(workplace: Workplace) -> list[str]:
    """The versions of pip that this ansible-test asks for; they are part of the script's name."""
    source = "from ansible_test._internal import python_requirements as r; print(open(r.__file__).read())"
    return re.findall(r"\bpip='([\d.]+)'", workplace.read(workplace.python, "-c", source))


def environment(workplace: Workplace, pythons: list[interpreters.Interpreter]) -> dict[str, str]:
    """Real interpreters instead of pyenv's shims, which ansible-test would find and which would not start."""
    variables = workplace.environment(HOME=str(home(workplace)))
    folders = [folder for folder in variables["PATH"].split(os.pathsep) if Path(folder).name != "shims"]
    found = [str(each.path.parent) for each in reversed(pythons)]
    variables["PATH"] = os.pathsep.join(dict.fromkeys([folders[0], *found, *folders[1:]]))
    return variables
