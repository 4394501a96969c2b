# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers of an upstream in an nginx configuration, found and edited in place.

Only the parameters C(down), C(weight=) and C(max_conns=) of one C(server) are ever changed: comments, order and
spelling stay.
Syntax: https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..host.numbers import whole_number

# Comment, quoted word, word (in which ${name} is a variable), or one of ; { }.
_PART = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\\.|\$\{[^{}\s]*\}|[^\s;{}"'])+""", re.S)
# Inside a block of Lua: comments, strings and braces of that language.
_LUA = re.compile(r"""--\[\[.*?\]\]|--[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\[\[.*?\]\]|[{}]""", re.S)
_DUMPED = re.compile(r"^# configuration file (?P<path>.+):$", re.M)
_DEFAULT_PORT = "80"


class SyntaxProblem(Exception):
    """The text is not what nginx would read."""


@dataclass(frozen=True)
class ConfWord:
    """A word and where it stands."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class ServerDirective:
    """One C(server) directive of an upstream: its address and its parameters."""

    words: tuple[ConfWord, ...]

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
        given = self._number("weight=")
        return 1 if given is None else given

    @property
    def max_conns(self) -> int | None:
        """None for no limit, which 0 means too."""
        return self._number("max_conns=") or None

    def _number(self, parameter: str) -> int | None:
        texts = [word.text[len(parameter) :] for word in self.words[2:] if word.text.startswith(parameter)]
        return whole_number(texts[-1]) if texts else None


def servers(text: str, upstream: str) -> list[ServerDirective]:
    """The servers of an upstream of the text. A text without any C(upstream) block is one that a block includes."""
    named = upstreams(text)
    return named.get("", []) if set(named) <= {""} else named.get(upstream, [])


def upstreams(text: str) -> dict[str, list[ServerDirective]]:
    """Name -> servers of every upstream. The empty name has those outside of any block, as in an included file."""
    found: dict[str, list[ServerDirective]] = {}
    for path, words in _simple_directives(text):
        if path and not path[-1].startswith("upstream "):
            continue
        name = path[-1].partition(" ")[2] if path else ""
        if path:
            found.setdefault(name, [])
        if words[0].text == "server" and len(words) > 1:
            found.setdefault(name, []).append(ServerDirective(words))
    return found


def dumped(text: str) -> dict[str, str]:
    """Path -> content, of what C(nginx -T) prints: every file that nginx reads."""
    starts = list(_DUMPED.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return {start["path"]: text[start.end() + 1 : end] for start, end in zip(starts, ends)}


def canonical(address: str) -> str:
    """One spelling for equal addresses: with nginx's default port, and one name for this host."""
    if address.startswith("unix:"):
        return address
    host, colon, port = address.rpartition(":")
    if not colon or whole_number(port) is None or host.endswith(":"):
        host, port = address, _DEFAULT_PORT
    return f"{'127.0.0.1' if host == 'localhost' else host.lower()}:{port}"


def set_all_down(text: str, address: str, down: bool) -> str:
    """The text with an address marked down or not, in every upstream of it."""
    listed = [server for found in upstreams(text).values() for server in found]
    same = [server for server in listed if canonical(server.address) == canonical(address)]
    for server in sorted(same, key=lambda each: each.words[0].start, reverse=True):
        text = set_down(text, server, down)
    return text


def set_down(text: str, server: ServerDirective, down: bool) -> str:
    """The text with the server marked down or not."""
    if server.down == down:
        return text
    if down:
        at = server.words[-1].end
        return f"{text[:at]} down{text[at:]}"
    for word in reversed([word for word in server.words[2:] if word.text == "down"]):
        text = _without_word(text, word)
    return text


def set_weight(text: str, server: ServerDirective, weight: int) -> str:
    """The text with another weight."""
    return _with_parameter(text, server, "weight=", weight)


def set_max_conns(text: str, server: ServerDirective, limit: int | None) -> str:
    """The text with another limit of connections, or without one."""
    if limit is not None:
        return _with_parameter(text, server, "max_conns=", limit)
    for word in reversed([word for word in server.words[2:] if word.text.startswith("max_conns=")]):
        text = _without_word(text, word)
    return text


def _with_parameter(text: str, server: ServerDirective, parameter: str, value: int) -> str:
    given = [word for word in server.words[2:] if word.text.startswith(parameter)]
    if given:
        return f"{text[: given[-1].start]}{parameter}{value}{text[given[-1].end :]}"
    at = server.words[1].end
    return f"{text[:at]} {parameter}{value}{text[at:]}"


def _without_word(text: str, word: ConfWord) -> str:
    """The text without a word and the blanks before it."""
    start = word.start
    while start and text[start - 1] in " \t":
        start -= 1
    return text[:start] + text[word.end :]


def _simple_directives(text: str) -> Iterator[tuple[tuple[str, ...], tuple[ConfWord, ...]]]:
    """Each simple directive: (names of the blocks around it, its words)."""
    path: list[str] = []
    words: list[ConfWord] = []
    for part in _conf_words(text):
        if part.text == "{":
            path.append(" ".join(word.text for word in words))
            words = []
        elif part.text == "}":
            if not path or words:
                raise SyntaxProblem(f"unexpected }} in line {text.count(chr(10), 0, part.start) + 1}")
            path.pop()
        elif part.text == ";":
            if words:
                yield tuple(path), tuple(words)
            words = []
        else:
            words.append(ConfWord(part.text.strip("\"'"), part.start, part.end))
    if path or words:
        raise SyntaxProblem("the file ends in the middle of a directive or block")


def _conf_words(text: str) -> Iterator[ConfWord]:
    """The words as they are spelt, without comments and without what stands in blocks of Lua."""
    at, lua = 0, False
    while True:
        match = _PART.search(text, at)
        if match is None:
            return
        at, part = match.end(), match.group()
        if part.startswith("#"):
            continue
        yield ConfWord(part, match.start(), match.end())
        if part == "{" and lua:
            at = _end_of_lua(text, at)
        lua = part.endswith("_by_lua_block") or (lua and part not in ("{", "}", ";"))


def _end_of_lua(text: str, at: int) -> int:
    """The position of the brace that ends the block of Lua around this position."""
    depth = 1
    for match in _LUA.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if not depth:
            return match.start()
    raise SyntaxProblem("the file ends in the middle of a block of Lua")
