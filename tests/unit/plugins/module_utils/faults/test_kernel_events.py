# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of lines: the same answer however the bytes arrive, and the command as people use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.reading import KINDS, parse_line
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.stream import encode_block, encode_stream
from hypothesis import given, settings
from hypothesis import strategies as st

XID = b"[1.5] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
LINES = st.lists(
    st.one_of(
        st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")),
        st.sampled_from(
            [XID, b"", b"mlx5_core 0000:0b:00.1: Port module event: module 1, Cable unplugged", b"x Xid ("]
        ),
    ),
    max_size=12,
)
COMMAND = [sys.executable, "-c", "from autoglm_recovery.cli import main; main()", "kernel-events"]


@given(LINES, st.booleans())
def test_a_block_is_its_lines(lines, ended) -> None:
    block = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    expected = block.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert [json.loads(row) for row in encode_block(block).splitlines()] == [parse_line(line) for line in expected]


@given(LINES, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_chunks_do_not_matter(lines, sizes) -> None:
    log, chunks, at = b"\n".join(lines), [], 0
    while at < len(log):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(log[at : at + size])
        at += size
    assert b"".join(encode_stream(iter(chunks))) == encode_block(log)


def test_a_line_without_end_takes_no_memory_and_is_one_line() -> None:
    chunks = [b"x" * 65536] * 64 + [b"\n", XID]
    rows = b"".join(encode_stream(iter(chunks))).splitlines()
    assert [json.loads(row)["kind"] for row in rows] == ["none", "xid"]


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_every_line_of_any_bytes_has_its_answer(log) -> None:
    rows = b"".join(encode_stream(iter([log]))).splitlines()
    assert len(rows) == log.count(b"\n") + (not log.endswith(b"\n") and log != b"")
    assert all(json.loads(row)["kind"] in KINDS for row in rows)


def test_the_command_answers_in_order_and_takes_any_bytes() -> None:
    log = b"\xff\xfe\x00\n" + XID + b"\nfine"
    done = subprocess.run(COMMAND, input=log, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(row)["kind"] for row in done.stdout.splitlines()] == ["none", "xid", "none"]


def test_the_command_answers_while_its_input_stays_open() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(XID + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["xid"] == 79
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_goes_away_is_no_drama() -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        os.close(reading)
        _out, errors = process.communicate(XID + b"\n", timeout=60)
    assert process.returncode == 141
    assert errors == b""


def test_a_wrong_option_is_wrong_usage() -> None:
    assert subprocess.run([*COMMAND, "--nonsense"], capture_output=True, timeout=60, check=False).returncode == 2


def told(log: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *options], input=log, capture_output=True, timeout=120, check=False)


def test_what_could_not_be_read_is_counted_and_strict_fails() -> None:
    log = XID + b"\n[2.0] NVRM: Xid (PCI:0000:3b:00) garbled\n[3.0] quiet\n"
    done = told(log)
    assert [json.loads(row)["kind"] for row in done.stdout.splitlines()] == ["xid", "unreadable", "none"]
    assert (done.returncode, b"a line that tells of a fault could not be read" in done.stderr) == (0, True)
    for more in ((), ("--joined",)):
        strict = told(log, "--strict", *more)
        assert (strict.returncode, b"could not be read" in strict.stderr) == (1, True)
    assert told(XID + b"\n", "--strict").returncode == 0


def test_a_log_without_a_clock_says_so() -> None:
    bare = XID.partition(b"] ")[2] + b"\n"
    done = told(bare * 2, "--joined")
    assert [json.loads(row)["clock"] for row in done.stdout.splitlines()] == ["none", "none"]
    assert b"no clock" in done.stderr
    assert len(told(bare * 2, "--joined", "--live").stdout.splitlines()) == 1
