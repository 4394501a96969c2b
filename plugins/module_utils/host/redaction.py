# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redaction of secrets from evidence before it is written. Pure; in doubt it redacts, and marks each place.

Evidence is copied and read by people who must not get the fleet's keys. A secret is recognised by the name before it
(HF_TOKEN=, --api-key, "password":), by its form (Bearer, hf_..., a private key, user:password@ in a URL), or by its
value where the caller knows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import Match
from typing import Any

MARK = "[redacted]"

# Words that make a name a secret's anywhere in it, also inside another word (PGPASSWORD).
_STRONG = re.compile(r"secret|passw|passphrase|credential|api_?key|access_?key|private_?key|bearer|authorization")
# Words that do so only as a whole word; "tokens" and "keyboard" do not match.
_WEAK = frozenset(("token", "key", "pwd", "pass", "auth", "cookie", "dsn", "signature", "session", "jwt", "sas"))
# A name with such an ending holds the place of a secret, not the secret.
_PLACES = frozenset(("file", "path", "dir", "keyfile"))
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# A value's least length where a weak word and blanks around the sign leave a doubt: "EOS token = 2" is none.
_DOUBTFUL_LENGTH = 6

_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]{0,200}"
_VALUE = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"?|'[^'\n]*'?|[^\s\"']+")
_QUOTED_ASSIGNMENT = re.compile(rf"(?P<open>[\"'])(?P<name>{_NAME})=(?P<value>(?:(?!(?P=open))[^\n])*)(?P=open)")
# These two end before the value: what is no secret's may hold another assignment (Environment=HF_TOKEN=x).
_ASSIGNMENT = re.compile(rf"(?<![A-Za-z0-9_.\-])(?P<name>{_NAME})(?P<sign>[\"']?[ \t]*[=:][ \t]*)")
_FLAG = re.compile(r"(?<!\S)(?P<name>--?[A-Za-z][\w\-]{0,200})(?P<sign>[ \t]+|=)")
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)([\"']?\s*[:=]\s*)[^\n]+")
_SCHEME = re.compile(r"(?i)\b(bearer|basic)([ \t]+)[A-Za-z0-9._~+/=:\-]{3,}")
# Up to the last @: a password may contain an unescaped slash or @.
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,30}://)[^\s\"'<>]{1,500}@")
# What signs an address: whoever has it has what it leads to. sig= of a shared access signature (Azure Storage), hmac=
# of Akamai's tokens (after a ~), sign= of Qiniu and others; the rest have "signature" in their names, which is known
# below unless the address stands in another one (%26, %3D). JSON of Go and of .NET writes & as \u0026. What stands
# behind it goes too, because nobody has to escape what this is part of.
_SIGNED = re.compile(
    r"(?i)((?:[?&;~]|\\u0026|%26|%3F)(?:sig|sign|hmac|[\w\-]{0,40}(?:signature|security-token))(?:=|%3D))[^\s\"'<>]{4,}"
)
# The same without its address. A signal's number (sig=11, in audit records) is none.
_SIGNED_ALONE = re.compile(r"(?i)(?<![\w.%\-])(sig=)[^\s\"'<>]{16,}")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[A-Za-z0-9+/=\s:,\-]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
)
_SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_\-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}"
    r"|xox[abprs]-[A-Za-z0-9\-]{10,}|AKIA[0-9A-Z]{16}|nvapi-[A-Za-z0-9_\-]{16,}|glpat-[A-Za-z0-9_\-]{16,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*)"
)


def is_secret_name(name: str, anywhere: bool = True) -> bool:
    """Whether a name is a secret's. anywhere: a weak word counts in every position, else only as the last word."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[-1] in _PLACES:
        return False
    if _STRONG.search("_".join(words)) or _STRONG.search(name.lower().replace("-", "_")):
        return True
    return any(word in _WEAK for word in (words if anywhere else words[-1:]))


def redact_text(text: str, known: Iterable[str] = ()) -> str:
    """Redact free text: logs, properties, configuration. known: values that are certainly secret."""
    for value in known:
        if value:
            text = text.replace(value, MARK)
    text = _PRIVATE_KEY.sub(MARK, text)
    text = _HEADER.sub(rf"\1\2{MARK}", text)
    text = _SCHEME.sub(rf"\1\2{MARK}", text)
    text = _USERINFO.sub(rf"\1{MARK}@", text)
    text = _SIGNED.sub(rf"\1{MARK}", text)
    text = _SIGNED_ALONE.sub(rf"\1{MARK}", text)
    text = _SHAPES.sub(MARK, text)
    text = _QUOTED_ASSIGNMENT.sub(_redact_assignment, text)
    text = _redact_values(text, _FLAG, anywhere=True)
    return _redact_values(text, _ASSIGNMENT, anywhere=False)


def redact_environment(block: bytes, known: Iterable[str] = ()) -> str:
    """Redact the block of /proc/PID/environ. Returns one variable a line, in the same order."""
    known = tuple(known)
    lines = []
    for entry in block.decode("utf-8", "replace").split("\0"):
        name, equals, value = entry.partition("=")
        if not entry:
            continue
        if not equals:
            lines.append(redact_text(entry, known))
        else:
            lines.append(f"{name}={MARK if is_secret_name(name) else redact_text(value, known)}")
    return "".join(f"{_one_line(line)}\n" for line in lines)


def redact_argv(argv: Sequence[str], known: Iterable[str] = ()) -> list[str]:
    """Redact a command line by its arguments. The argument after a secret's flag is always a secret."""
    known = tuple(known)
    clean: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, _value = argument.partition("=")
        if hide_next:
            clean.append(MARK)
            hide_next = False
        elif equals and is_secret_name(name):
            clean.append(f"{name}={MARK}")
        else:
            hide_next = argument.startswith("-") and not equals and is_secret_name(argument)
            clean.append(_one_line(redact_text(argument, known)))
    return clean


def redact_document(document: Any, known: Iterable[str] = (), name: str = "") -> Any:
    """Redact a JSON document: the values under a secret's name, and lists of words, which are taken for command lines.

    In the text of a JSON file a flag and its value are on two lines, so redact_text() would not connect them.
    """
    known = tuple(known)
    if isinstance(document, dict):
        return {
            redact_text(str(key), known): redact_document(value, known, str(key)) for key, value in document.items()
        }
    if isinstance(document, list):
        if document and all(isinstance(word, str) for word in document):
            return [MARK] * len(document) if name and is_secret_name(name) else redact_argv(document, known)
        return [redact_document(value, known, name) for value in document]
    if isinstance(document, str):
        return MARK if document and name and is_secret_name(name, anywhere=False) else redact_text(document, known)
    return document


def _redact_values(text: str, name_and_sign: re.Pattern[str], anywhere: bool) -> str:
    """Replace the values of secret names. Continues after a name that is none, and so reads each text once."""
    pieces, position = [], 0
    for_name = name_and_sign.search(text)
    while for_name is not None:
        end = for_name.end()
        pieces.append(text[position:end])
        # Only the value after a secret name is read: a value may be as long as the rest of the text.
        value = _VALUE.match(text, end) if is_secret_name(for_name["name"], anywhere) else None
        if value is not None and not _is_doubtful(for_name, value.group()):
            quote = value.group()[0] if value.group()[0] in "\"'" else ""
            pieces.append(f"{quote}{MARK}{quote}")
            end = value.end()
        position = end
        for_name = name_and_sign.search(text, position)
    return "".join([*pieces, text[position:]])


def _is_doubtful(match: Match[str], value: str) -> bool:
    """Whether a match is more likely a number than a secret, such as C(EOS token = 2)."""
    if match["name"].startswith("-") or match["sign"] in ("=", ":"):
        return False
    return len(value) < _DOUBTFUL_LENGTH and not _STRONG.search(match["name"].lower().replace("-", "_"))


def _redact_assignment(match: Match[str]) -> str:
    if not is_secret_name(match["name"]):
        return match.group()
    return f"{match['open']}{match['name']}={MARK}{match['open']}"


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r")
