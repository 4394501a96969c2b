# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that says who may come in is nobody else's to write, and a secret nobody else's to read."""

from __future__ import annotations

import os

import pytest

from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.file_modes import judge, judge_access_file, judge_directory

DIGEST = f"alertmanager sender sha256:{'0' * 64}\n"
HASH = "alice operator pbkdf2-sha256:600000:Zm9yIHRoZSBkb2NzIQ==:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
OPEN = "ci viewer a-token-in-the-open-of-16-characters\n"
CERTIFICATE = "robot operator cert:CN=deploy robot\n"


def file(tmp_path, mode: int, text: str = "x"):
    """Write a file with a mode."""
    path = tmp_path / "file"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o600, None),
        (0o400, None),
        (0o640, "its group may read it"),
        (0o604, "everybody on this machine may read it"),
        (0o644, "everybody on this machine may read it"),
        (0o620, "others than its owner may write it"),
        (0o602, "others than its owner may write it"),
        (0o666, "others than its owner may write it"),
    ],
)
def test_a_key_is_its_owners(tmp_path, mode, said):
    path = file(tmp_path, mode)
    if said is None:
        assert judge("TLS key", path, secret=True) is None
    elif mode == 0o640:
        assert said in judge("TLS key", path, secret=True)
    else:
        with pytest.raises(AuthError) as refused:
            judge("TLS key", path, secret=True)
        sentence = str(refused.value)
        assert f"TLS key {path} has mode {mode:04o}: {said}" in sentence
        assert f"chmod u=rw,go= {path}" in sentence


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (DIGEST, 0o644, None),
        (CERTIFICATE, 0o644, None),
        (DIGEST + HASH, 0o640, None),
        (DIGEST + HASH, 0o644, "hashes of passwords"),
        (DIGEST + OPEN, 0o600, None),
    ],
)
def test_an_access_file_that_readme_makes_is_taken(tmp_path, text, mode, said):
    told = judge_access_file(file(tmp_path, mode, text))
    assert told is None if said is None else said in told


@pytest.mark.parametrize(
    ("text", "mode"), [(DIGEST, 0o666), (DIGEST, 0o664), (DIGEST + OPEN, 0o644), ("a-token-of-an-operator\n", 0o604)]
)
def test_an_access_file_that_others_may_write_or_whose_tokens_they_may_read_is_refused(tmp_path, text, mode):
    with pytest.raises(AuthError, match="chmod"):
        judge_access_file(file(tmp_path, mode, text))


def test_what_is_not_there_is_told_by_who_reads_it(tmp_path):
    assert judge("TLS key", tmp_path / "none", secret=True) is None
    assert judge_access_file(tmp_path / "none") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_file_or_a_link_of_somebody_else_is_refused(tmp_path, through_a_link):
    path = file(tmp_path, 0o600)
    if through_a_link:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    os.chown(path, 12345, 12345, follow_symlinks=False)
    with pytest.raises(AuthError, match="of user 12345"):
        judge("session key", path, secret=True)


def test_a_state_directory_is_the_receivers_own(tmp_path, monkeypatch):
    judge_directory(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(
        AuthError, match=r"state directory .* is of user .*, and this receiver runs as 12345; run it as"
    ):
        judge_directory(tmp_path)
