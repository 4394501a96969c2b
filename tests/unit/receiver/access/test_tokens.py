# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may speak to the receiver."""

from __future__ import annotations

import pytest

from autoglm_recovery.receiver.access.tokens import AuthError, allowed, check_open, read_tokens
from autoglm_recovery.receiver.serve import ServeError, split_address

OLD, NEW = "a" * 32, "b" * 32


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_may_be_open(host):
    check_open(host, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104 - refused
def test_anything_else_needs_a_token(host):
    with pytest.raises(AuthError, match="--token-file"):
        check_open(host, ())
    check_open(host, (OLD,))


def test_each_token_of_the_file_is_good_until_it_is_taken_out(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"# rotated monthly\n{OLD}\n\n{NEW}\n")
    tokens = read_tokens(path)
    assert allowed(f"Bearer {OLD}", tokens)
    assert allowed(f"bearer {NEW}", tokens)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", OLD, f"Basic {OLD}", f"Bearer {OLD[:-1]}", f"Bearer {OLD}x", "Bearer \udcff\xe9"],
)
def test_nothing_else_is(header):
    assert not allowed(header, (OLD, NEW))


@pytest.mark.parametrize("content", ["", "\n# only a comment\n", "short\n", "caf\u00e9" * 10])
def test_a_token_file_that_protects_nothing_is_refused(tmp_path, content):
    path = tmp_path / "tokens"
    path.write_text(content, "utf-8")
    with pytest.raises(AuthError):
        read_tokens(path)
    with pytest.raises(AuthError, match="cannot be read"):
        read_tokens(tmp_path / "none")


def test_addresses():
    assert split_address("127.0.0.1:9470") == ("127.0.0.1", 9470)
    assert split_address("[::1]:9470") == ("::1", 9470)
    for wrong in ("9470", ":9470", "host:", "host:99999", "host:x", ""):
        with pytest.raises(ServeError, match="HOST:PORT"):
            split_address(wrong)
