# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints in an S3 server: whole or absent when it is killed in the middle, answers 503, or does not answer."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import s3fs
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import operation, proving
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.restoring import RestoreTarget, restore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.retention import RetentionRules, prune
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.saving import SaveRequest, save
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.store import Store
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.stores import open_store

from tests.support.checkpoints import builders
from tests.support.servers import s3

# More than one part of a multipart upload.
LARGE = {"w": 10_000_000, "b": 5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3]:
    with s3.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A prefix of the test's own."""
    return f"s3://{s3.BUCKET}/{tmp_path.name}"


@pytest.fixture
def store(server: s3.S3, url: str) -> Store:
    return open_store(url, server.options())


class Proxy:
    """Passes requests on to the server, until it is told what to answer in its place."""

    def __init__(self, server: s3.S3) -> None:
        self.answer: Callable[[str, str], int | None] = lambda _method, _path: None
        self.seen: list[tuple[str, str]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.seen.append((self.command, self.path))
                status = proxy.answer(self.command, self.path)
                if status is not None:
                    text = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
                    self.reply(status, [("Content-Type", "application/xml")], text)
                    return
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
                try:
                    connection.request(self.command, self.path, body, dict(self.headers))
                    answer = connection.getresponse()
                    self.reply(answer.status, answer.getheaders(), answer.read())
                except OSError:
                    self.close_connection = True
                finally:
                    connection.close()

            def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                        self.send_header(name, value)
                length = {name.lower(): value for name, value in headers}.get("content-length")
                self.send_header("Content-Length", str(length if self.command == "HEAD" and length else len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one  # noqa: N815

            def log_message(self, *_words: object) -> None:
                """Say nothing."""

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listener.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.listener.server_port}"


@contextmanager
def between(server: s3.S3) -> Iterator[Proxy]:
    proxy = Proxy(server)
    thread = threading.Thread(target=proxy.listener.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.listener.shutdown()
        proxy.listener.server_close()
        thread.join()


def test_a_checkpoint_goes_there_and_comes_back(store: Store, url: str, tmp_path: Path) -> None:
    source = builders.hf_sharded(tmp_path / "model")
    done = save(store, SaveRequest("m", source, signing_key="key", read_back=True))
    assert done.location == f"{url}/m/{done.id}"
    assert [each.reason for each in proving.survey(store, "m", "key")] == [None]
    restore(store, "m", RestoreTarget(tmp_path / "back"), "key")
    assert {path.name: path.read_bytes() for path in source.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()
    }


def test_a_large_file_is_streamed_in_parts(server: s3.S3, store: Store, url: str, tmp_path: Path) -> None:
    source = builders.safetensors_file(tmp_path / "m.safetensors", LARGE)
    with between(server) as proxy:
        through = open_store(url, server.options(proxy.endpoint))
        save(through, SaveRequest("m", source))
    assert len([path for method, path in proxy.seen if method == "PUT" and "partNumber" in path]) > 1
    assert proxy.seen[-1][0] == "PUT"
    assert proxy.seen[-1][1].endswith("/manifest.json")
    assert [each.reason for each in proving.survey(store, "m", None)] == [None]


def test_an_object_that_was_changed_is_passed_over(server: s3.S3, store: Store, tmp_path: Path) -> None:
    source = tmp_path / "m.safetensors"
    builders.safetensors_file(source)
    good = save(store, SaveRequest("m", source))
    builders.safetensors_file(source, fill=2.0)
    bent = save(store, SaveRequest("m", source))
    path = server.directory / "data" / s3.BUCKET / tmp_path.name / "m" / bent.id / "files/m.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    back = restore(store, "m", RestoreTarget(tmp_path / "back"), None)
    assert back.manifest.id == good.id
    assert "SHA-256" in back.skipped[bent.id]


def test_retention_keeps_what_it_should(store: Store, tmp_path: Path) -> None:
    source = builders.safetensors_file(tmp_path / "m.safetensors")
    ids = [save(store, SaveRequest("m", source)).id for _each in range(3)]
    assert prune(store, "m", RetentionRules(keep=1), None).removed == ids[:2]
    assert store.ids("m") == ids[2:]


@pytest.mark.parametrize("at", ["partNumber=1", "partNumber=2", "uploadId", "manifest.json"])
def test_a_server_that_is_killed_in_the_middle_has_nothing_new(
    server: s3.S3, store: Store, url: str, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # it will not come back by itself
    source = builders.safetensors_file(tmp_path / "m.safetensors", LARGE)
    old = save(store, SaveRequest("m", builders.safetensors_file(tmp_path / "small.safetensors")))

    def kill(method: str, path: str) -> None:
        wanted = method == "POST" if at == "uploadId" else method == "PUT"
        if wanted and at in path:
            server.kill()

    with between(server) as proxy:
        proxy.answer = kill
        try:
            with pytest.raises(CheckpointError, match="could not be"):
                save(open_store(url, server.options(proxy.endpoint)), SaveRequest("m", source))
        finally:
            server.kill()
            server.start()
    again = open_store(url, server.options())
    assert again.ids("m") == [old.id]
    assert save(again, SaveRequest("m", source)).id in again.ids("m")


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_server_that_answers_503_is_an_error_and_not_a_damage(
    server: s3.S3, store: Store, url: str, method: str, tmp_path: Path
) -> None:
    source = builders.safetensors_file(tmp_path / "m.safetensors")
    old = save(store, SaveRequest("m", source))
    with between(server) as proxy:
        proxy.answer = lambda asked, _path: 503 if asked == method else None
        through = open_store(url, server.options(proxy.endpoint))
        with pytest.raises(CheckpointError, match=r"SlowDown|Reduce your request rate|503"):
            save(through, SaveRequest("m", source)) if method == "PUT" else restore(
                through, "m", RestoreTarget(tmp_path / "back"), None
            )
    assert store.ids("m") == [old.id]
    assert not (tmp_path / "back").exists()


def test_a_store_that_does_not_answer_is_unknown(server: s3.S3, url: str) -> None:
    params = {"name": "m", "store": url, "storage_options": server.options("http://127.0.0.1:1")}
    found = operation.verify(params)
    assert found["verdict"] == "unknown"
    assert "cannot be listed" in found["reasons"][0]


def test_a_wrong_key_is_said_and_not_shown(server: s3.S3, url: str) -> None:
    options = {**server.options(), "secret": "not-the-secret"}
    found = operation.verify({"name": "m", "store": url, "storage_options": options})
    assert found["verdict"] == "unknown"
    assert "not-the-secret" not in str(found)
