# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of an upstream in an nginx configuration, found and changed where they stand.

Nothing but the parameters C(down) and C(weight=) of one C(server) is ever touched: comments, order and spelling stay.
Syntax: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Comment, quoted word, word, or one of ; { }.
_PART = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\\.|[^\s;{}"'])+""", re.S)


class SyntaxProblem(Exception):
    """The text is not what nginx would read."""


@dataclass(frozen=True)
class Word:
    """A word and where it stands."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Server:
    """One C(server) directive of an upstream: its address and its parameters."""

    words: tuple[Word, ...]

    @property
    def address(self) -> str:
        return self.words[1].text

    @property
    def down(self) -> bool:
        return any(word.text == "down" for word in self.words[2:])

    @property
    def backup(self) -> bool:
        return any(word.text == "backup" for word in self.words[2:])

    @property
    def weight(self) -> int:
        """1 where it is not given, as nginx has it."""
        texts = [word.text[len("weight=") :] for word in self.words[2:] if word.text.startswith("weight=")]
        return int(texts[-1]) if texts and texts[-1].isdigit() else 1


def servers(text: str, upstream: str) -> list[Server]:
    """The servers of an upstream, or of the whole text where it holds no upstream but is included in one."""
    blocks: dict[str, list[Server]] = {}
    for path, words in _directives(text):
        if words[0].text == "server" and len(words) > 1:
            blocks.setdefault(path, []).append(Server(words))
    named = {path: found for path, found in blocks.items() if path}
    if named or re.search(r"^\s*upstream\s", text, re.M):
        return named.get(f"upstream {upstream}", [])
    return blocks.get("", [])


def set_down(text: str, server: Server, down: bool) -> str:
    """The text with the server marked or not."""
    if server.down == down:
        return text
    if down:
        at = server.words[-1].end
        return f"{text[:at]} down{text[at:]}"
    for word in reversed([word for word in server.words[2:] if word.text == "down"]):
        text = _without(text, word)
    return text


def set_weight(text: str, server: Server, weight: int) -> str:
    """The text with another weight."""
    given = [word for word in server.words[2:] if word.text.startswith("weight=")]
    if given:
        return f"{text[: given[-1].start]}weight={weight}{text[given[-1].end :]}"
    at = server.words[1].end
    return f"{text[:at]} weight={weight}{text[at:]}"


def _without(text: str, word: Word) -> str:
    """The text without a word and the blanks before it."""
    start = word.start
    while start and text[start - 1] in " \t":
        start -= 1
    return text[:start] + text[word.end :]


def _directives(text: str) -> Iterator[tuple[str, tuple[Word, ...]]]:
    """(the block it is in, its words) of each simple directive."""
    path: list[str] = []
    words: list[Word] = []
    for match in _PART.finditer(text):
        part = match.group()
        if part.startswith("#"):
            continue
        if part == "{":
            path.append(" ".join(word.text for word in words))
            words = []
        elif part == "}":
            if not path or words:
                raise SyntaxProblem(f"unexpected }} in line {text.count(chr(10), 0, match.start()) + 1}")
            path.pop()
        elif part == ";":
            if words:
                yield " / ".join(path), tuple(words)
            words = []
        else:
            words.append(Word(part.strip("\"'"), match.start(), match.end()))
    if path or words:
        raise SyntaxProblem("the file ends in the middle of a directive or block")
