# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access file: what it says, and how it refuses what protects nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.access import passwords
from autoglm_recovery.receiver.access.entries import AuthError, digest, read_entries
from autoglm_recovery.receiver.values.principal import Role

TOKEN = "a" * 32
KEPT = passwords.hash_password("correct horse battery", rounds=100_000)


def entries(tmp_path, text):
    """Read a file with this text."""
    path = tmp_path / "access"
    path.write_text(text, "utf-8")
    return [(e.name, e.role, e.kind, e.secret) for e in read_entries(path)]


def test_every_kind_of_line(tmp_path):
    text = f"""
    # who comes in
    {TOKEN}
    alertmanager sender {"b" * 16}
    dashboard viewer sha256:{"0" * 64}
    alice operator {KEPT}
    robot operator cert:CN=Deploy Robot
    grafana viewer cert:DNS:grafana.example.org
    mesh sender cert:URI:spiffe://example.org/alertmanager
    bob viewer cert:email:bob@example.org
    """
    assert entries(tmp_path, text) == [
        ("token", Role.operator, "bearer", digest(TOKEN)),
        ("alertmanager", Role.sender, "bearer", digest("b" * 16)),
        ("dashboard", Role.viewer, "bearer", "0" * 64),
        ("alice", Role.operator, "basic", KEPT),
        ("robot", Role.operator, "certificate", "CN=Deploy Robot"),
        ("grafana", Role.viewer, "certificate", "DNS:grafana.example.org"),
        ("mesh", Role.sender, "certificate", "URI:spiffe://example.org/alertmanager"),
        ("bob", Role.viewer, "certificate", "email:bob@example.org"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no entry"),
        ("# only a comment", "holds no entry"),
        ("short", "16 characters"),
        ("caf\u00e9" * 10, "ASCII"),
        ("alice operator", "NAME ROLE CREDENTIAL"),
        (f"alice admin {TOKEN}", "sender, viewer, operator"),
        (f"../x viewer {TOKEN}", "a name has"),
        ("alice viewer secret-but short-and two", "no blank"),
        ("alice viewer sha256:abc", "autoglm hash-password"),
        ("alice viewer sha512:" + "0" * 128, "autoglm hash-password"),
        ("alice viewer pbkdf2-sha256:1:AAAAAAAAAAAAAAAAAAAAAA==:x", "autoglm hash-password"),
        ("alice viewer $2b$12$abcdefghijklmnopqrstuv", "autoglm hash-password"),
        ("alice viewer cert:OU=Operations", "autoglm hash-password"),
        (f"alice viewer {TOKEN}\nalice operator {TOKEN}x", "two roles"),
    ],
)
def test_what_protects_nothing_or_means_nothing_is_refused_without_repeating_it(tmp_path, line, said):
    with pytest.raises(AuthError, match=said) as refused:
        entries(tmp_path, line)
    for secret in ("secret-but", TOKEN, "$2b"):
        assert secret not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(AuthError, match="cannot be read: No such file"):
        read_entries(tmp_path / "none")


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
def test_any_text_is_read_or_refused_with_the_place(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("access") / "file"
    path.write_text(text, "ascii")
    try:
        assert read_entries(path)
    except AuthError as error:
        assert "access file" in str(error)


def test_a_password_is_known_again_and_nothing_else_is():
    assert passwords.verify("correct horse battery", KEPT)
    for wrong in ("", "correct horse batter", "correct horse battery ", "Correct horse battery", "\udcff"):
        assert not passwords.verify(wrong, KEPT)
    assert not passwords.verify("x", "nonsense")
    assert passwords.hash_password("correct horse battery", rounds=100_000) != KEPT


def test_a_password_is_hashed_with_what_owasp_asks_for():
    assert passwords.hash_password("correct horse battery").startswith("pbkdf2-sha256:600000:")
    assert passwords.is_hash(passwords.NOBODY)
    with pytest.raises(ValueError, match="12 characters"):
        passwords.hash_password("short")


@pytest.mark.parametrize("rounds", [0, 1000, 99_999, 100_000_000])
def test_rounds_that_protect_nothing_or_never_end_are_no_hash(rounds):
    _, _, salt, key = KEPT.split(":")
    assert not passwords.is_hash(f"pbkdf2-sha256:{rounds}:{salt}:{key}")
