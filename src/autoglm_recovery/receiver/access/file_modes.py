# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the files are that say who may come in, and who else may read or write them: judged at start, as ssh does."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from autoglm_recovery.receiver.access.entries import AuthError, holds_open_token


def judge(what: str, path: Path, *, secret: bool) -> str | None:
    """Return what a person should know about a file, or None.  One that is not there is for whoever reads it.

    ``secret``: nobody but its owner and its group is to read it.

    Raises AuthError if somebody else owns it, may write it, or may read a secret; says what to do.
    """
    try:
        found, named = path.stat(), path.lstat()
    except OSError:
        return None
    for who in (named.st_uid, found.st_uid):
        if who not in (0, os.geteuid()):
            raise AuthError(
                f"{what} {path} is of user {_user(who)}, who can change it at any time; only root and"
                f" {_user(os.geteuid())} may own it: chown {_user(os.geteuid())} {path}"
            )
    mode = stat.S_IMODE(found.st_mode)
    mend = f"chmod {'u=rw,go=' if secret else 'go-w'} {path}"
    if mode & 0o022:
        raise AuthError(f"{what} {path} has mode {mode:04o}: others than its owner may write it; {mend}")
    if secret and mode & 0o004:
        raise AuthError(f"{what} {path} has mode {mode:04o}: everybody on this machine may read it; {mend}")
    # A file of root's that a service reads has no other way than its group.
    if secret and mode & 0o040 and found.st_uid == os.geteuid():
        return f"{what} {path} has mode {mode:04o}: its group may read it; {mend}, unless that is meant"
    return None


def judge_access_file(path: Path) -> str | None:
    """Return what a person should know about an access file, or None.

    Digests of tokens are no use to who reads them; tokens in the open are, and hashes of passwords can be guessed at.

    Raises AuthError as ``judge``.
    """
    try:
        text, mode = path.read_text("ascii", "replace"), path.stat().st_mode
    except OSError:
        return None
    told = judge("access file", path, secret=holds_open_token(text))
    if told is None and "pbkdf2" in text and mode & 0o004:
        return f"access file {path}: everybody on this machine may read its hashes of passwords; chmod o= {path}"
    return told


def judge_directory(path: Path) -> None:
    """Refuse a state directory of somebody else's: what is in it decides who comes in and what was done.

    Raises AuthError, which says whose it is, and what to do.
    """
    ours = os.geteuid()
    owner = path.stat().st_uid if path.stat().st_uid != ours else path.lstat().st_uid
    if path.stat().st_uid != ours or owner not in (0, ours):
        raise AuthError(
            f"state directory {path} is of user {_user(owner)}, and this receiver runs as {_user(ours)}; run it as"
            f" {_user(owner)}, give another --state-dir, or: chown -R {_user(ours)} {path}"
        )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
