# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service is run is worked out of the role's list and of autoglm_services, and quoted for systemd."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.plugin_utils.inference_units import Defaults, UnitMistake, planned

DEFAULTS = Defaults("inference", {"llama_cpp": ["/usr/bin/llama-server"], "vllm": ["/opt/vllm/bin/vllm", "serve"]})
DECLARED = {"name": "llama", "engine": "llama_cpp", "url": "http://192.0.2.11:8080", "unit": "llama", "model": "chat"}
RUN = {"name": "llama", "model_path": "/srv/m.gguf"}


def plan(declared: dict[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    """Plan the only service; ``declared`` is added to what autoglm_services says of it."""
    (only,) = planned([RUN | own], [DECLARED | (declared or {})], DEFAULTS)
    return only


def variables(planned_service: dict[str, Any]) -> list[str]:
    return str(planned_service["environment"]).splitlines()


def test_what_the_inventory_says_is_not_said_twice() -> None:
    made = plan({"stop_timeout": 60, "checkpoint": {"store": "/b", "engine_state_dir": "/var/lib/slots"}})
    assert made["unit"] == "llama.service"
    assert made["stop_timeout"] == 60
    assert made["exec"] == (
        "/usr/bin/llama-server --model /srv/m.gguf --host 192.0.2.11 --port 8080 --metrics --slots --alias chat"
        " --slot-save-path /var/lib/slots $AUTOGLM_ENGINE_ARGS $AUTOGLM_ENGINE_OVERRIDES"
    )
    assert made["writes"] == ["/var/lib/slots"]


def test_a_service_that_the_inventory_does_not_have_says_all_itself() -> None:
    (made,) = planned([RUN | {"engine": "vllm", "url": "http://[::1]", "unit": "v.service"}], [], DEFAULTS)
    assert made["exec"].startswith(
        "/opt/vllm/bin/vllm serve /srv/m.gguf --host ::1 --port 80 --served-model-name /srv/m.gguf "
    )


def test_a_key_is_on_no_command_line() -> None:
    llama, vllm = plan({"api_key": "s3cret"}), plan({"api_key": "s3cret", "engine": "vllm"})
    assert "s3cret" not in llama["exec"] + llama["environment"] + vllm["exec"]
    assert "--api-key-file ${CREDENTIALS_DIRECTORY}/api-key" in llama["exec"]
    assert llama["credentials"] == ["api-key:/etc/autoglm/inference/llama/api-key"]
    assert 'VLLM_API_KEY="s3cret"' in variables(vllm)


def test_words_are_quoted_for_who_reads_them() -> None:
    made = plan(prefix=["/bin/a b", "100%", "$HOME"], args=["--x", '{"a": "\\d"}'], environment={"E": 'a "b" $c \\'})
    assert made["exec"].startswith('"/bin/a b" 100%% "$$HOME" /usr/bin/llama-server ')
    # systemd takes off one layer as it reads the file, and another as it splits the variable into words.
    assert 'AUTOGLM_ENGINE_ARGS="--x \\"{\\\\\\"a\\\\\\": \\\\\\"\\\\\\\\d\\\\\\"}\\""' in variables(made)
    assert 'E="a \\"b\\" \\$c \\\\"' in variables(made)


def test_only_what_a_process_keeps_from_its_start_waits_for_a_restart() -> None:
    before = plan()["digest"]
    assert plan({"stop_timeout": 7, "ready_timeout": 9, "ca_path": "/ca.pem"}, restart="on-failure")["digest"] == before
    changes = [{"args": ["-c", "1"]}, {"memory_max": "1G"}, {"environment": {"A": "b"}}, {"user": "x"}, {"gpu": False}]
    assert len({before, *(plan(**change)["digest"] for change in changes)}) == len(changes) + 1
    assert plan({"api_key": "a"})["digest"] != plan({"api_key": "b"})["digest"]


@pytest.mark.parametrize(
    ("declared", "own", "words"),
    [
        ({"unit": ""}, {}, "has no unit; say it in autoglm_services"),
        ({"unit": "a/b"}, {}, "'a/b.service' is no name of a unit"),
        ({}, {"model_path": None}, "has no model_path"),
        ({"engine": "sglang"}, {}, "nothing here knows how to start sglang; give command"),
        ({}, {"command": ["llama-server"]}, "the program 'llama-server' must be an absolute path"),
        ({"url": "127.0.0.1:8080"}, {}, "its url is no address"),
        ({"url": "http://127.0.0.1:x"}, {}, "its url is no address"),
        ({"url": "http://127.0.0.1:8080", "serving_url": "http://192.0.2.11:8080"}, {}, "listen: 0.0.0.0"),
        ({}, {"listen": "node-a"}, "listen must be an IP address"),
        ({"url": "https://192.0.2.11:8080"}, {}, "needs tls_cert and tls_key"),
        ({}, {"tls_cert": "/c.pem", "tls_key": "/k.pem"}, "these need such an url"),
        ({}, {"args": ["a\nb"]}, "must be one line"),
        ({}, {"environment": {"AUTOGLM_ENGINE_ARGS": "x"}}, "is no variable that its environment may have"),
        ({}, {"environment": {"A": "b\nC=d"}}, "must be one line"),
        ({"api_key": "a\nb"}, {}, "its api_key must be one line"),
        ({}, {"read_write_paths": ["data"]}, "is no absolute path"),
        ({}, {"read_write_paths": ["/srv/%h"]}, "is no absolute path"),
        ({}, {"user": "root\nExecStartPre=/bin/false"}, "its user must be a name"),
        ({}, {"groups": ["render", "video\nUser=root"]}, "its group must be a name"),
        ({"engine": "own\nUser=root"}, {"command": ["/bin/own"]}, "its engine must be a name"),
        ({}, {"memory_max": "1G\nUser=root"}, "memory_max is no size"),
        ({}, {"name": "../x"}, "is no name of a service"),
    ],
)
def test_what_could_not_be_run_is_refused(declared: dict[str, Any], own: dict[str, Any], words: str) -> None:
    with pytest.raises(UnitMistake, match=re.escape(words)):
        plan(declared, **own)


def test_two_services_have_two_units() -> None:
    with pytest.raises(UnitMistake, match=r"two services have the unit llama\.service"):
        planned([RUN, RUN | {"name": "b"}], [DECLARED, DECLARED | {"name": "b"}], DEFAULTS)
    with pytest.raises(UnitMistake, match="two services have the name llama"):
        planned([RUN, RUN | {"unit": "b"}], [DECLARED], DEFAULTS)
