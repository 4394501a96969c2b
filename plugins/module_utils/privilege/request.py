# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request that Ansible sends through sudo, read as data: none of it is ever run.

Ansible (ansible-core 2.19 to 2.21) has sudo start a shell that prints a word and starts Python with a file, which holds
a module, all that the module imports, and its options. Only three lines of that file are read, each one quoted text:
the module's name, its options, and the archive, which is compared with our own.
"""

from __future__ import annotations

import ast
import base64
import binascii
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..host import paths

MOST_BYTES = 8 * 2**20
_MOST_UNPACKED = 64 * 2**20
# Other methods can expand an archive of a few bytes to gigabytes.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# sudo's own options, which Ansible gives to any program that it takes for sudo, before the shell.
_IGNORED = frozenset(("-H", "-S", "-n", "-u", "root"))
_LINE = re.compile(
    r"echo (?P<word>BECOME-SUCCESS-[a-z]{1,64}) ; /usr/bin/python3(?:\.\d+)?"
    r"(?: (?P<file>(?P<folder>/[A-Za-z0-9._/-]{1,512})/AnsiballZ_[a-z0-9_]{1,64}\.py))?"
)
_ESCAPE = re.compile(r"\\.")
_BEGIN = "    _ansiballz_main(\n"


class GateRefused(Exception):
    """The gate does not accept the request; the text says why."""


@dataclass(frozen=True)
class GateArguments:
    """The arguments of the command line."""

    word: str  # Ansible waits for it before it sends anything
    file: str | None  # None: the module comes on standard input


@dataclass(frozen=True)
class GateRequest:
    """The contents of the file."""

    module: str
    options: Mapping[str, Any]  # Ansible's own among them, with names that begin with _ansible_
    archive: bytes
    profile: str


def asked(arguments: Sequence[str]) -> GateArguments:
    """Parse the command line. Raises GateRefused for anything but the start of one module."""
    words = list(arguments)
    while words and words[0] in _IGNORED:
        del words[0]
    line = _LINE.fullmatch(words[2]) if len(words) == 3 and words[:2] == ["/bin/sh", "-c"] else None
    if line is None or "/../" in f"{line['folder']}/" or "/./" in f"{line['folder']}/":
        raise GateRefused("only modules are run as root, and this is no start of one as Ansible has it")
    return GateArguments(line["word"], line["file"])


def sent(file: str, owner: int) -> str:
    """Return the text of a file that the controller sent.

    C(owner): the calling user, who must own the file: root reads no other user's file on request.
    Raises GateRefused if it is no such file.
    """
    try:
        descriptor = paths.open_file(file)
    except OSError as error:
        raise GateRefused(f"the file that was sent cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as opened:
        if os.fstat(descriptor).st_uid != owner:
            raise GateRefused("the file that was sent is not one that the asking user has made")
        return text_of(opened.read)


def text_of(read: Callable[[int], bytes]) -> str:
    """Read a module's file to its end, within bounds. Raises GateRefused if it is too long or no text."""
    held = read(MOST_BYTES + 1)
    if len(held) > MOST_BYTES:
        raise GateRefused(f"what was sent is longer than {MOST_BYTES // 2**20} MiB")
    try:
        return held.decode("utf-8")
    except UnicodeDecodeError:
        raise GateRefused("what was sent is no text") from None


def parse(text: str) -> GateRequest:
    """Find a module's name, options and archive. Raises GateRefused where they are not as ansible-core writes them."""
    begin, call = text.rpartition(_BEGIN)[1:]
    lines = dict(line[:-1].split("=", 1) for line in call.split("\n") if begin and line.endswith(",") and "=" in line)
    wanted = {}
    for name in ("module_fqn", "params", "profile", "zip_data"):
        if not _is_text(lines.get(name, "")):
            raise GateRefused("the module's file is not as ansible-core 2.19 to 2.21 writes it")
        wanted[name] = _unquote(lines[name])
    try:
        options = json.loads(wanted["params"])["ANSIBLE_MODULE_ARGS"]
        archive = base64.b64decode(wanted["zip_data"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise GateRefused("the module's options or its archive cannot be read") from None
    if not isinstance(options, dict):
        raise GateRefused("the module's options are no table")
    return GateRequest(wanted["module_fqn"], options, archive, wanted["profile"])


def _is_text(text: str) -> bool:
    """Whether this is one Python string literal.

    No single regular expression checks this: the engine would keep 150 bytes for each character that a group matches,
    which is a gigabyte of memory for the longest file allowed.
    """
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return False
    inner = _ESCAPE.sub("", text[1:-1])
    return not any(character in inner for character in (text[0], "\\", "\n"))


def _unquote(text: str) -> str:
    try:
        return str(ast.literal_eval(text))
    except (SyntaxError, ValueError, MemoryError):  # an invalid escape, a zero byte
        raise GateRefused("a text in the module's file cannot be read") from None


def differs(archive: bytes, ours: Callable[[str], bytes | None]) -> str | None:
    """The first file that differs between the controller's archive and the installed one, None where there is none.

    The controller's archive is never run: this only detects another release. The files C(__init__.py) are left out,
    since Ansible writes its own.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = [entry for entry in opened.infolist() if not entry.filename.endswith("__init__.py")]
            if any(entry.compress_type not in _PACKED for entry in entries):
                return "its archive, which is packed in another way than Ansible does"
            if sum(entry.file_size for entry in entries) > _MOST_UNPACKED:
                return "its archive, which is too large"
            for entry in entries:
                if opened.read(entry) != ours(entry.filename):
                    return entry.filename[:200]
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OSError, NotImplementedError, EOFError):
        return "its archive, which cannot be read"
    return None
