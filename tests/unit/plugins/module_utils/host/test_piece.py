# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading one part: what hangs is left behind, what fails says so, what is long is cut at a line."""

from __future__ import annotations

import os
import threading

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import piece
from ansible_collections.autoglm.recovery.plugins.module_utils.host.piece import Part, Piece, collect, cut
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from hypothesis import given
from hypothesis import strategies as st


def test_a_piece_arrives_whole() -> None:
    got = collect(Part("a", lambda: Piece("ä\nb\n", "/proc", ("remark",))), 1000)
    assert got.content == "ä\nb\n".encode()
    assert (got.full_size, got.source, got.remarks) == (5, "/proc", ("remark",))


def test_what_hangs_is_left_behind() -> None:
    with pytest.raises(Unread, match=r"did not end within 0\.2 s"):
        collect(Part("a", lambda: Piece(str(threading.Event().wait()), ""), seconds=0.2), 1000)


def raising(error: BaseException):
    def read() -> Piece:
        raise error

    return read


@pytest.mark.parametrize(
    "error", [OSError(13, "Permission denied"), Unread("no journal"), RuntimeError("bug"), KeyError("x")]
)
def test_what_fails_says_why(error: Exception) -> None:
    with pytest.raises(Unread, match=str(error.args[-1])):
        collect(Part("a", raising(error)), 1000)


def test_a_collector_that_is_killed_is_noticed() -> None:
    with pytest.raises(Unread, match="without an answer"):
        collect(Part("a", lambda: os.kill(os.getpid(), 9)), 1000)  # type: ignore[arg-type,return-value]


def test_the_collector_does_not_hold_the_streams_of_the_caller(capfd: pytest.CaptureFixture[str]) -> None:
    def noisy() -> Piece:
        os.write(1, b"noise")
        return Piece("x", "")

    collect(Part("a", noisy), 10)
    assert capfd.readouterr().out == ""


def test_the_smaller_limit_counts() -> None:
    long = "".join(f"{number:03}\n" for number in range(100))
    assert collect(Part("a", lambda: Piece(long, ""), limit=8), 1000).content == b"000\n001\n"
    assert collect(Part("a", lambda: Piece(long, ""), keep_tail=True), 8).content == b"099\n"


@given(st.binary(max_size=200), st.integers(0, 250), st.booleans())
def test_a_cut_is_a_part_of_the_whole_and_within_the_limit(content: bytes, limit: int, keep_tail: bool) -> None:
    got = cut(content, limit, keep_tail)
    assert len(got) <= limit or got == content
    assert content.endswith(got) if keep_tail else content.startswith(got)


def at_once() -> Piece:
    return Piece(str(len(b"x" * 2**30)), "")


def bit_by_bit() -> Piece:
    kept = []
    while True:
        kept.append(b"x" * 2**16)


@pytest.mark.parametrize("read", [at_once, bit_by_bit])
def test_a_collector_that_takes_too_much_memory_says_so(monkeypatch: pytest.MonkeyPatch, read) -> None:
    monkeypatch.setattr(piece, "MOST_MEMORY", 64 * 2**20)
    with pytest.raises(Unread, match="more than 67108864 bytes of memory"):
        collect(Part("a", read, seconds=60.0), 1000)
