# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever sends a token from a file takes the same line of it, and sends nothing that is none."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
import typer

from autoglm_recovery.cli import asking, backtest
from autoglm_recovery.exporter.options import authorization
from autoglm_recovery.knowledge.host.token_file import NoTokenError, first_token
from autoglm_recovery.receiver.fleet import fleet_http
from autoglm_recovery.receiver.runs.awx import client as awx


def of_fleet(file) -> str:
    setting = SimpleNamespace(token_file=file, ca_path=None, timeout=timedelta(seconds=5))
    with fleet_http.client("http://127.0.0.1:1", setting) as client:
        return client.headers["Authorization"].removeprefix("Bearer ")


READERS = {
    "itself": first_token,
    "commands": lambda file: asking.AskedReceiver("", token_file=file)._token(),
    "backtest": backtest._token,
    "exporter": lambda file: authorization(file)["Authorization"].removeprefix("Bearer "),
    "Prometheus and Alertmanager": of_fleet,
    "AWX": awx._token,
}
reads = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


@reads
@pytest.mark.parametrize(
    "text",
    ["s3cret!token=", "s3cret!token=\n", "# of the fleet\n\n  s3cret!token= \r\nthe-next-one\n", "s3cret!token=\n\xff"],
)
def test_the_first_line_that_says_anything_is_the_token(tmp_path, read, text):
    (tmp_path / "token").write_bytes(text.encode("latin-1"))
    assert read(tmp_path / "token") == "s3cret!token="


@reads
def test_a_file_is_not_read_without_end(tmp_path, read):
    (tmp_path / "token").write_text("#" * 65536 + "\ns3cret\n")
    with pytest.raises((NoTokenError, awx.AwxRefused, typer.BadParameter), match="holds no token"):
        read(tmp_path / "token")


@reads
@pytest.mark.parametrize(
    "text", ["", "\n \n", "# nothing yet\n", "name operator s3cret", "s3crét", "s3cr\x00et", "s3cret\x7f"]
)
def test_what_is_no_token_is_never_sent_and_never_repeated(tmp_path, read, text):
    (tmp_path / "token").write_text(text)
    with pytest.raises((NoTokenError, awx.AwxRefused, typer.BadParameter), match="holds no token") as refused:
        read(tmp_path / "token")
    assert "s3cr" not in str(refused.value)


@reads
def test_a_file_that_is_not_there_is_an_error(tmp_path, read):
    with pytest.raises((OSError, awx.AwxUnavailable, typer.BadParameter), match="No such file"):
        read(tmp_path / "token")
