# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a file that a balancer reads and others edit too: whole or not at all, and nobody's change is lost.

The new content is written beside the file and renamed over it, with its mode, owner and extended attributes, so that a
killed edit leaves the old file and a reader never sees half of one. Just before that the file is read again: if
somebody who does not know our lock has changed it since, the edit begins anew from what they wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Callable

from .protocol import BalancerError

_TRIES = 10
_MAX_BYTES = 16 * 1024 * 1024


def read(path: str) -> bytes:
    """The content. Raises BalancerError."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        kind = "denied" if isinstance(error, PermissionError) else "unreachable"
        raise BalancerError(kind, f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise BalancerError("unreadable", f"{path} is larger than {_MAX_BYTES} bytes")
    return content


def edit(path: str, change: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
    """Replace the content by what C(change) makes of it; the old and the new. A link is followed, not replaced."""
    path = os.path.realpath(path)
    for _try in range(_TRIES):
        before = read(path)
        after = change(before)
        if after == before or replace(path, before, after):
            return before, after
    raise BalancerError("refused", f"{path} was changed by somebody else {_TRIES} times while it was edited")


def replace(path: str, before: bytes, after: bytes) -> bool:
    """Put C(after) in the place of C(before); False, and nothing is done, if the file holds something else by now."""
    folder, name = os.path.split(path)
    # Neither *.json nor *.conf finds this name, and the next edit takes away what a killed one left.
    unfinished = os.path.join(folder, f".{name}.autoglm")
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(unfinished)
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(after)
            _look_like(path, file.fileno())
            file.flush()
            os.fsync(file.fileno())
        if read(path) != before:
            os.unlink(unfinished)
            return False
        os.rename(unfinished, path)
        _sync(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        kind = "denied" if isinstance(error, PermissionError) else "refused"
        raise BalancerError(kind, f"{path} cannot be changed: {error.strerror}") from error
    return True


def _look_like(path: str, handle: int) -> None:
    """Owner, mode and attributes such as an SELinux label: the balancer must still be able to read it."""
    model = os.stat(path)
    now = os.fstat(handle)
    if (model.st_uid, model.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(handle, model.st_uid, model.st_gid)
    os.fchmod(handle, model.st_mode & 0o7777)
    for name in os.listxattr(path):
        with contextlib.suppress(OSError):
            os.setxattr(handle, name, os.getxattr(path, name))


def _sync(folder: str) -> None:
    handle = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parse(path: str, content: bytes) -> Any:
    """The document in a JSON or, by its name, a YAML file. Raises BalancerError."""
    try:
        if not is_yaml(path):
            return json.loads(content)
        return _yaml(path).safe_load(content)
    except BalancerError:
        raise
    except Exception as error:  # pylint: disable=broad-except  # YAML's errors are of a library we may lack
        words = " ".join(str(error).split())[:300]
        raise BalancerError("unreadable", f"{path} is not {'YAML' if is_yaml(path) else 'JSON'}: {words}") from error


def render(path: str, document: Any, before: bytes) -> bytes:
    """The content of a file for a document, in the form that the file had."""
    if not is_yaml(path):
        indent = 2 if b"\n" in before.strip() else None
        return json.dumps(document, indent=indent, ensure_ascii=False).encode() + b"\n"
    head, inner = _comments(before.decode("utf-8", "replace"))
    if inner:
        raise BalancerError(
            "refused",
            f"{path} has comments in line {inner}, which rewriting would lose: move them to its head, or use JSON",
        )
    text: str = _yaml(path).safe_dump(document, sort_keys=False, allow_unicode=True)
    return (head + text).encode()


def is_yaml(path: str) -> bool:
    return path.endswith((".yml", ".yaml"))


def _comments(text: str) -> tuple[str, int]:
    """The comment at the head of a YAML file, which is kept, and the line of the first one elsewhere, 0 for none."""
    lines = text.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith(("#", "---"))), len(lines))
    for number, line in enumerate(lines[first:], first + 1):
        if line.lstrip().startswith("#") or " #" in line:
            return "", number
    return "".join(lines[:first]), 0


def _yaml(path: str) -> Any:
    try:
        import yaml  # noqa: PLC0415  # only those who have such a file need it
    except ImportError as error:
        raise BalancerError("refused", f"{path} is YAML, which needs PyYAML on this host; JSON does not") from error
    return yaml
