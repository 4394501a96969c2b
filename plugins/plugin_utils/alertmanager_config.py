# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our routes and our receiver in an Alertmanager configuration that is somebody else's. Pure.

The text is never written anew from what was parsed, which would lose its comments, quotes and order.  Lines between two
comments are put where the marks of PyYAML's parser say, and every other byte stays.  Then the whole is read again:
without our part it must hold what it held before, and without our lines it must be the text that it was.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from ansible_collections.autoglm.recovery.plugins.module_utils.host.bounded_yaml import loader

BEGIN = "# BEGIN autoglm.recovery"
END = "# END autoglm.recovery"
_WHOSE = f"{BEGIN}: these lines are of the role alertmanager_route, change its variables instead"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")

_MATCHERS = ("match", "match_re", "matchers")
_TRUE = frozenset(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"))
_NO_FOLDS = 2**31


class CannotEdit(ValueError):
    """The configuration cannot be edited without a doubt; the message says why, and what would do."""


class Ours(NamedTuple):
    """What is added: before the routes that are there, after them, and to the receivers."""

    first: list[dict[str, Any]]
    last: list[dict[str, Any]]
    receivers: list[dict[str, Any]]


class _Insertion(NamedTuple):
    at: int
    text: str


def without_ours(text: str) -> str:
    """Return the text as it was before ours was added. Raises CannotEdit."""
    kept: list[str] = []
    lines = iter(enumerate(_LINE.findall(text), start=1))
    for number, line in lines:
        before, begins, _rest = line.partition(BEGIN)
        if not begins:
            if END in line:
                raise _not_pairs(number)
            kept.append(line)
            continue
        end = _skip_to_end(number, lines)
        if not before.strip(" "):
            # What was added at the end of a text without a line break there began with one.
            if kept and not end.endswith("\n"):
                kept[-1] = kept[-1].rstrip("\r\n")
        elif before.endswith(("[ ", "{ ")):
            _number, after = next(lines, (number, ""))
            pad = end[: end.index(END)]
            if not after.startswith(pad):
                raise _not_pairs(number)
            kept.append(before[:-1] + after[len(pad) :])
        else:
            raise _not_pairs(number)
    return "".join(kept)


def _skip_to_end(number: int, lines: Iterator[tuple[int, str]]) -> str:
    """Pass over lines of ours up to the last one, and return that."""
    for _number, line in lines:
        if line.strip(" \r\n") == END:
            return line
        if BEGIN in line or END in line:
            break
    raise _not_pairs(number)


def _not_pairs(number: int) -> CannotEdit:
    return CannotEdit(f"the comments {BEGIN!r} and {END!r} are not pairs any more (line {number}): take them out")


def with_ours(
    text: str,
    routes: Sequence[Mapping[str, Any]],
    receiver: Mapping[str, Any],
    fallback: Sequence[Sequence[str]] = (),
) -> str:
    """Return the text with our receiver and, before all others, our routes. Raises CannotEdit.

    C(routes): each gets C(continue), so that the routes after it see its alerts as before.
    C(fallback): the matchers of each kind of alert that the default receiver gets as before where no route takes it.
    For Alertmanager a route that continues has taken an alert all the same.
    """
    before = without_ours(text)
    document = _read(before)
    ours = _ours(document, routes, receiver, fallback)
    root: yaml.MappingNode = yaml.compose(before, Loader=loader())  # type: ignore[assignment]
    after = before
    for insertion in sorted(_insertions(_Text(before), root, ours), reverse=True):
        after = after[: insertion.at] + insertion.text + after[insertion.at :]
    _prove(before, after, ours)
    return after


def _ours(
    document: Mapping[str, Any],
    routes: Sequence[Mapping[str, Any]],
    receiver: Mapping[str, Any],
    fallback: Sequence[Sequence[str]],
) -> Ours:
    """Decide what is added to a configuration."""
    theirs = document["route"].get("routes") or []
    nobody = f"{receiver['name']}_nobody"
    last = _last(theirs, fallback, nobody)
    receivers = [dict(receiver)] + ([{"name": nobody}] if any("routes" in route for route in last) else [])
    taken = {str(each.get("name")) for each in document["receivers"]} & {each["name"] for each in receivers}
    if taken:
        raise CannotEdit(
            f"it has a receiver {sorted(taken)[0]!r} already, which this role has not added: take that out, with its "
            "routes, or choose another alertmanager_route_receiver"
        )
    return Ours([{**route, "continue": True} for route in routes], last, receivers)


def _last(theirs: Sequence[Mapping[str, Any]], fallback: Sequence[Sequence[str]], nobody: str) -> list[dict[str, Any]]:
    """Return the routes by which the default receiver gets, grouped as before, what no route of theirs takes.

    One of theirs that continues lets it get there although it was taken; a route to nobody for each of them ends that.
    """
    if any(not any(route.get(key) for key in _MATCHERS) for route in theirs):
        return []  # it takes whatever gets there
    taken = [
        {"receiver": nobody, **{key: route[key] for key in _MATCHERS if route.get(key)}}
        for route in theirs
        if str(route.get("continue")) in _TRUE
    ]
    return [{"matchers": list(matchers), **({"routes": taken} if taken else {})} for matchers in fallback]


# --- reading ---------------------------------------------------------------------------------------------------------


@functools.cache
def _literally() -> Any:
    """Return a loader for which a scalar is what is written, as Alertmanager takes it for a text."""
    literally: Any = type("LiteralLoader", (loader(),), {})
    for kind in ("bool", "int", "float", "timestamp", "null", "binary"):
        literally.add_constructor(f"tag:yaml.org,2002:{kind}", lambda self, node: self.construct_scalar(node))
    return literally


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_literally())  # noqa: S506  # a safe one


def _read(text: str) -> dict[str, Any]:
    """Return a configuration that has what Alertmanager asks of one."""
    try:
        document = _load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise CannotEdit(f"it is not one YAML document: {_problem(error)}") from error
    if not isinstance(document, dict):
        raise CannotEdit("it is not a mapping with route and receivers")
    if not isinstance(document.get("route"), dict):
        raise CannotEdit("it has no route")
    for name, entries in (("receivers", document.get("receivers")), ("routes", document["route"].get("routes") or [])):
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise CannotEdit(f"its {name} are no list of mappings")
    return document


def _problem(error: Exception) -> str:
    """Say what is wrong and where, without the line itself, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return type(error).__name__
    return f"{getattr(error, 'problem', '')} (line {mark.line + 1})"


class _Text:
    """A text, and what PyYAML found where in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.line_break = "\r\n" if "\r\n" in text else "\n"
        tokens = yaml.scan(text, Loader=loader())
        # Others mark where something begins or ends, and have no text.
        self.tokens = [token for token in tokens if token.start_mark.index < token.end_mark.index]

    def first(self, kind: Any, at: int) -> Any:
        """Return the first token of a kind at a place or after it."""
        found = (token for token in self.tokens if isinstance(token, kind) and token.start_mark.index >= at)
        token = next(found, None)
        if token is None:
            raise CannotEdit("it is written in a way that this role does not know (tags)")
        return token

    def last_before(self, at: int) -> Any:
        """Return the last token that ends at a place or before it."""
        return [token for token in self.tokens if token.end_mark.index <= at][-1]

    def line_after(self, token: Any) -> int:
        """Return where the line after a token begins, or the end of the text."""
        end: int = token.end_mark.index
        if token.end_mark.column == 0:
            return end  # a block of text, whose last line break is its own
        found = self.text.find("\n", end)
        return len(self.text) if found < 0 else found + 1

    def lines(self, at: int, column: int, lines: Sequence[str]) -> _Insertion:
        """Return lines of ours that are put in at a place where a line begins."""
        text = self.line_break.join(" " * column + line for line in (_WHOSE, *lines, END))
        if at and self.text[at - 1] != "\n":
            return _Insertion(at, self.line_break + text)
        return _Insertion(at, text + self.line_break)

    def in_brackets(self, bracket: Any, column: int, lines: Sequence[str]) -> _Insertion:
        """Return the same after an opening bracket."""
        pad = self.line_break + " " * (column + 2)
        text = pad.join((_WHOSE, *(f"{line}," for line in lines), END))
        return _Insertion(bracket.end_mark.index, f" {text}{pad}")


def _value(mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return a key's own node and that of its value."""
    found = next((pair for pair in mapping.value if pair[0].value == key), None)
    if found and found[1].start_mark.index < found[0].end_mark.index:
        raise CannotEdit(f"{key} is an alias (*) of something above it: write it out")
    return found


# --- where -----------------------------------------------------------------------------------------------------------


def _insertions(text: _Text, root: yaml.MappingNode, ours: Ours) -> list[_Insertion]:
    """Work out what is put where."""
    if root.flow_style:
        raise CannotEdit("it is written within braces, as JSON is: write route: and receivers: on lines of their own")
    # Merge keys (<<) bring what has no place of its own.
    route, receivers = _value(root, "route"), _value(root, "receivers")
    if route is None or receivers is None or not isinstance(route[1], yaml.MappingNode):
        raise CannotEdit("route and receivers must be written out as keys of the document itself")
    routes = _value(route[1], "routes")
    if routes is None:
        return [_new_routes(text, route[1], ours), *_entries(text, *receivers, ours.receivers, [])]
    return [*_entries(text, *routes, ours.first, ours.last), *_entries(text, *receivers, ours.receivers, [])]


def _new_routes(text: _Text, route: yaml.MappingNode, ours: Ours) -> _Insertion:
    """Return a key `routes`, before the first one of the route."""
    added = {"routes": [*ours.first, *ours.last]}
    key = route.value[0][0]
    if route.flow_style:
        bracket = text.first(yaml.FlowMappingStartToken, route.start_mark.index)
        return text.in_brackets(bracket, route.start_mark.column, [_in_one_line(added)[1:-1]])
    return text.lines(text.line_after(text.last_before(key.start_mark.index)), key.start_mark.column, _in_lines(added))


def _entries(
    text: _Text, key: yaml.Node, entries: yaml.Node, first: list[dict[str, Any]], last: list[dict[str, Any]]
) -> list[_Insertion]:
    """Return entries before the first one of a list, and after the last one."""
    column = key.start_mark.column
    if isinstance(entries, yaml.ScalarNode):  # nothing
        colon = text.first(yaml.ValueToken, key.end_mark.index)
        return [text.lines(text.line_after(colon), column + 2, _in_lines([*first, *last]))]
    if not isinstance(entries, yaml.SequenceNode):
        raise CannotEdit(f"its {key.value} are no list of mappings")
    if entries.flow_style:
        if entries.value and last:
            raise CannotEdit(f"{key.value} are written within brackets: write each of them on a line of its own")
        bracket = text.first(yaml.FlowSequenceStartToken, entries.start_mark.index)
        return [text.in_brackets(bracket, column, [_in_one_line(each) for each in (*first, *last)])]
    dash = text.first(yaml.BlockEntryToken, entries.start_mark.index)
    column = dash.start_mark.column
    before = text.line_after(text.last_before(dash.start_mark.index))
    insertions = [text.lines(before, column, _in_lines(first))]
    if last:
        after = text.line_after(text.last_before(entries.end_mark.index))
        insertions.append(text.lines(after, column, _in_lines(last)))
    return insertions


class _WrittenOut(yaml.SafeDumper):
    """Names nothing by an anchor, which the text may have already."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's name
        """Write it out."""
        return True


def _in_lines(added: Any) -> list[str]:
    dumped: str = yaml.dump(added, Dumper=_WrittenOut, sort_keys=False, allow_unicode=True, width=_NO_FOLDS)
    return dumped.splitlines()


def _in_one_line(added: Any) -> str:
    return json.dumps(added, ensure_ascii=False)


# --- proof -----------------------------------------------------------------------------------------------------------


def _prove(before: str, after: str, ours: Ours) -> None:
    """Raise CannotEdit unless the new text holds ours and what it held before, and can be made what it was."""
    first, last, receivers = (_load(yaml.safe_dump(part)) for part in ours)
    try:
        expected, found = _load(before), _load(after)
    except (yaml.YAMLError, ValueError) as error:
        raise CannotEdit(f"with our lines it cannot be read any more: {_problem(error)}") from error
    expected["route"]["routes"] = [*first, *(expected["route"].get("routes") or []), *last]
    expected["receivers"] = [*receivers, *expected["receivers"]]
    if found != expected:
        raise CannotEdit(
            "it is written in a way in which our lines would change more than they add (anchors, unusual indentation)"
        )
    if without_ours(after) != before:
        raise CannotEdit("our lines could not be taken out again")
