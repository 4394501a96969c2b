# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest fencing tokens that a target has seen, in files.

A run whose receiver was frozen, or cut off from its database, does not know that another one has taken over. The target
does, once the newer run has shown its higher token here (Kleppmann, "How to do distributed locking", 2016).

A token is the time at which its receiver's database gave it, in microseconds since 1970, or one more than the last one
where that is higher. So tokens grow over databases that were lost, restored or copied, and of two installations that
work on one host the run that was begun last is the newest, as long as no clock goes backwards; where one does, what
the host remembers is right, and the refusal lets the receiver go above it (C(Fenced.mark)).

Three files of digits say what a host has seen: one for a service, one for runs on the whole host, and one for the
highest of all services. Beside each a file C(.by) says whose token it is, so that two runs of different databases never
pass with the same one. The digits alone in a file are what release 0.1.0 wrote and reads.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..host import clocks, flock, paths, whole_file
from ..host.plain import plain

# Not kept over a reboot, which ends the connection of whoever was at work here. In memory, because a full disk must not
# keep a server down.
DEFAULT_DIRECTORY = "/run/autoglm/fence"

# What every reader of JSON holds exactly; the clock reaches it in the year 2255.
HIGHEST = 2**53 - 1
# Tokens below it were counted from 1 by release 0.1.0; those above it tell when they were given.
_FIRST_TIME = 10**12

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_TOKEN = re.compile(r"[0-9]{1,19}\n?\Z", re.ASCII)
_LONGEST_BY = 4096
_LONGEST_WORD = 100


class Fenced(Exception):
    """A newer run has been here: this one must not go on. C(mark) is the token that it has shown."""

    def __init__(self, message: str, mark: int) -> None:
        super().__init__(message)
        self.mark = mark


class MarkUnreadable(Exception):
    """The mark cannot be read or kept, so that nobody knows whether a newer run has been here."""


@dataclass(frozen=True)
class ShownToken:
    """What a run shows. run: its name over all installations, empty for one that has none; incident: for people.

    All are data from outside. service: None for an action on the whole host.
    """

    host: str
    service: str | None
    token: int
    run: str = ""
    incident: str = ""


@dataclass(frozen=True)
class _Mark:
    token: int
    path: Path
    run: str = ""
    incident: str = ""


def file_name(host: str, service: str | None) -> str:
    """Name the file of a target: whatever its names hold, one file of the directory, and another for each target."""
    told = _NOT_IN_A_NAME.sub("_", f"{host}_{service}" if service else host)[:40]
    # A host's name holds no line break, so that two targets are never spelled alike.
    target = "\n".join((host, service or "")).encode("utf-8", "surrogatepass")
    return f"{told}-{hashlib.sha256(target).hexdigest()[:16]}"


def show(directory: Path, shown: ShownToken, check_mode: bool = False) -> tuple[int | None, int]:
    """Show a token: return the highest one before, and now. In check mode nothing is written.

    A service's run and one on the whole host are refused by each other's newer tokens; runs of two services are not.

    Raises Fenced if a higher one was shown before, or the same one by another run.
    Raises MarkUnreadable if a mark cannot be read or written.
    """
    own = directory / file_name(shown.host, shown.service)
    host = directory / file_name(shown.host, None)
    services = directory / f"{host.name}.services"
    opposite = host if shown.service else services
    try:
        if check_mode:
            with contextlib.suppress(FileNotFoundError):
                paths.check_own(str(directory))
            return _judge([_read(own), _read(opposite)], shown), shown.token
        paths.check_own(str(directory), make=0o755)
        with _alone(directory / f"{host.name}.lock"):
            before = _judge([_read(own), _read(opposite)], shown)
            # The wider mark first: whoever is stopped between the two has refused too much, never too little.
            for path in (services, own) if shown.service else (own,):
                _raise(path, shown)
            return before, shown.token
    except OSError as error:
        raise MarkUnreadable(f"{error.filename or own}: {error.strerror}") from error


def _judge(marks: list[_Mark | None], shown: ShownToken) -> int | None:
    """The highest token before. The highest mark refuses: above that one the next run is above them all."""
    highest = max((mark for mark in marks if mark is not None), key=lambda mark: mark.token, default=None)
    if highest is None:
        return None
    equal = [mark for mark in marks if mark is not None and mark.token == shown.token]
    if shown.token < highest.token or any(_anothers(mark, shown) for mark in equal):
        raise Fenced(_refusal(highest, shown), highest.token)
    return highest.token


def _anothers(mark: _Mark, shown: ShownToken) -> bool:
    return bool(mark.run and shown.run and mark.run != shown.run)


def _refusal(mark: _Mark, shown: ShownToken) -> str:
    whose = f", shown by {mark.incident}" if mark.incident else ""
    return (
        f"a newer run has been here: its fencing token is {_told(mark.token)}{whose}, and this one's is "
        f"{_told(shown.token)} ({mark.path}). The receiver goes above it and tries again by itself. If it is refused "
        "again and again, another receiver works on this host too: stop one of them, or give each its own hosts. If "
        "none does, remove that file"
    )


def _told(token: int) -> str:
    if token < _FIRST_TIME:
        return str(token)
    return f"{token} (of {clocks.in_words(token / 1e6)})"


def _raise(path: Path, shown: ShownToken) -> None:
    mark = _read(path)
    # The highest of all services may be another one's.
    if mark is not None and (mark.token > shown.token or (mark.token == shown.token and mark.run == shown.run)):
        return
    by = {"token": shown.token, "run": _word(shown.run), "incident": _word(shown.incident)}
    # Whose it is comes first: what says so of another token than the mark's is nobody's.
    whole_file.write(path.with_name(f"{path.name}.by"), f"{json.dumps(by)}\n", 0o600)
    if mark is None or mark.token != shown.token:
        whole_file.write(path, f"{shown.token}\n", 0o600)


def _word(text: str) -> str:
    return plain(text)[:_LONGEST_WORD]


def _read(path: Path) -> _Mark | None:
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise MarkUnreadable(f"{path} holds no fencing token; look who wrote it, then remove it") from error
    if not _TOKEN.match(text) or int(text) > HIGHEST:
        raise MarkUnreadable(f"{path} holds no fencing token; look who wrote it, then remove it")
    return _by(path, int(text))


def _by(path: Path, token: int) -> _Mark:
    """Add whose token it is, where that is known."""
    try:
        with path.with_name(f"{path.name}.by").open(encoding="utf-8") as stream:
            by = json.loads(stream.read(_LONGEST_BY))
    except (FileNotFoundError, ValueError, RecursionError):
        return _Mark(token, path)
    if not isinstance(by, dict) or by.get("token") != token:
        return _Mark(token, path)
    return _Mark(token, path, _word(str(by.get("run", ""))), _word(str(by.get("incident", ""))))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    # No link is followed: this may run as root in a directory that somebody named.
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        flock.take(descriptor, fcntl.LOCK_EX, str(path))
        yield
    finally:
        os.close(descriptor)
