# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference with a real nginx as people write it: all in one file, and one server in several upstreams."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.balancers.running import Nginx, started
from tests.support.servers.llama import Llama

HTTP = """
pid @FOLDER@/pid;
error_log @FOLDER@/error.log;
worker_processes 1;
user root;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path @FOLDER@/t; proxy_temp_path @FOLDER@/t; fastcgi_temp_path @FOLDER@/t;
    uwsgi_temp_path @FOLDER@/t; scgi_temp_path @FOLDER@/t;
    upstream llm {
        server @P1@;
        server @P2@ max_fails=0 fail_timeout=0;
    }
    upstream dup {
        server @P1@ max_fails=0 fail_timeout=0;
        server @P1@ max_fails=0 fail_timeout=0;
        server @P2@ max_fails=0 fail_timeout=0;
    }
    map $http_x $y { "~^(?<d>\\d{3})$" $d; default 0; }
    @MORE@
    server {
        listen 127.0.0.1:@PORT@;
        location / {
            set $model_name "";
            if ($request_body ~* '"model"\\s*:\\s*"([^"]+)"') { set $model_name $1; }
            proxy_pass http://llm;
        }
    }
}
"""


class InOneFile(Nginx):
    """An nginx whose upstreams stand in its main file."""

    def __init__(self, engines: dict[str, Llama], more: str = "") -> None:
        """Write it. ``more``: what else stands in its block http."""
        super().__init__(engines)
        text = HTTP.replace("@MORE@", more)
        values = {"FOLDER": self.inside, "PORT": str(self.port), "P1": self.name_of("p1"), "P2": self.name_of("p2")}
        for word, value in values.items():
            text = text.replace(f"@{word}@", value)
        (self.folder / "nginx.conf").write_text(text)

    @property
    def text(self) -> str:
        """What it is told now."""
        return (self.folder / "nginx.conf").read_text()

    def pool(self, **changes: Any) -> dict[str, Any]:
        """The option ``balancer``."""
        return super().pool(**{"file": str(self.folder / "nginx.conf"), **changes})


@pytest.fixture
def configured(engines: dict[str, Llama]) -> Iterator[Callable[..., InOneFile]]:
    with contextlib.ExitStack() as stack:

        def start(more: str = "", **files: str) -> InOneFile:
            nginx = InOneFile(engines, more)
            for name, text in files.items():
                (nginx.folder / f"{name}.conf").write_text(text.replace("@P1@", nginx.name_of("p1")))
            (nginx.folder / "nginx.conf").write_text(nginx.text.replace("@INSIDE@", nginx.inside))
            return stack.enter_context(started(nginx))

        yield start


def test_an_upstream_inside_http_is_drained_with_its_twins_and_comes_back(run, configured, engines) -> None:
    nginx = configured()
    before = nginx.text
    result = run(nginx, engines["p1"], "drained", "p1")
    assert result["outcome"] == "drained", result
    assert nginx.text.count(" down;") == 3, "in the upstream itself, and twice in the other"
    again = run(nginx, engines["p1"], "drained", "p1", balancer=nginx.pool(backend="dup"))
    assert again["changed"] is False
    assert run(nginx, engines["p1"], "active", "p1")["outcome"] == "active"
    assert nginx.text == before


def test_a_server_that_another_file_uses_is_refused_before_anything(run, configured, engines) -> None:
    nginx = configured("include @INSIDE@/chat.conf;", chat="upstream chat { server @P1@; }\n")
    before = nginx.text
    result = run(nginx, engines["p1"], "drained", "p1")
    assert result["outcome"] == "refused", result
    assert "upstream chat in" in result["msg"]
    assert nginx.text == before
    (nginx.folder / "chat.conf").write_text(f"upstream chat {{ server {nginx.name_of('p1')} down; }}\n")
    assert run(nginx, engines["p1"], "drained", "p1")["outcome"] == "drained"


def test_the_only_server_of_another_upstream_is_refused(run, configured, engines) -> None:
    nginx = configured(f"upstream alone {{ server 127.0.0.1:{engines['p1'].port}; }}")
    result = run(nginx, engines["p1"], "drained", "p1")
    assert result["outcome"] == "refused", result
    assert "upstream alone" in result["msg"]
