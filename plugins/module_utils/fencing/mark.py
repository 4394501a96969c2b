# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest fencing token that a target has seen, in a file.

A run whose receiver was frozen, or cut off from its database, does not know that another one has taken over. The target
does, once the newer run has shown its higher token here (Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Not kept over a reboot: that ends the connection of whoever was at work here, and a receiver whose database was made
# anew begins its tokens again at 1.
DEFAULT_DIRECTORY = "/run/autoglm/fence"

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_TOKEN = re.compile(r"[0-9]{1,19}\n?\Z", re.ASCII)


class Fenced(Exception):
    """A newer run has been here: this one must not go on."""


class Unreadable(Exception):
    """The mark cannot be read or kept, so that nobody knows whether a newer run has been here."""


def file_name(host: str, service: str | None) -> str:
    """Name the file of a target: whatever its names hold, one file of the directory, and another for each target."""
    told = _NOT_IN_A_NAME.sub("_", f"{host}_{service}" if service else host)[:40]
    # A host's name holds no line break, so that two targets are never spelled alike.
    target = "\n".join((host, service or "")).encode("utf-8", "surrogatepass")
    return f"{told}-{hashlib.sha256(target).hexdigest()[:16]}"


def show(directory: Path, name: str, token: int, check_mode: bool = False) -> tuple[int | None, int]:
    """Show a token: return the highest one before, and now. In check mode nothing is written.

    :raises Fenced: if a higher one was shown before.
    :raises Unreadable: if the mark cannot be read or written.
    """
    path = directory / name
    try:
        if check_mode:
            return _judge(_read(path), token, path)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone(directory / f"{name}.lock"):
            before, now = _judge(_read(path), token, path)
            if before != now:
                _write(path, now)
            return before, now
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from error


def _judge(before: int | None, token: int, path: Path) -> tuple[int | None, int]:
    if before is not None and token < before:
        raise Fenced(
            f"a newer run has been here: its fencing token is {before} and this one's is {token} ({path}). If the "
            "receiver's database was made anew, remove that file"
        )
    return before, token


def _read(path: Path) -> int | None:
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} holds no fencing token; look who wrote it, then remove it") from error
    if not _TOKEN.match(text):
        raise Unreadable(f"{path} holds no fencing token; look who wrote it, then remove it")
    return int(text)


def _write(path: Path, token: int) -> None:
    """Write a token so that it is there whole or not at all."""
    descriptor, unfinished = tempfile.mkstemp(dir=str(path.parent), prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{token}\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    # No link is followed: this may run as root in a directory that somebody named.
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
