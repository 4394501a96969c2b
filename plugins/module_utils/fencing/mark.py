# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest fencing tokens that a target has seen, in files.

A run whose receiver was frozen, or cut off from its database, does not know that another run has taken over. The target
knows it once the newer run has shown its higher token here (Kleppmann, "How to do distributed locking", 2016).

A token is the time at which the receiver's database issued it, in microseconds since 1970, or one more than the last
token where that is higher. So tokens grow even if a database is lost, restored or copied, and of two installations that
work on one host the run that began last is the newest. If a clock goes backwards, the host's mark wins, and the refusal
carries it so that the receiver can go above it (C(Fenced.mark)).

Three files of digits hold what a host has seen: one for a service, one for runs on the whole host, and one for the
highest of all services. Beside each a file C(.by) names the run that the token belongs to, so that two runs of
different databases never pass with the same token. Release 0.1.0 wrote and reads only the files of digits.
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

# Not kept over a reboot, which ends every run on this host. In memory, because a full disk must not prevent a repair.
DEFAULT_DIRECTORY = "/run/autoglm/fence"

# The largest integer that every JSON parser reads exactly; the clock reaches it in the year 2255.
HIGHEST = 2**53 - 1
# Release 0.1.0 counted tokens from 1; tokens above this are times.
_FIRST_TIME = 10**12

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_TOKEN = re.compile(r"[0-9]{1,19}\n?\Z", re.ASCII)
_LONGEST_BY = 4096
_LONGEST_WORD = 100


class Fenced(Exception):
    """A newer run has been here, so this run must stop. C(mark) is the token of the newer run."""

    def __init__(self, message: str, mark: int) -> None:
        super().__init__(message)
        self.mark = mark


class MarkUnreadable(Exception):
    """The mark cannot be read or written, so it is unknown whether a newer run has been here."""


@dataclass(frozen=True)
class ShownToken:
    """The token that a run shows, with its target. service: None for an action on the whole host.

    run: the run's key, unique over all installations, empty where there is none.  incident: for people. All fields come
    from outside.
    """

    host: str
    service: str | None
    token: int
    run: str = ""
    incident: str = ""


@dataclass(frozen=True)
class _StoredMark:
    token: int
    path: Path
    run: str = ""
    incident: str = ""


def file_name(host: str, service: str | None) -> str:
    """The file name of a target: safe for any names, and different for each target."""
    told = _NOT_IN_A_NAME.sub("_", f"{host}_{service}" if service else host)[:40]
    # A host's name has no line break, so two targets never give the same text.
    target = "\n".join((host, service or "")).encode("utf-8", "surrogatepass")
    return f"{told}-{hashlib.sha256(target).hexdigest()[:16]}"


def show(directory: Path, shown: ShownToken, check_mode: bool = False) -> tuple[int | None, int]:
    """Show a token. Returns the highest token before, and now. In check mode nothing is written.

    Newer tokens of a service's run and of a run on the whole host refuse each other; those of two services do not.

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
            return _check_marks([_read_mark(own), _read_mark(opposite)], shown), shown.token
        paths.check_own(str(directory), make=0o755)
        with _locked(directory / f"{host.name}.lock"):
            before = _check_marks([_read_mark(own), _read_mark(opposite)], shown)
            # The wider mark first: a run that is killed between the two writes leaves too strict a mark, never too lax.
            for path in (services, own) if shown.service else (own,):
                _raise_mark(path, shown)
            return before, shown.token
    except OSError as error:
        raise MarkUnreadable(f"{error.filename or own}: {error.strerror}") from error


def _check_marks(marks: list[_StoredMark | None], shown: ShownToken) -> int | None:
    """The highest token before. Raises Fenced with the highest mark, so that the next run can go above all of them."""
    highest = max((mark for mark in marks if mark is not None), key=lambda mark: mark.token, default=None)
    if highest is None:
        return None
    equal = [mark for mark in marks if mark is not None and mark.token == shown.token]
    if shown.token < highest.token or any(_is_of_another_run(mark, shown) for mark in equal):
        raise Fenced(_refusal(highest, shown), highest.token)
    return highest.token


def _is_of_another_run(mark: _StoredMark, shown: ShownToken) -> bool:
    return bool(mark.run and shown.run and mark.run != shown.run)


def _refusal(mark: _StoredMark, shown: ShownToken) -> str:
    whose = f", shown by {mark.incident}" if mark.incident else ""
    return (
        f"a newer run has been here: its fencing token is {_describe_token(mark.token)}{whose}, and this one's is "
        f"{_describe_token(shown.token)} ({mark.path}). The receiver goes above it and tries again by itself. If it is "
        "refused again and again, another receiver works on this host too: stop one of them, or give each its own "
        "hosts. If "
        "none does, remove that file"
    )


def _describe_token(token: int) -> str:
    if token < _FIRST_TIME:
        return str(token)
    return f"{token} (of {clocks.in_words(token / 1e6)})"


def _raise_mark(path: Path, shown: ShownToken) -> None:
    mark = _read_mark(path)
    # The highest token of all services may belong to another service.
    if mark is not None and (mark.token > shown.token or (mark.token == shown.token and mark.run == shown.run)):
        return
    by = {"token": shown.token, "run": _short_text(shown.run), "incident": _short_text(shown.incident)}
    # The owner is written first: a C(.by) file for another token than the mark's is ignored.
    whole_file.write(path.with_name(f"{path.name}.by"), f"{json.dumps(by)}\n", 0o600)
    if mark is None or mark.token != shown.token:
        whole_file.write(path, f"{shown.token}\n", 0o600)


def _short_text(text: str) -> str:
    return plain(text)[:_LONGEST_WORD]


def _read_mark(path: Path) -> _StoredMark | None:
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise MarkUnreadable(f"{path} holds no fencing token; look who wrote it, then remove it") from error
    if not _TOKEN.match(text) or int(text) > HIGHEST:
        raise MarkUnreadable(f"{path} holds no fencing token; look who wrote it, then remove it")
    return _with_owner(path, int(text))


def _with_owner(path: Path, token: int) -> _StoredMark:
    """The mark with its run and incident, where they are known."""
    try:
        with path.with_name(f"{path.name}.by").open(encoding="utf-8") as stream:
            by = json.loads(stream.read(_LONGEST_BY))
    except (FileNotFoundError, ValueError, RecursionError):
        return _StoredMark(token, path)
    if not isinstance(by, dict) or by.get("token") != token:
        return _StoredMark(token, path)
    return _StoredMark(token, path, _short_text(str(by.get("run", ""))), _short_text(str(by.get("incident", ""))))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # No link is followed: this may run as root in a directory that another user chose.
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        flock.take(descriptor, fcntl.LOCK_EX, str(path))
        yield
    finally:
        os.close(descriptor)
