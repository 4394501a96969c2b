# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference asks real balancers whether a drain could be done, and leaves them as they are."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.balancers.running import Envoy, Haproxy, Nginx, Part, Task, started
from tests.support.servers.http_answers import Reply, answering_http

NOBODY = 65534


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Any]]:
    """Two engines, as far as a balancer can see: everything is well (tests/FAKES.md)."""
    with contextlib.ExitStack() as stack:
        each = [stack.enter_context(answering_http(lambda _asked: Reply())) for _ in range(2)]
        yield {f"p{number}": SimpleNamespace(port=one.server_port, url=one.url) for number, one in enumerate(each, 1)}


@pytest.fixture(scope="module")
def haproxy(engines: dict[str, Any]) -> Iterator[Haproxy]:
    with started(Haproxy(engines)) as part:
        yield part


@pytest.fixture
def nginx(engines: dict[str, Any]) -> Iterator[Nginx]:
    with started(Nginx(engines)) as part:
        _opened(part, "upstream.conf", "pid")
        yield part


@pytest.fixture(scope="module")
def envoy(engines: dict[str, Any]) -> Iterator[Envoy]:
    with started(Envoy(engines)) as part:
        _opened(part, "eds.json")
        yield part


def _opened(part: Part, *files: str) -> None:
    """Everybody may read these, as is usual."""
    part.folder.chmod(0o755)
    for name in files:
        (part.folder / name).chmod(0o644)


def ask(part: Part, user: int = 0, check: bool = False, **changes: Any) -> dict[str, Any]:
    """The module's answer. Nothing of the balancer is another one afterwards."""
    before, members = _files(part), _members(part)
    pool = part.pool(**changes)
    result = Task({"state": "queried", "balancer": pool}, check=check, user=user).result()
    assert not result["changed"]
    assert (_files(part), _members(part)) == (before, members)
    assert result.get("failed", False) == bool(result["obstacles"])
    return result


def _files(part: Part) -> dict[str, tuple[int, int, bytes]]:
    """Every file of the balancer but what its own process says."""
    plain = [path for path in part.folder.rglob("*") if stat.S_ISREG(path.lstat().st_mode) and path != part.log]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in plain}


def _members(part: Part) -> list[tuple[str, str]] | None:
    if part.process is None or part.process.poll() is not None:
        return None
    return [(member.name, member.admin) for member in part.open().members()]


def whats(result: dict[str, Any]) -> list[str]:
    return [obstacle["what"] for obstacle in result["obstacles"]]


def test_haproxy_is_asked_for_the_level_of_the_socket(haproxy: Haproxy) -> None:
    well = ask(haproxy)
    assert (well["outcome"], well["obstacles"]) == ("queried", [])
    assert [(member["name"], member["admin"]) for member in well["pool"]] == [("p1", "active"), ("p2", "active")]
    for level in ("operator", "user"):
        path = str(haproxy.folder / f"{level}.sock")
        refused = ask(haproxy, check=level == "user", socket=path)
        assert refused["outcome"] == "refused"
        assert whats(refused) == [f"the socket {path} has level {level}, and a drain needs level admin"]
        assert "level admin behind this stats socket in haproxy.cfg" in refused["obstacles"][0]["do"]


def test_what_else_is_wrong_with_a_socket(haproxy: Haproxy) -> None:
    haproxy.folder.chmod(0o755)
    refused = whats(ask(haproxy, user=NOBODY))
    assert any("no permission for" in what for what in refused)
    assert any("(lock_dir) by user 65534" in what for what in refused)
    (gone,) = ask(haproxy, socket="/nowhere/admin.sock")["obstacles"]
    assert "there is no socket /nowhere/admin.sock" in gone["what"]
    assert "does it run" in gone["do"]
    assert "Can't find backend" in whats(ask(haproxy, backend="chat"))[0]


def test_nginx_is_asked_as_the_user_of_the_runs(nginx: Nginx) -> None:
    well = ask(nginx)
    assert (well["outcome"], well["obstacles"], len(well["pool"])) == ("queried", [], 2)
    own = nginx.folder / "nginx"  # never run: it is looked whether it could signal the master
    own.write_text("#!/bin/false\n")
    own.chmod(0o755)
    told = whats(ask(nginx, user=NOBODY, reload=[str(own), "-s", "reload"], lock_dir=str(nginx.folder)))
    for words in (
        f"user 65534 may not write in {nginx.folder}",
        f"{nginx.folder}/upstream.conf is of user 0 and group 0",
        "nginx does not accept its configuration as it is, or cannot be asked",
        "user 65534 may not signal nginx' master",
    ):
        assert any(words in what for what in told), (words, told)
    assert whats(ask(nginx, reload=["/nowhere/reload"])) == [
        "there is no program /nowhere/reload, by which nginx is reloaded"
    ]
    assert "has no servers of an upstream 'chat'" in whats(ask(nginx, backend="chat"))[0]


def test_a_broken_nginx_and_none_at_all(nginx: Nginx) -> None:
    file = nginx.folder / "nginx.conf"
    before = file.read_text()
    file.write_text(before + "nonsense;\n")
    (broken,) = ask(nginx)["obstacles"]
    assert "nonsense" in broken["what"]
    file.write_text(before)
    nginx.stop()
    (gone,) = ask(nginx)["obstacles"]  # nginx -t would leave an empty file of a process number
    assert "nginx cannot be found by" in gone["what"]


def test_envoy_is_asked_and_its_file_is_looked_at(envoy: Envoy) -> None:
    well = ask(envoy)
    assert (well["outcome"], well["obstacles"], len(well["pool"])) == ("queried", [], 2)
    told = whats(ask(envoy, user=NOBODY))
    assert any(f"user 65534 may not write in {envoy.folder}, where eds.json" in what for what in told)
    (gone,) = ask(envoy, admin_url="http://127.0.0.1:9")["obstacles"]
    assert "Envoy's admin API at http://127.0.0.1:9: nothing listens" in gone["what"]
