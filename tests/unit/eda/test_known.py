# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filter judges by is read once, read again after a while, and kept where it has become bad."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.eda import known
from autoglm_recovery.eda.known import FilterError, known_config
from autoglm_recovery.policy import PolicyError
from autoglm_recovery.receiver.fleet.fleet import InventoryError


class Read:
    """A config that counts how often it was read, in place of the files."""

    wrong: str | None = None
    given: tuple[Path | None, Path]

    def __init__(self, policy: Path | None, inventory: Path) -> None:
        type(self).given = (policy, inventory)
        if self.wrong:
            raise InventoryError(self.wrong)
        self.now = 1

    def read_again(self) -> str | None:
        if not self.wrong:
            self.now += 1
        return self.wrong


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> type[Read]:
    """Nothing read yet."""
    fresh: Any = type("Fresh", (Read,), {})
    monkeypatch.setattr(known, "CurrentConfig", fresh)
    monkeypatch.setattr(known, "_known", {})
    for name in (known.INVENTORY, known.POLICY):
        monkeypatch.delenv(name, raising=False)
    return fresh


@pytest.mark.usefixtures("read")
def test_it_is_read_once_and_again_after_a_while() -> None:
    assert [known_config("i", None, 3600) for _ in range(3)] == [1, 1, 1]
    assert [known_config("i", None, 0) for _ in range(2)] == [2, 3]
    assert known_config("other", None, 3600) == 1


def test_what_has_become_bad_is_told_and_changes_nothing(read: type[Read], caplog: pytest.LogCaptureFixture) -> None:
    known_config("i", None, 3600)
    read.wrong = "line 3 is no YAML"
    with caplog.at_level(logging.WARNING):
        assert known_config("i", None, 0) == 1
    assert "line 3 is no YAML" in caplog.text


def test_what_was_bad_from_the_beginning_is_an_error_until_it_is_good(read: type[Read]) -> None:
    read.wrong = "line 3 is no YAML"
    for _ in range(2):
        with pytest.raises(FilterError, match="line 3 is no YAML"):
            known_config("i", None, 3600)
    read.wrong = None
    assert known_config("i", None, 3600) == 1


def test_the_environment_says_what_the_rulebook_does_not(read: type[Read], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FilterError, match="give the option inventory, or set AUTOGLM_INVENTORY"):
        known_config(None, None, 3600)
    monkeypatch.setenv(known.INVENTORY, "/from/environment")
    monkeypatch.setenv(known.POLICY, "/policy")
    known_config(None, None, 3600)
    assert read.given == (Path("/policy"), Path("/from/environment"))
    known_config("/inventory", "/other", 3600)
    assert read.given == (Path("/other"), Path("/inventory"))


def test_a_policy_that_cannot_be_used_is_told_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("recovery: {strategy: {}}")
    with pytest.raises(FilterError, match="strategies") as caught:
        known_config(str(tmp_path / "inventory.yml"), str(tmp_path / "policy.yaml"), 3600)
    assert isinstance(caught.value.__cause__, PolicyError)
