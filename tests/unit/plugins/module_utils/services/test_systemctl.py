# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of units, and the answers of systemctl show."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import systemctl


@pytest.mark.parametrize(
    ("given", "full"),
    [("a", "a.service"), ("a@1.service", "a@1.service"), ("x-y.scope", "x-y.scope"), (r"a\x2db", r"a\x2db.service")],
)
def test_unit_names(given: str, full: str) -> None:
    assert systemctl.unit_name(given) == full


@pytest.mark.parametrize("name", ["", "-a", "--all", "a b", "a/b", "../a", "a*", "a\n", "a;b", "$(x)", "a" * 300])
def test_what_is_no_unit_name(name: str) -> None:
    with pytest.raises(ValueError, match="systemd unit"):
        systemctl.unit_name(name)


def test_repeated_and_odd_lines() -> None:
    shown = systemctl.parse_show("A=1\nExecStart={ path=/a ; }\nExecStart={ path=/b/c ; }\nnoise\nE=x=y\nF=\n")
    assert shown == {"A": "1", "ExecStart": "{ path=/a ; }\n{ path=/b/c ; }", "E": "x=y", "F": ""}
    assert systemctl.program_names(shown) == ("a", "c")


@pytest.mark.parametrize(
    ("code", "status", "killed", "told"),
    [
        ("2", "9", True, "its main process was ended by signal 9"),
        ("1", "137", True, "its main process exited with status 137"),
        ("1", "0", False, "its main process exited with status 0"),
        ("3", "11", False, "its main process was ended by signal 11"),
        ("0", "0", False, ""),
    ],
)
def test_how_it_ended(code: str, status: str, killed: bool, told: str) -> None:
    shown = {"ExecMainCode": code, "ExecMainStatus": status}
    assert systemctl.last_end(shown).by_sigkill is killed
    assert systemctl.last_end(shown).text == told


@pytest.mark.parametrize(("pid", "found"), [("7", 7), ("0", None), ("", None), ("x", None)])
def test_main_pid(pid: str, found: int | None) -> None:
    assert systemctl.main_pid({"MainPID": pid}) == found
