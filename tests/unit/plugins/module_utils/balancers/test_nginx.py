# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx: its upstream is found where nginx would find it, and nothing else of the file changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import nginx as adapter
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import nginx_conf, nginx_twins
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.nginx import Nginx, NginxControl
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.nginx_workers import NginxWorkers
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from hypothesis import given
from hypothesis import strategies as st

TEXT = """\
# server 10.0.0.9:80 down;
upstream other { server 10.0.0.1:80; server 10.0.0.7:80; }
upstream llm {
    least_conn;  # by load; not "server"
    server 10.0.0.1:80 weight=10 max_fails=3;   # the old one
    server '10.0.0.2:80' down weight=5;
    server unix:/run/c.sock
        backup;
}
"""


def found(text: str, address: str, upstream: str = "llm") -> nginx_conf.ServerDirective:
    return next(server for server in nginx_conf.servers(text, upstream) if server.address == address)


def test_the_servers_of_one_upstream() -> None:
    assert [(s.address, s.down, s.weight, s.backup) for s in nginx_conf.servers(TEXT, "llm")] == [
        ("10.0.0.1:80", False, 10, False),
        ("10.0.0.2:80", True, 5, False),
        ("unix:/run/c.sock", False, 1, True),
    ]
    assert nginx_conf.servers(TEXT, "chat") == []
    assert [s.address for s in nginx_conf.servers("server a:1;\nserver b:1 down;\n", "llm")] == ["a:1", "b:1"]


HTTP = """\
events {}
http {
    map $http_x $y { "~^(?<d>\\d{3})$" $d; default 0; }
    init_by_lua_block {
        -- server 10.0.0.1:80; } "
        local t = { a = "}" }
    }
    upstream llm {
        zone llm 64k;
        server localhost:8000;
        server 10.0.0.2;
    }
    upstream twice { server 127.0.0.1:8000; server 127.0.0.1:8000 weight=2; server 10.0.0.2:80; }
    server {
        listen 80;
        location / { if ($request_body ~* '"model"\\s*:\\s*"([^"]+)"') { set $m $1; } proxy_pass http://${m}$uri; }
    }
}
stream { upstream raw { server unix:/run/a.sock; } }
"""


def test_an_upstream_is_found_wherever_nginx_reads_it() -> None:
    found = nginx_conf.upstreams(HTTP)
    assert {name: [each.address for each in servers] for name, servers in found.items() if name} == {
        "llm": ["localhost:8000", "10.0.0.2"],
        "twice": ["127.0.0.1:8000", "127.0.0.1:8000", "10.0.0.2:80"],
        "raw": ["unix:/run/a.sock"],
    }
    assert [each.address for each in nginx_conf.servers(HTTP, "llm")] == ["localhost:8000", "10.0.0.2"]
    assert nginx_conf.servers(HTTP, "chat") == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("localhost:8000", "127.0.0.1:8000", True),
        ("10.0.0.2", "10.0.0.2:80", True),
        ("Node-A:80", "node-a", True),
        ("[::1]:80", "[::1]", True),
        ("10.0.0.2:81", "10.0.0.2", False),
        ("unix:/run/a.sock", "unix:/run/b.sock", False),
    ],
)
def test_spellings_of_one_address(one: str, other: str, same: bool) -> None:
    assert (nginx_conf.canonical(one) == nginx_conf.canonical(other)) is same


def test_an_address_is_down_in_all_upstreams_and_nothing_else_is_touched() -> None:
    down = nginx_conf.set_all_down(HTTP, "localhost:8000", True)
    assert down.count(" down;") == 3
    assert nginx_conf.set_all_down(down, "127.0.0.1:8000", False) == HTTP


@pytest.mark.parametrize("text", ["http { init_by_lua_block { if a then { ", "content_by_lua_block { } } "])
def test_half_a_block_of_lua_is_refused(text: str) -> None:
    with pytest.raises(nginx_conf.SyntaxProblem):
        nginx_conf.upstreams(text)


def test_one_word_changes() -> None:
    down = nginx_conf.set_down(TEXT, found(TEXT, "10.0.0.1:80"), True)
    assert down == TEXT.replace("weight=10 max_fails=3;", "weight=10 max_fails=3 down;")
    assert nginx_conf.set_down(down, found(down, "10.0.0.1:80"), False) == TEXT
    assert nginx_conf.set_down(TEXT, found(TEXT, "10.0.0.2:80"), False) == TEXT.replace("' down weight", "' weight")
    assert nginx_conf.set_weight(TEXT, found(TEXT, "10.0.0.1:80"), 3) == TEXT.replace("weight=10", "weight=3")
    assert "c.sock weight=3" in nginx_conf.set_weight(TEXT, found(TEXT, "unix:/run/c.sock"), 3)


@pytest.mark.parametrize("text", ["upstream llm {", "server a", "}", "upstream llm { server a }"])
def test_half_a_file_is_refused(text: str) -> None:
    with pytest.raises(nginx_conf.SyntaxProblem):
        nginx_conf.servers(text, "llm")


words = st.sampled_from(["down", "weight=7", "backup", "max_fails=2", "# down\n", "\n", "resolve"])


@given(st.lists(st.lists(words, max_size=4), min_size=1, max_size=4))
def test_there_and_back_is_the_same_for_all_others(parameters: list[list[str]]) -> None:
    lines = [f"server s{number}:1 {' '.join(each)}\n;" for number, each in enumerate(parameters)]
    text = "upstream llm {\n" + "\n".join(lines) + "\n}\n"
    before = {s.address: (s.down, s.weight, s.backup) for s in nginx_conf.servers(text, "llm")}
    for down in (True, False):
        text = nginx_conf.set_down(text, found(text, "s0:1"), down)
        after = {s.address: (s.down, s.weight, s.backup) for s in nginx_conf.servers(text, "llm")}
        assert after == {**before, "s0:1": (down, *before["s0:1"][1:])}


@pytest.fixture
def recorded_nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An nginx whose workers and commands a test makes up; the real one is in tests/integration/balancers."""
    path = tmp_path / "upstream.conf"
    path.write_text(TEXT)
    state = {"workers": NginxWorkers({1: os.stat(path).st_ctime + 5}, {}), "rc": {"test": 0, "reload": 0}}

    def run(argv, _timeout):
        if argv[0] == "reload" and not state["rc"]["reload"]:
            state["workers"] = NginxWorkers({max(state["workers"].serving) + 1: os.stat(path).st_ctime + 5}, {})
        return CommandResult(state["rc"][argv[0]], b"", b"no" if state["rc"][argv[0]] else b"")

    monkeypatch.setattr(adapter.nginx_workers, "read", lambda _pid_file: state["workers"])
    state["path"] = path
    state["nginx"] = Nginx(str(path), "llm", NginxControl("pid", ["test"], ["reload"]), 0.2, str(tmp_path), run)
    return state


def test_drained_and_back(recorded_nginx) -> None:
    recorded_nginx["nginx"].drain("10.0.0.1:80")
    assert recorded_nginx["nginx"].state("10.0.0.1:80").admin == "drained"
    recorded_nginx["nginx"].ready("10.0.0.1:80")
    assert recorded_nginx["path"].read_text() == TEXT


def test_what_nginx_does_not_accept_is_put_back(recorded_nginx) -> None:
    recorded_nginx["rc"]["test"] = 1
    with pytest.raises(BalancerError, match="was put back: exit status 1: no"):
        recorded_nginx["nginx"].drain("10.0.0.1:80")
    assert recorded_nginx["path"].read_text() == TEXT


def test_a_put_back_that_failed_says_so(recorded_nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded_nginx["rc"]["test"] = 1
    monkeypatch.setattr(adapter.files, "replace", lambda *_words: False)
    monkeypatch.setattr(adapter.files, "edit", lambda _path, change: (TEXT.encode(), change(TEXT.encode())))
    with pytest.raises(BalancerError, match="could NOT be put back: somebody else has changed it") as caught:
        recorded_nginx["nginx"].drain("10.0.0.1:80")
    assert caught.value.kind == "unproven"


def test_the_only_server_of_another_upstream_is_refused(recorded_nginx) -> None:
    text = TEXT.replace(" server 10.0.0.7:80;", "")
    recorded_nginx["path"].write_text(text)
    with pytest.raises(BalancerError, match="also the only server of upstream other"):
        recorded_nginx["nginx"].drain("10.0.0.1:80")
    assert recorded_nginx["path"].read_text() == text


def test_down_here_and_in_use_elsewhere_is_not_yet_drained(recorded_nginx) -> None:
    recorded_nginx["path"].write_text(TEXT.replace("weight=10 max_fails=3;", "weight=10 max_fails=3 down;"))
    member = recorded_nginx["nginx"].state("10.0.0.1:80")
    assert (member.admin, member.pending) == ("drained", True)
    assert "upstream other" in member.says


DUMP = """\
# configuration file /etc/nginx/nginx.conf:
http { include up/*.conf; }

# configuration file /etc/nginx/up/llm.conf:
{text}
# configuration file /etc/nginx/up/chat.conf:
upstream chat { server 10.0.0.1; server 10.0.0.9; }
"""


def test_other_files_that_nginx_reads_are_looked_at() -> None:
    dump = DUMP.replace("{text}", TEXT)
    told = nginx_twins.in_other_files(dump, "/elsewhere/llm.conf", TEXT, "10.0.0.1:80")
    assert told == ["upstream chat in /etc/nginx/up/chat.conf"], "our own is known by its content"
    assert nginx_twins.in_other_files(dump, "/etc/nginx/up/llm.conf", "", "10.0.0.2:80") == []
    broken = dump.replace("server 10.0.0.9; }", "")
    with pytest.raises(BalancerError, match=r"chat\.conf"):
        nginx_twins.in_other_files(broken, "/etc/nginx/up/llm.conf", TEXT, "10.0.0.1")


def test_the_upstream_is_found_in_the_file_that_nginx_reads_it_from(tmp_path: Path) -> None:
    main, included = tmp_path / "nginx.conf", tmp_path / "llm.conf"
    main.write_text(f"http {{ include {included}; }}\n")
    included.write_text(TEXT)
    dump = f"# configuration file {main}:\n{main.read_text()}\n# configuration file {included}:\n{TEXT}\n"
    assert nginx_twins.file_of(dump, "llm") == str(included)
    assert nginx_twins.file_of(dump, "chat") is None
    nginx = Nginx(
        str(main),
        "llm",
        NginxControl("pid", ["nginx", "-t"]),
        1,
        str(tmp_path),
        lambda *_words: CommandResult(0, dump.encode(), b""),
    )
    nginx._find_file()
    assert nginx._file == str(included)
    included.write_text("# of another nginx")
    assert nginx_twins.file_of(dump, "llm") is None, "what nginx reads is not what is here"


def test_a_configuration_that_nginx_refuses_already_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "upstream.conf").write_text(TEXT)
    asked = []

    def run(argv, _timeout):
        asked.append(argv)
        return CommandResult(1, b"", b"unknown directive")

    control = NginxControl("pid", ["nginx", "-t", "-c", "x"], ["reload"])
    nginx = Nginx(str(tmp_path / "upstream.conf"), "llm", control, 0.2, str(tmp_path), run)
    with pytest.raises(BalancerError, match="as it is: exit status 1: unknown directive"):
        nginx._refuse_twins("10.0.0.1:80")
    assert asked == [["nginx", "-T", "-c", "x"]]


def test_a_reload_that_did_not_happen_is_told(recorded_nginx) -> None:
    recorded_nginx["rc"]["reload"] = 1
    with pytest.raises(BalancerError) as caught:
        recorded_nginx["nginx"].drain("10.0.0.1:80")
    assert caught.value.kind == "unproven"
    later = os.stat(recorded_nginx["path"]).st_ctime
    recorded_nginx["workers"] = NginxWorkers({1: later - 60}, {})
    assert recorded_nginx["nginx"].state("10.0.0.1:80").pending


def test_old_workers_may_have_requests_for_anyone(recorded_nginx) -> None:
    assert recorded_nginx["nginx"].in_flight("10.0.0.1:80").value == 0
    recorded_nginx["workers"] = NginxWorkers({2: 1.0}, {1: 0.0})
    assert recorded_nginx["nginx"].in_flight("10.0.0.1:80").value is None


def test_a_pid_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "upstream.conf").write_text(TEXT)
    nginx = Nginx(str(tmp_path / "upstream.conf"), "llm", NginxControl(str(tmp_path / "no.pid")), 1, str(tmp_path))
    with pytest.raises(BalancerError, match=r"nginx cannot be found by .*no\.pid"):
        nginx.members()
    (tmp_path / "no.pid").write_text(str(os.getpid()))
    with pytest.raises(BalancerError, match="is no nginx master"):
        nginx.members()


def test_what_keeps_nginx_from_being_told(recorded_nginx, monkeypatch: pytest.MonkeyPatch) -> None:
    nginx, folder = recorded_nginx["nginx"], recorded_nginx["path"].parent
    monkeypatch.setattr(adapter.nginx_workers, "master_of", lambda _pid_file: os.getpid())
    assert [each.what for each in nginx.obstacles()] == ["there is no program reload, by which nginx is reloaded"]
    own = folder / "nginx"
    own.write_text("#!/bin/false\n")
    own.chmod(0o755)
    nginx._control = NginxControl("pid", ["test"], [str(own), "-s", "reload"])
    assert nginx.obstacles() == []
    recorded_nginx["rc"]["test"] = 1
    (refused,) = nginx.obstacles()
    assert "as it is, or cannot be asked: exit status 1: no" in refused.what
    assert "run test as the user" in refused.do


def test_without_a_master_nginx_is_not_started_to_test(recorded_nginx) -> None:
    nginx, asked = recorded_nginx["nginx"], []
    nginx._run = lambda argv, _timeout: asked.append(argv) or CommandResult(0, b"", b"")
    with pytest.raises(BalancerError, match="nginx cannot be found by pid"):
        nginx.obstacles()
    assert asked == []
