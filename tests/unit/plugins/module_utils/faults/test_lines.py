# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single lines: a table of real forms, the traps, and whatever else may come."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults import lines
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.framing import unframe
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.reading import (
    KINDS,
    TRIGGERS,
    event_of,
    parse_line,
)
from hypothesis import given
from hypothesis import strategies as st

FIXTURES = Path(__file__).parents[4] / "fixtures" / "kernel"
ROWS = [json.loads(row) for path in sorted(FIXTURES.glob("*.jsonl")) for row in path.read_text("utf-8").splitlines()]
EVENTS = [row["line"] for row in ROWS if row["expected"]["kind"] != "none"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["line"][:60])
def test_every_known_form(row) -> None:
    assert parse_line(row["line"]) == row["expected"]
    assert parse_line(row["line"].encode() + b"\r\n") == row["expected"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["line"][:60])
def test_the_filter_hides_no_event(row) -> None:
    assert event_of(unframe(row["line"])) == row["expected"]


def test_the_table_has_every_kind() -> None:
    assert {row["expected"]["kind"] for row in ROWS} == KINDS


@given(st.binary())
def test_no_bytes_raise(line) -> None:
    event = parse_line(line)
    assert event["kind"] in KINDS
    assert json.loads(json.dumps(event)) == event


@given(st.text(), st.sampled_from(TRIGGERS), st.text())
def test_no_text_around_a_trigger_raises(before, word, after) -> None:
    assert parse_line(before + word + after)["kind"] in KINDS


@given(st.sampled_from(EVENTS), st.data())
def test_no_damaged_event_raises(line, data) -> None:
    at = data.draw(st.integers(0, len(line)))
    cut = data.draw(st.integers(0, len(line)))
    event = parse_line(line[:at] + data.draw(st.text(max_size=5)) + line[cut:])
    assert event["kind"] in KINDS
    json.dumps(event)


@given(st.text().filter(lambda text: not any(word in text for word in TRIGGERS)))
def test_a_line_without_a_trigger_is_none(line) -> None:
    assert parse_line(line) == {"kind": "none"}


@given(st.sampled_from(EVENTS))
def test_a_line_quoted_by_another_program_is_none(line) -> None:
    assert parse_line(f'Nov  1 10:00:00 node-1 watcher[7]: saw "{line}"') == {"kind": "none"}


@given(st.from_regex(r"[A-Za-z0-9_.:/@+-]{1,15}", fullmatch=True), st.integers(1, 4194304))
def test_a_process_is_read_back(process, pid) -> None:
    event = parse_line(f"NVRM: Xid (PCI:0000:3b:00): 43, pid={pid}, name={process}, Ch 00000010")
    assert (event["pid"], event["process"]) == (pid, process)
    event = parse_line(
        f"Out of memory: Killed process {pid} ({process}) total-vm:1kB, anon-rss:1kB, UID:0 pgtables:1kB"
    )
    assert (event["pid"], event["process"], event["uid"]) == (pid, process, 0)


@pytest.mark.parametrize(
    ("line", "at", "clock"),
    [
        ("[12345.500000] x", 12345.5, "boot"),
        ("3,1,1500000,-;x", 1.5, "boot"),
        ("[Thu Jan  1 00:01:00 1970] x", 60.0, "wall"),
        ("1970-01-01T01:00:05,500000+01:00 x", 5.5, "wall"),
        ("1970-01-01T00:00:05Z node kernel: [7.25] x", 7.25, "boot"),
        ("x", None, None),
        ("[Thu Feb 31 00:01:00 1970] x", None, None),
    ],
)
def test_the_clock_of_a_line(line, at, clock) -> None:
    framed = unframe(line)
    assert (framed.text, framed.at, framed.clock) == ("x", at, clock)


def _work(line: str) -> int:
    """How many functions are called and lines run for one line, whatever the machine's speed."""
    count = 0

    def trace(_frame, _event, _argument):
        nonlocal count
        count += 1
        return trace

    sys.settrace(trace)
    try:
        parse_line(line)
    finally:
        sys.settrace(None)
    return count


HOSTILE = (
    "NVRM: Xid (PCI:0000:3b:00): 45, pid=1, name=" + "a, " * 350_000,
    "NVRM: Xid (" + "0" * 1_000_000,
    "NVRM: Xid (PCI:0000:3b:00): 149, " + "A_" * 500_000,
    "Out of memory: Killed process 1 (" + ") total-vm" * 100_000,
    "oom-kill:constraint=A" + ",task=x" * 150_000,
    "[" * 1_000_000 + "Xid (",
    "<1>" * 330_000 + "Xid (",
    "kern:err:" * 110_000 + "Xid (",
    " kernel" * 140_000 + "Xid (",
    "x " * 500_000 + "invoked oom-killer: ",
    "EDAC MC0: 1 CE " + " on " * 250_000 + " (",
    "mlx5_core 0000:5c:00.0: Port module event" + " High" * 200_000,
    "a[1" * 330_000 + "]: segfault at 0 ip ",
    "NVRM: " * 166_000 + "fallen off the bus",
)


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:20])
def test_a_megabyte_costs_no_more_than_the_longest_message(line) -> None:
    assert _work(line) <= _work(line[:20_000]) * 2
    assert _work(line) < 20_000
    assert parse_line(line)["kind"] in KINDS


def _patterns():
    for module in pkgutil.iter_modules(lines.__path__, f"{lines.__name__}."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name.rpartition('.')[2]}.{name}", value


def _repeats(tree, inside: int = 0):
    """How deep repetitions without a bound lie in one another, at most."""
    deepest = inside
    for operation, argument in tree:
        parts = argument if isinstance(argument, (list, tuple)) else (argument,)
        within = inside
        if "REPEAT" in str(operation) and argument[1] == re._constants.MAXREPEAT:
            within = inside + 1
        deepest = max(deepest, within)
        for part in parts:
            for branch in part if isinstance(part, list) else (part,):
                if isinstance(branch, re._parser.SubPattern):
                    deepest = max(deepest, _repeats(branch, within))
    return deepest


@pytest.mark.parametrize("pattern", [pytest.param(p, id=name) for name, p in _patterns()])
def test_no_repetition_without_a_bound_lies_in_another(pattern) -> None:
    assert _repeats(re._parser.parse(pattern.pattern)) <= 1


def test_that_the_check_above_would_notice() -> None:
    assert _repeats(re._parser.parse(r"x(?:(a+)b|c)*")) == 2
