# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of `make test` must tell the truth: what failed, how much passed, and which Pythons there are."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.tooling import interpreters
from tests.support.tooling.__main__ import BUDGETS, BY_NAME, LINTERS, QUICK, lint, steps_for
from tests.support.tooling.beside import Beside
from tests.support.tooling.report import MOST_RUN_ONCE_MORE, Report, Step
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# Each starts pytest anew.
pytestmark = pytest.mark.slow

HERE = Workplace("here", Path(sys.prefix))
BUDGET = math.inf
MAKEFILE = (CHECKOUT / "Makefile").read_text("utf-8")


def passes(_: Workplace) -> str:
    return "fine"


def fails(_: Workplace) -> str:
    raise StepFailedError("not fine")


def test_one_failure_makes_the_run_fail_and_the_rest_still_runs(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    for name, check in (("first", fails), ("second", passes)):
        report.run(Step(name, check, HERE, BUDGET))
    assert report.finish() == 1
    said = capsys.readouterr().out
    assert "not fine" in said
    assert "ok" in said.splitlines()[-3]
    assert said.splitlines()[-1].startswith("===== 1 failed in ")


@pytest.mark.parametrize(
    ("body", "code", "counts"),
    [
        ("def test_a(): pass\ndef test_b(): pass", 0, "2 passed"),
        ("def test_a(): pass\ndef test_b(): assert False", 1, "1 failed, 1 passed"),
        ("import pytest\ndef test_a(): pass\n@pytest.mark.skip\ndef test_b(): pass", 0, "1 passed, 1 skipped"),
        ("import not_there", 1, "1 error"),
        ("", 1, "1 failed"),  # no test ran, which is no success
    ],
)
def test_the_sum_is_what_pytest_counted(
    body: str, code: int, counts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_it.py").write_text(body)
    report = Report()
    report.run(Step("unit", report.pytest(str(tmp_path), "-p", "no:cacheprovider"), HERE, BUDGET))
    assert report.finish() == code
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"===== {counts} in ")


ONCE = """
import pathlib

def test_well(): pass

def test_held_up():
    seen = pathlib.Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError
"""


@pytest.mark.parametrize(
    ("body", "code", "counts", "told"),
    [
        (ONCE, 0, "2 passed", "1 failed, 1 passed"),
        (f"{ONCE}\ndef test_broken(): assert False", 1, "1 failed, 2 passed", "2 failed, 1 passed"),
    ],
)
def test_what_fails_is_run_once_more_by_itself_and_both_are_told(
    body: str, code: int, counts: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_it.py").write_text(body)
    report = Report()
    check = report.pytest(str(tmp_path), "-o", f"cache_dir={tmp_path / 'cache'}", once_more=True)
    report.run(Step("lab", check, HERE, BUDGET))
    assert report.finish() == code
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(f"===== {counts} in ")
    assert told in said[-3]
    assert "what failed, by itself: " in said[-3]


def test_where_many_fail_none_is_given_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = "".join(f"\ndef test_{n}(): assert False" for n in range(MOST_RUN_ONCE_MORE))
    (tmp_path / "test_it.py").write_text(f"{ONCE}{many}")
    report = Report()
    check = report.pytest(str(tmp_path), "-o", f"cache_dir={tmp_path / 'cache'}", once_more=True)
    report.run(Step("lab", check, HERE, BUDGET))
    assert report.finish() == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"===== {MOST_RUN_ONCE_MORE + 1} failed, 1 passed in ")


DRIVER = """
import sys
from pathlib import Path
from tests.support.tooling.beside import keep
from tests.support.tooling.report import Report, Step
from tests.support.tooling.workplace import StepFailedError, Workplace

def fails(_):
    print("it said why")
    raise StepFailedError("not fine")

report = Report()
for name in sys.argv[4:]:
    report.run(Step(name, {"good": lambda _: "fine", "bad": fails}[name], Workplace("here", Path(sys.prefix)), 100))
keep(report, Path(sys.argv[3]))
"""


def test_what_steps_beside_said_and_came_to_is_in_the_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report()
    with Beside(["good", "bad"], tmp_path, [sys.executable, "-c", DRIVER]) as beside:
        report.run(Step("waits", passes, HERE, BUDGET))
        beside.join(report)
    assert report.finish() == 1
    said = capsys.readouterr().out
    assert "it said why" in said
    verdicts = [line.split()[0] for line in said.splitlines() if " (here)  " in line]
    assert verdicts == ["ok", "ok", "FAILED"]
    assert said.splitlines()[-1].startswith("===== 1 failed in ")


def test_a_process_beside_that_dies_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with Beside([], tmp_path, [sys.executable, "-c", "raise SystemExit('no more memory')"]) as beside:
        beside.join(report)
    assert report.finish() == 1
    said = capsys.readouterr().out
    assert "no more memory" in said
    assert "their process exited with 1" in said


def test_nothing_is_left_beside_a_run_that_was_broken_off(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        Beside([], tmp_path, [sys.executable, "-c", "import time; time.sleep(3600)"]) as beside,
    ):
        raise KeyboardInterrupt
    assert beside.ended


def test_pythons_are_found_under_pyenv_and_shims_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    shims, version = tmp_path / ".pyenv/shims", tmp_path / ".pyenv/versions/3.99.0/bin"
    for folder, script in ((shims, "exit 127"), (version, "exit 0")):
        folder.mkdir(parents=True)
        for name in ("python3.98", "python3.99") if folder == shims else ("python3.99",):
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
    found = {str(each): each.path for each in interpreters.find(path=str(shims), home=tmp_path)}
    assert found["3.99"] == version / "python3.99"
    assert "3.98" not in found


def run_for(seconds: float, budget: float, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run a step that takes so long by a clock of its own."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def takes_long(_: Workplace) -> str:
        now[0] += seconds
        return "42 passed"

    report = Report()
    report.run(Step("unit", takes_long, HERE, budget))
    return report


def test_a_step_over_its_budget_is_named_and_has_not_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_for(130, 100, monkeypatch).finish() == 0
    said = capsys.readouterr().out.splitlines()
    (row,) = (line for line in said if line.startswith("  ok "))
    assert "130.0 s of  100 s  unit (here)  42 passed  over its budget by 30 s" in row
    assert any(line.startswith("Over its budget: unit (here). ") for line in said)


def test_a_step_within_its_budget_is_shown_with_both_times(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_for(99, 100, monkeypatch).finish() == 0
    said = capsys.readouterr().out
    assert " 99.0 s of  100 s  unit (here)  42 passed\n" in said
    assert "ver its budget" not in said


def test_every_pytest_run_shows_its_ten_slowest_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_it.py").write_text("import time\ndef test_a(): time.sleep(0.01)")
    report = Report()
    report.run(Step("unit", report.pytest(str(tmp_path), "-p", "no:cacheprovider"), HERE, BUDGET))
    assert "slowest 10 durations" in capsys.readouterr().out


def test_the_budgets_are_those_of_the_page() -> None:
    page = (CHECKOUT / "docs/testing.md").read_text("utf-8").partition("\n## How long it takes\n")[2]
    rows = re.findall(
        r"^\| ([\w-]+) \|(?: \d+)? \|(?: \d+)? \| (\d+) \|(?: \d+)? \|(?: \d+)? \|(?: (\d+))? \|$", page, re.MULTILINE
    )
    told = {step: int(budget) for step, budget, _ in rows}
    told |= {f"{step}-newest": int(budget) for step, _, budget in rows if budget}
    assert told == BUDGETS


class Grumbles(Workplace):
    """Its linters say their name; one of them complains."""

    def ask(self, *command: str, **_: object) -> subprocess.CompletedProcess[str]:
        name = Path(command[0]).name
        return subprocess.CompletedProcess(command, int(name == "yamllint"), f"{name} was here\n")


def test_all_linters_run_and_the_one_that_complains_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StepFailedError, match=r"^complained: yamllint$"):
        lint(Grumbles("here", Path(sys.prefix)))
    said = capsys.readouterr().out
    assert all(f"--- {name}\n{command[0]} was here\n" in said for name, command in LINTERS.items())


def test_what_another_step_of_the_run_lints_is_left_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StepFailedError, match=r"^complained: yamllint$"):
        lint(Grumbles("here", Path(sys.prefix)), besides={"ansible-lint"})
    assert "ansible-lint was here" not in capsys.readouterr().out
    assert "lint-plain" not in BY_NAME


def test_quick_is_lint_and_a_part_of_the_unit_tests_within_three_minutes() -> None:
    assert BUDGETS["lint"] + BUDGETS[QUICK] <= 180
    rule = re.search(r"^quick:.*\n\t@\$\(PYTHON\) -m tests\.support\.tooling (.+)$", MAKEFILE, re.MULTILINE)
    assert rule is not None
    assert rule[1].split() == ["lint", QUICK]
    assert set(rule[1].split()) <= set(steps_for(Report()))
