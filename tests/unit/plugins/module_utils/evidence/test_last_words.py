# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dead service said last, as a person wants to read it first."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import last_words as module
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.last_words import last_words, read_last_words
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from hypothesis import given
from hypothesis import strategies as st

# What llama-server 1:0.7.0 wrote when its model was not there.
NO_MODEL = (Path(__file__).parents[2] / "fixtures/last_words/llama-server-no-model.log").read_text()


def journal(text: str, who: str = "llama-server[42]") -> str:
    """The same as ``journalctl -o short-iso-precise`` shows it."""
    return "".join(f"2026-11-28T17:00:00.123456+00:00 node-a {who}: {line}\n" for line in text.splitlines())


def test_a_server_without_its_model():
    assert last_words(NO_MODEL) == [
        "cmn common_init_: failed to load model '/var/lib/models/gone.gguf'",
        "srv load_model: failed to load model, '/var/lib/models/gone.gguf'",
        "srv llama_server: exiting due to model loading error",
    ]


def test_the_journal_says_the_same_without_its_head_and_without_systemd():
    end = journal(
        "llama.service: Main process exited, code=exited, status=1/FAILURE\nFailed to start llama.", "systemd[1]"
    )
    assert last_words(journal(NO_MODEL) + end) == last_words(NO_MODEL)


def test_of_a_traceback_the_exception_is_told():
    text = (
        "INFO loading\nTraceback (most recent call last):\n"
        '  File "/opt/server/loader.py", line 3, in failing_load\n    load(path)\n'
        "RuntimeError: weights are of another shape\n"
    )
    assert last_words(text)[-1] == "RuntimeError: weights are of another shape"
    assert not any("Traceback" in words for words in last_words(text))


def test_where_nothing_complains_its_last_lines_are_told():
    assert last_words("one\ntwo\n\nthree\nfour\n") == ["two", "three", "four"]
    assert last_words("") == []


def test_secrets_are_redacted_and_repetition_is_told_once():
    text = "error: token=hunter2hunter2 refused\n" * 5
    (words,) = last_words(text)
    assert "hunter2" not in words


@given(st.text())
def test_whatever_was_logged_is_a_few_printable_lines(text):
    words = last_words(text)
    assert len(words) <= module.MOST
    assert all(0 < len(line) <= module.LONGEST and line.isprintable() for line in words)


class Silent:
    """A service whose log cannot be read."""

    def logs(self, _lines):
        raise Unread("no journal")


def test_a_log_that_cannot_be_read_is_silence():
    assert read_last_words(Silent()) == []
