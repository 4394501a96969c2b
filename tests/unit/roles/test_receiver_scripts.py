# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role receiver runs in a shell of the host: a database is put back whole or not, and others keep theirs."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest
import yaml

VARS = yaml.safe_load((Path(__file__).parents[3] / "roles/receiver/vars/main.yml").read_text())


def run(script: str, *words: Path | str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", VARS[script], "sh", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def database(path: Path, word: str) -> None:
    """Write an SQLite database with one word, which is in its log alone, as a killed receiver leaves it."""
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE words (word)")
    connection.execute("INSERT INTO words VALUES (?)", (word,))
    connection.commit()
    kept = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    connection.close()
    for name, what in kept.items():
        path.with_name(name).write_bytes(what)


def word_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("SELECT word FROM words").fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A state directory, what was saved of it, and where goes what stands there."""
    state, saved, failed = tmp_path / "state", tmp_path / "saved", tmp_path / "failed"
    database(state / "receiver.db", "new")
    database(saved / "receiver.db", "old")
    (state / "outputs").write_text("of a run")
    return state, saved, failed


def test_the_old_database_is_back_and_the_new_one_is_not_lost(places: tuple[Path, Path, Path]) -> None:
    state, _saved, failed = places
    failed.mkdir()
    (failed / "receiver.db-shm").write_text("of an earlier try")
    assert run("__receiver_restore_sqlite", *places).returncode == 0
    assert word_of(state / "receiver.db") == "old"
    assert not (failed / "receiver.db-shm").exists()
    assert word_of(failed / "receiver.db") == "new"
    assert sorted(path.name for path in state.iterdir() if "receiver.db" not in path.name) == ["outputs"]


def test_a_log_of_the_new_one_is_not_taken_for_one_of_the_old(places: tuple[Path, Path, Path]) -> None:
    state, saved, _failed = places
    word_of(saved / "receiver.db")  # whoever reads it last folds the log in
    assert not (saved / "receiver.db-wal").exists()
    assert run("__receiver_restore_sqlite", *places).returncode == 0
    assert not (state / "receiver.db-wal").exists()
    assert word_of(state / "receiver.db") == "old"


def test_where_there_is_none_any_more_the_old_one_is_back(places: tuple[Path, Path, Path]) -> None:
    state, _saved, _failed = places
    for path in state.glob("receiver.db*"):
        path.unlink()
    assert run("__receiver_restore_sqlite", *places).returncode == 0
    assert word_of(state / "receiver.db") == "old"


@pytest.mark.parametrize("gone", ["saved", "failed"])
def test_what_cannot_be_put_back_leaves_what_is_there(places: tuple[Path, Path, Path], gone: str) -> None:
    state, saved, failed = places
    if gone == "saved":
        for path in saved.iterdir():
            path.unlink()
    else:
        failed = failed / "nowhere/at/all"
    assert run("__receiver_restore_sqlite", state, saved, failed).returncode != 0
    assert word_of(state / "receiver.db") == "new"


def test_whose_a_folder_of_configuration_is(tmp_path: Path) -> None:
    folder = tmp_path / "receiver"

    def whose() -> str:
        return run("__receiver_whose_folder", folder).stdout.strip()

    assert whose() == "none"
    folder.mkdir()
    assert whose() == "none"
    (folder / "sshd_config").write_text("")
    assert whose() == str(folder)
    (folder / "serve.yaml").write_text("listen: 127.0.0.1:9470\n")
    assert whose() == "a receiver"
    (folder / "serve.yaml").write_text(VARS["__receiver_header"])
    assert whose() == "ours"


def test_what_a_run_that_died_has_kept_is_not_kept_again(tmp_path: Path) -> None:
    assert run("__receiver_left_by", tmp_path, "no-such.service").stdout == ""
    (tmp_path / ".whole").touch()
    assert run("__receiver_left_by", tmp_path, "no-such.service").stdout == "kept\n"
