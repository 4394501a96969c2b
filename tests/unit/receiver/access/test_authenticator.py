# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is recognised by what, and how often somebody may guess."""

from __future__ import annotations

import base64
import os

import pytest

from autoglm_recovery.receiver.access import authenticator as module
from autoglm_recovery.receiver.access import passwords
from autoglm_recovery.receiver.access.authenticator import (
    FAILURES_AT_ONCE,
    Authenticator,
    Credentials,
    TooManyFailures,
    Unrecognised,
    check_open,
    watch_entries,
)
from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.sessions import ConsoleSession, Sessions, read_key
from autoglm_recovery.receiver.access.watched import WatchedFiles
from autoglm_recovery.receiver.values.principal import Role
from autoglm_recovery.receiver.web.server import ListenError, split_address

OLD, NEW = "a" * 32, "b" * 32
PASSWORD = "correct horse battery"
KEPT = passwords.hash_password(PASSWORD, rounds=100_000)
SESSIONS = Sessions(b"k" * 32)
FILE = f"""\
{OLD}
{NEW}
dashboard viewer {"d" * 32}
alice operator {KEPT}
robot sender cert:CN=robot
"""


@pytest.fixture
def file(tmp_path):
    """Return an access file with an entry of each kind."""
    path = tmp_path / "access"
    path.write_text(FILE)
    return path


@pytest.fixture
def known(file):
    """Return an authenticator that knows the entries of the file."""
    return Authenticator(watch_entries([file]), SESSIONS)


def basic(name, password):
    """Return the header of a user with a password."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def recognised(known, **given):
    """Return the name, role and manner of whoever is recognised."""
    principal = known.recognise(Credentials("192.0.2.1", **given))
    return (principal.name, principal.role, principal.how)


def test_each_kind_of_credential_is_known(known):
    assert recognised(known, authorization=f"Bearer {OLD}") == ("token", Role.operator, "bearer")
    assert recognised(known, authorization=f"bearer {NEW}") == ("token", Role.operator, "bearer")
    assert recognised(known, authorization=f"Bearer {'d' * 32}") == ("dashboard", Role.viewer, "bearer")
    assert recognised(known, authorization=basic("alice", PASSWORD)) == ("alice", Role.operator, "basic")
    assert recognised(known, certificate=("CN=robot", "DNS:robot")) == ("robot", Role.sender, "certificate")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        OLD,
        f"Basic {OLD}",
        f"Bearer {OLD[:-1]}",
        f"Bearer {OLD}x",
        "Bearer \udcff\xe9",
        "Basic \xff",
        pytest.param(f"Bearer {KEPT}", id="the hash itself"),
        "Bearer CN=robot",
        basic("alice", "wrong"),
        basic("alice", ""),
        basic("nobody", PASSWORD),
        basic("token", OLD),
        basic("robot", "CN=robot"),
        "Digest username=alice",
    ],
)
def test_nothing_else_is(known, header):
    with pytest.raises(Unrecognised):
        known.recognise(Credentials("192.0.2.1", header))


def test_a_wrong_header_counts_also_where_a_good_certificate_or_cookie_is_there(known):
    with pytest.raises(Unrecognised):
        recognised(known, authorization="Bearer wrong", certificate=("CN=robot",))


def test_a_certificate_that_no_entry_is_for_is_nobody(known):
    with pytest.raises(Unrecognised, match="CN=stranger"):
        recognised(known, certificate=("CN=stranger",))


def test_without_files_anybody_is_an_operator():
    assert recognised(Authenticator(watch_entries([]), SESSIONS))[1:] == (Role.operator, "open")


def test_old_and_new_are_good_together_and_the_old_one_no_more_once_its_line_is_gone(file, monkeypatch):
    monkeypatch.setattr("autoglm_recovery.receiver.access.watched.LOOK_EVERY_S", -1)
    known = Authenticator(watch_entries([file]), SESSIONS)
    _, cookie = known.session_for(Credentials("192.0.2.1", f"Bearer {OLD}"))
    assert recognised(known, cookie=cookie) == ("token", Role.operator, "session")
    assert recognised(known, authorization=basic("alice", PASSWORD))
    _replace(file, FILE.replace(OLD, "").replace(KEPT, "c" * 32))
    for gone in ({"authorization": f"Bearer {OLD}"}, {"cookie": cookie}, {"authorization": basic("alice", PASSWORD)}):
        with pytest.raises(Unrecognised):
            recognised(known, **gone)
    assert recognised(known, authorization=f"Bearer {NEW}")


def test_a_bad_or_missing_file_leaves_the_old_entries_in_force(file, monkeypatch):
    monkeypatch.setattr("autoglm_recovery.receiver.access.watched.LOOK_EVERY_S", -1)
    known = Authenticator(watch_entries([file]), SESSIONS)
    for change in (lambda: _replace(file, ""), lambda: _replace(file, "short"), file.unlink):
        change()
        assert recognised(known, authorization=f"Bearer {NEW}")
        with pytest.raises(Unrecognised):
            recognised(known, authorization="Bearer short")
        assert not known.open
    _replace(file, "c" * 32)
    assert recognised(known, authorization=f"Bearer {'c' * 32}")


def _replace(path, text):
    """Write a file as a careful tool does."""
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def test_who_guesses_has_to_wait_and_nobody_else_does(known):
    for _ in range(FAILURES_AT_ONCE):
        with pytest.raises(Unrecognised) as refused:
            recognised(known, authorization="Bearer wrong")
        assert not isinstance(refused.value, TooManyFailures)
    with pytest.raises(TooManyFailures) as refused:
        recognised(known, authorization="Bearer wrong")
    assert 1 <= refused.value.retry_after_s <= 10
    # A token that is right is known all the same: who shares an address with the guesser is not locked out.
    assert recognised(known, authorization=f"Bearer {OLD}")
    # A password is not even looked at, because that would be work for us.
    with pytest.raises(TooManyFailures):
        recognised(known, authorization=basic("alice", PASSWORD))
    assert known.recognise(Credentials("192.0.2.2", basic("alice", PASSWORD)))


def test_a_password_that_was_right_is_not_hashed_again(known, monkeypatch):
    header = basic("alice", PASSWORD)
    assert known.is_slow(Credentials("192.0.2.1", header))
    assert recognised(known, authorization=header)
    monkeypatch.setattr(module.passwords, "verify", lambda *_: pytest.fail("hashed again"))
    assert not known.is_slow(Credentials("192.0.2.1", header))
    assert recognised(known, authorization=header)


def test_a_user_that_is_not_there_takes_as_long_as_one_that_is(known, monkeypatch):
    asked = []
    monkeypatch.setattr(module.passwords, "verify", lambda _password, kept: asked.append(kept))
    for name in ("alice", "nobody"):
        with pytest.raises(Unrecognised, match="the user or the password"):
            recognised(known, authorization=basic(name, "wrong"))
    assert asked == [KEPT, passwords.NOBODY]


@pytest.mark.parametrize("cookie", ["", "x", "a.b.c", "\udcff"])
def test_a_cookie_that_is_not_ours_is_nobody(known, cookie):
    with pytest.raises(Unrecognised):
        recognised(known, cookie=cookie)


def test_a_cookie_is_no_form_token_and_neither_is_good_with_another_key():
    session = ConsoleSession("token", "0" * 32)
    assert SESSIONS.read(SESSIONS.cookie(session)) == session
    assert Sessions(b"x" * 32).read(SESSIONS.cookie(session)) is None
    assert SESSIONS.read(SESSIONS.form_token("token", "session")) is None
    assert not SESSIONS.is_form_token(SESSIONS.cookie(session), "token", "session")


def test_a_session_key_is_made_once_and_for_its_owner_only(tmp_path):
    path = tmp_path / "session.key"
    with pytest.raises(AuthError, match="No such file"):
        read_key(path, make=False)
    key = read_key(path, make=True)
    assert (read_key(path, make=True), path.stat().st_mode & 0o777) == (key, 0o600)
    path.write_text("short")
    with pytest.raises(AuthError, match="32 characters"):
        read_key(path, make=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_may_be_open(host):
    check_open(host, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104 - refused
def test_anything_else_needs_an_access_file(host, file):
    with pytest.raises(AuthError, match="--access-file"):
        check_open(host, ())
    check_open(host, (file,))


def test_what_is_watched_is_read_again_only_when_it_changed(tmp_path):
    path = tmp_path / "file"
    path.write_text("1")
    read = []
    watched = WatchedFiles("file", [path], lambda: read.append(path.read_text()) or len(read))
    watched.look()
    assert watched.now == 1
    _replace(path, "2")
    watched.look()
    assert (watched.now, read) == (2, ["1", "2"])


def test_addresses():
    assert split_address("[::1]:9470") == ("::1", 9470)
    for wrong in ("9470", ":9470", "::1:9470"):
        with pytest.raises(ListenError, match="HOST:PORT"):
            split_address(wrong)


def test_an_address_that_is_blocked_guesses_nothing_though_the_password_is_remembered(known):
    right, wrong = basic("alice", PASSWORD), basic("alice", "wrong")
    assert known.recognise(Credentials("192.0.2.7", right))
    for _ in range(FAILURES_AT_ONCE):
        with pytest.raises(Unrecognised):
            known.recognise(Credentials("192.0.2.8", wrong))
    with pytest.raises(TooManyFailures):
        known.recognise(Credentials("192.0.2.8", right))
    # Somebody else's address is not concerned.
    assert known.recognise(Credentials("192.0.2.7", right)).name == "alice"
