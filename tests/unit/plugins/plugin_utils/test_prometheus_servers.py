# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a server are whole and make sense, and no complaint about them repeats a secret."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.plugin_utils.prometheus_servers import read_jobs, read_servers

URL = "http://127.0.0.1:9090"


def headers(**options: Any) -> dict[str, str]:
    """Return what one server is sent."""
    (server,) = read_servers([{"urls": [URL], **options}])
    return dict(server.headers)


def test_credentials(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("# of the receiver\nt0ken\n")
    (tmp_path / "password").write_text("pass word\n")
    basic = f"Basic {base64.b64encode(b'me:pass word').decode()}"
    assert headers() == {}
    assert headers(token="t0ken") == headers(token_file=str(tmp_path / "token")) == {"Authorization": "Bearer t0ken"}
    assert headers(username="me", password="pass word") == {"Authorization": basic}
    assert headers(username="me", password_file=str(tmp_path / "password")) == {"Authorization": basic}


def test_a_secret_that_is_encrypted_in_place_is_a_text() -> None:
    class Encrypted:
        def __str__(self) -> str:
            return "t0ken"

    assert headers(token=Encrypted()) == {"Authorization": "Bearer t0ken"}


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (None, "servers: must be a list with at least one server"),
        ([], "servers: must be a list"),
        (["http://a"], r"servers\[0\]: must be a mapping"),
        ([{}], "missing required arguments: urls"),
        ([{"urls": []}], r"servers\[0\].urls: must have at least one"),
        (
            [{"urls": [URL]}, {"urls": [URL], "tokne": "s3cret"}],
            r"servers\[1\]: unknown option 'tokne'; did you mean token\?",
        ),
        ([{"urls": ["ftp://a"]}], "must begin with http:// or https://"),
        ([{"urls": ["http://me:s3cret@a"]}], "write them as username and password"),
        ([{"urls": [URL], "token": "s3cret", "token_file": "/x"}], "mutually exclusive: token"),
        ([{"urls": [URL], "token": "s3cret", "username": "me", "password": "x"}], "mutually exclusive"),
        ([{"urls": [URL], "username": "me"}], "username needs password or password_file"),
        ([{"urls": [URL], "password": "s3cret"}], "missing parameter.*: username"),
        ([{"urls": [URL], "client_key": "/k"}], "missing parameter.*: client_cert"),
        ([{"urls": [URL], "token": "s3cret two"}], "is no token"),
        ([{"urls": [URL], "token_file": "/nowhere"}], "token_file: /nowhere: No such file"),
        ([{"urls": [URL], "username": "me", "password_file": "/nowhere"}], "/nowhere cannot be read: No such file"),
        ([{"urls": [URL], "timeout": 0}], "timeout: must be a number of seconds above 0"),
        ([{"urls": [URL], "timeout": float("nan")}], "timeout: must be a number of seconds above 0"),
    ],
)
def test_what_is_wrong_is_said(servers: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        read_servers(servers)
    assert "s3cret" not in str(refused.value)


def test_jobs() -> None:
    assert read_jobs({"node": ["node-exporter"]}).all == ("node-exporter", "inference", "inference_slow", "autoglm")
    with pytest.raises(ValueError, match=r"jobs: unknown option 'nod'; did you mean node\?"):
        read_jobs({"nod": []})
    with pytest.raises(ValueError, match="names no job"):
        read_jobs({"node": [], "inference": [], "exporter": []})
