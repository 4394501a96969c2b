# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose Python is too old is told so in one sentence, by every module, on every Python that can be found
here."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
from pathlib import Path

import pytest
from ansible.module_utils import basic
from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

from tests.lab.laboratory import environment
from tests.lab.places import CHECKOUT, PROGRAMS

MODULES = sorted((CHECKOUT / "plugins/modules").glob("*.py"))
NAMES = [path.stem for path in MODULES]
TOO_OLD = ("3.6", "3.7", "3.8")
SECONDS = 300


@functools.cache
def interpreter(version: str) -> str | None:
    """A Python of this version: on the path, or one of pyenv's."""
    places = [
        f"/usr/bin/python{version}",
        *sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))),
    ]
    for place in places:
        if Path(place).exists():
            return place
    return None


@pytest.fixture(params=TOO_OLD)
def old(request: pytest.FixtureRequest) -> str:
    found = interpreter(request.param)
    return found or pytest.skip(f"there is no Python {request.param} here")


@pytest.mark.parametrize(
    ("version", "enough"), [((3, 8, 18), False), ((2, 7, 18), False), ((3, 9, 0), True), ((4, 0), True)]
)
def test_which_is_enough(version: tuple[int, ...], enough: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if enough:
        minimum_python.check(version)
        assert capsys.readouterr().out == ""
        return
    with pytest.raises(SystemExit) as ended:
        minimum_python.check(version)
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1
    assert told["failed"]
    assert f"needs Python 3.9 or newer, this host has {version[0]}.{version[1]}" in told["msg"]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_nothing_is_imported_before_it_has_been_looked_at(path: Path) -> None:
    statements = [each for each in ast.parse(path.read_text()).body if not isinstance(each, ast.Assign)]
    assert ast.unparse(statements[0]).endswith("plugins.module_utils import minimum_python")
    assert ast.unparse(statements[1]) == "minimum_python.check()"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_says_so_on_a_real_python(old: str, path: Path, tmp_path: Path) -> None:
    """Without Ansible: the sentence comes before anything of it is needed."""
    (tmp_path / "ansible_collections/autoglm").mkdir(parents=True)
    (tmp_path / "ansible_collections/autoglm/recovery").symlink_to(CHECKOUT)
    script = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path({str(path)!r}, run_name='__main__')"
    )
    done = subprocess.run([old, "-c", script], capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert "needs Python 3.9 or newer, this host has 3." in json.loads(done.stdout)["msg"]


@pytest.mark.slow
def test_ansible_shows_the_sentence(tmp_path: Path) -> None:
    """Through ansible-playbook.  From 2.20 on ansible-core itself refuses a Python older than 3.9, before it runs a
    module, with a sentence of its own."""
    python = interpreter("3.8") or pytest.skip("there is no Python 3.8 here")
    sentence = "needs Python 3.9 or newer, this host has 3.8"
    if basic._PY_MIN > (3, 8):
        sentence = "requires Python 3.9 or newer on the target. Current version: 3.8"
    tasks = [{f"autoglm.recovery.{name}": {}, "ignore_errors": True} for name in NAMES]
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    command = [
        str(PROGRAMS / "ansible-playbook"),
        "-i",
        "here,",
        "-e",
        f"ansible_python_interpreter={python}",
        "play.yml",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment(), timeout=SECONDS
    )
    assert done.stdout.count(sentence) >= len(NAMES), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
