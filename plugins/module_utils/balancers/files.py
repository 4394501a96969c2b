# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic edits of a file that a balancer reads and other programs edit too, without losing their changes.

The new content is written beside the file and renamed over it, with the file's mode, owner and extended attributes. A
killed edit leaves the old file, and no reader sees a partial one. The file is read again just before the rename: if a
program that does not use our lock has changed it meanwhile, the edit starts again from the new content.

The file's directory may belong to the balancer's user. Every operation is relative to the opened directory, and links
that another user than root could have created are not followed.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Collection
from typing import Any, BinaryIO, Callable

from ..host import bounded_yaml, paths, whole_file
from ..host.libraries import MissingLibrary
from ..host.plain import one_line
from .protocol import BalancerError, Obstacle

_TRIES = 10
_MAX_BYTES = 16 * 1024 * 1024
# PyYAML takes seconds for a megabyte.
_MAX_YAML = 1024 * 1024


def real(path: str) -> str:
    """The path with root's links resolved. A path that cannot be resolved is returned as it is; read() then fails."""
    path = os.path.abspath(path)
    try:
        return paths.real(path)
    except OSError:
        return path


def declared(path: str, names: Collection[str]) -> str | None:
    """The real path of C(path) if it is one of the declared files or lies directly in a declared directory, else None.

    C(path) comes from a server and is not trusted. C(names) are real paths.
    """
    if not os.path.isabs(path):
        return None
    try:
        found = real(path)
    except ValueError:  # a name that no file can have
        return None
    return found if found in names or os.path.dirname(found) in names else None


def read(path: str) -> bytes:
    """The content. Raises BalancerError."""
    try:
        with os.fdopen(paths.open_file(path), "rb") as file:
            return _read_bounded(file, path)
    except OSError as error:
        kind = "denied" if isinstance(error, (PermissionError, paths.UnsafePath)) else "unreachable"
        raise BalancerError(kind, f"{path} cannot be read: {error.strerror}") from error


def _read_bounded(file: BinaryIO, path: str) -> bytes:
    content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise BalancerError("unreadable", f"{path} is larger than {_MAX_BYTES} bytes")
    return content


def edit(path: str, change: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
    """Replace the content by what C(change) makes of it. Returns old and new content. A link is followed."""
    path = real(path)
    for _try in range(_TRIES):
        before = read(path)
        after = change(before)
        if after == before or replace(path, before, after):
            return before, after
    raise BalancerError("refused", f"{path} was changed by somebody else {_TRIES} times while it was edited")


def replace(path: str, before: bytes, after: bytes) -> bool:
    """Replace C(before) by C(after). Returns False and changes nothing if the file does not hold C(before) any more."""
    try:
        directory = paths.open_directory(os.path.dirname(path))
        try:
            return _replace_in(directory, path, before, after)
        finally:
            os.close(directory)
    except OSError as error:
        kind = "denied" if isinstance(error, (PermissionError, paths.UnsafePath)) else "refused"
        raise BalancerError(kind, f"{path} cannot be changed: {error.strerror}") from error


def _replace_in(directory: int, path: str, before: bytes, after: bytes) -> bool:
    name = os.path.basename(path)
    # Patterns such as *.json and *.conf do not match this name, and the next edit removes a killed edit's file.
    unfinished = f".{name}.autoglm"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(unfinished, dir_fd=directory)
    with whole_file.draft(directory, name, path, unfinished=unfinished) as new:
        with os.fdopen(paths.open_at(directory, name, path), "rb") as model:
            new.file.write(after)
            _copy_attributes(model.fileno(), new.file.fileno())
        new.sync()
        with os.fdopen(paths.open_at(directory, name, path), "rb") as file:
            same = _read_bounded(file, path) == before
        if same:
            new.take_place()
            os.fsync(directory)
    return same


def _copy_attributes(model: int, handle: int) -> None:
    """Copy owner, mode and attributes such as an SELinux label, so that the balancer can still read the file."""
    wanted, now = os.fstat(model), os.fstat(handle)
    if (wanted.st_uid, wanted.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(handle, wanted.st_uid, wanted.st_gid)
    os.fchmod(handle, wanted.st_mode & 0o7777)
    for name in os.listxattr(model):
        with contextlib.suppress(OSError):
            os.setxattr(handle, name, os.getxattr(model, name))


def obstacles(path: str, document: bool = False) -> list[Obstacle]:
    """What would keep this user from replacing a file, found without writing.

    C(document): whether the file must also be parsed and rendered. Raises BalancerError where it cannot be read.
    """
    content = read(path)
    if document:
        render(path, parse(path, content), content)
    folder, name = os.path.split(path)
    user, found = os.geteuid(), []
    try:
        directory = paths.open_directory(folder)
        try:
            if not paths.may_change(directory):
                what = f"user {user} may not write in {folder}, where {name} is written anew and renamed into place"
                found.append(Obstacle(what, "let that user write in this directory, or let runs become root there"))
            with os.fdopen(paths.open_at(directory, name, path), "rb") as file:
                about, around = os.fstat(file.fileno()), os.fstat(directory)
        finally:
            os.close(directory)
    except OSError as error:
        return [Obstacle(f"{path} cannot be changed: {error.strerror}")]
    groups = {os.getegid(), *os.getgroups(), *([around.st_gid] if around.st_mode & stat.S_ISGID else [])}
    if user and (about.st_uid != user or about.st_gid not in groups):
        what = f"{path} is of user {about.st_uid} and group {about.st_gid}, which user {user} could not give a new file"
        found.append(Obstacle(what, "let runs become root there, or give the file to that user and a group of theirs"))
    return found


def parse(path: str, content: bytes) -> Any:
    """The document in a JSON or, by its name, a YAML file. Raises BalancerError and MissingLibrary."""
    if is_yaml(path) and len(content) > _MAX_YAML:
        raise BalancerError("unreadable", f"{path} is YAML and larger than {_MAX_YAML} bytes: use JSON")
    if is_yaml(path):
        _import_yaml(path)
    try:
        return bounded_yaml.load(content) if is_yaml(path) else json.loads(content)
    except Exception as error:  # pylint: disable=broad-except  # YAML's errors are of a library we may lack
        words = one_line(error, 300)
        raise BalancerError("unreadable", f"{path} is not {'YAML' if is_yaml(path) else 'JSON'}: {words}") from error


def render(path: str, document: Any, before: bytes) -> bytes:
    """The content of a file for a document, in the form that the file had."""
    if not is_yaml(path):
        indent = 2 if b"\n" in before.strip() else None
        return json.dumps(document, indent=indent, ensure_ascii=False).encode() + b"\n"
    head, inner = _split_comments(before.decode("utf-8", "replace"))
    if inner:
        raise BalancerError(
            "refused",
            f"{path} has comments in line {inner}, which rewriting would lose: move them to its head, or use JSON",
        )
    text: str = _import_yaml(path).safe_dump(document, sort_keys=False, allow_unicode=True)
    return (head + text).encode()


def is_yaml(path: str) -> bool:
    return path.endswith((".yml", ".yaml"))


def _split_comments(text: str) -> tuple[str, int]:
    """The comment at the head of a YAML file, and the line of the first later comment, 0 for none."""
    lines = text.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith(("#", "---"))), len(lines))
    for number, line in enumerate(lines[first:], first + 1):
        if line.lstrip().startswith("#") or " #" in line:
            return "", number
    return "".join(lines[:first]), 0


def _import_yaml(path: str) -> Any:
    try:
        import yaml  # noqa: PLC0415  # only those who have such a file need it
    except ImportError as error:
        raise MissingLibrary("PyYAML", f"for {path}, which is YAML; JSON needs nothing") from error
    return yaml
