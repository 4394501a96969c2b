# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory declares is right or wrong alike for an editor, by the schema, and for the checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_recovery.declarable import options
from autoglm_recovery.declarable.mistakes import of_pool, of_service
from autoglm_recovery.declarable.published import json_schema

CHECKOUT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
URL = "http://127.0.0.1:8080"
UNIT: dict[str, Any] = {"name": "llama", "engine": "llama_cpp", "url": URL, "unit": "llama.service"}
PID_FILE: dict[str, Any] = {
    "name": "e",
    "engine": "vllm",
    "url": URL,
    "pid_file": "/run/e.pid",
    "start_command": ["/bin/e"],
}
SLOW: dict[str, Any] = {"name": "slow", "environment": {"NCCL_P2P_DISABLE": "1"}}
HAPROXY: dict[str, Any] = {"kind": "haproxy", "socket": "/run/h.sock", "backend": "llm"}


def by_check(variables: dict[str, Any]) -> list[str]:
    """Return what the checks say, with what was meant."""
    found = [mistake for service in variables.get("autoglm_services", ()) for mistake in of_service(service)]
    found += [mistake for pool in variables.get("autoglm_pools", {}).values() for mistake in of_pool(pool)]
    return [f"{each.what} -> {each.do}" for each in found]


def by_schema(variables: dict[str, Any]) -> list[str]:
    """Return what an editor says."""
    return [error.message for error in VALIDATOR.iter_errors(variables)]


def service(base: dict[str, Any] = UNIT, **changes: Any) -> dict[str, Any]:
    """Return the variables of a host with one service; a key that is ``...`` is left out."""
    changed = {key: value for key, value in {**base, **changes}.items() if value is not ...}
    return {"autoglm_services": [changed]}


def pool(**keys: Any) -> dict[str, Any]:
    """Return variables with one pool."""
    return {"autoglm_pools": {"chat": keys}}


def balancer(**keys: Any) -> dict[str, Any]:
    """Return variables with one pool behind one balancer."""
    return pool(balancer=keys)


def shown() -> Iterator[Any]:
    """Return what the documentation shows of services and pools."""

    def within(document: Any) -> Iterator[dict[str, Any]]:
        if isinstance(document, dict):
            ours = {name: document[name] for name in VALIDATOR.schema["properties"] if name in document}
            yield from [ours] if ours else []
        for each in document.values() if isinstance(document, dict) else document if isinstance(document, list) else ():
            yield from within(each)

    for page in (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))):
        for block in re.finditer(r"^```yaml[^\n]*\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            for ours in within(yaml.safe_load(block[1])):
                yield pytest.param(ours, id=page.name)


def test_it_is_a_schema() -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("variables", list(shown()))
def test_what_people_are_shown_is_right_by_both(variables: dict[str, Any]) -> None:
    assert by_check(variables) == by_schema(variables) == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"of_somebody_else": 1, "autoglm_services": []},
        service(),
        service(PID_FILE, user="llama", environment={"A": "b"}, log_file="/var/log/e"),
        service(stop_timeout="60", stall_seconds=2.5, model=70, cache_paths=["/x"], pool=None),
        service(comm_paths=[{"name": "slow", "environment": {"NCCL_P2P_DISABLE": 1, "NCCL_IB_HCA": "^mlx5_3"}}]),
        service(comm_paths=[{"name": "{{ slow }}", "environment": {"A": True}}]),
        service(url="{{ u }}", unit="{{ what }}", engine="{{ e }}", stop_timeout="{{ t }}", checkpoint="{{ c }}"),
        service(checkpoint={"store": "s3://x", "keep": 5, "signal": {"unit": "t.service"}}),
        service(engine="ollama", engine_options={"model": "m"}),
        pool(balancer="{{ front }}"),
        pool(min_available="50%", balancers=[HAPROXY, {"kind": "file_sd", "file": "/x.yml", "count_unchecked": "yes"}]),
        balancer(**HAPROXY, host="{{ ops }}", metrics_url="http://127.0.0.1:8405/metrics"),
        balancer(kind="command", commands={"state": ["/s"], "drain": ["/d"], "ready": ["/r"]}),
        balancer(kind="envoy", file="/e.yaml", admin_url="http://127.0.0.1:9901", backend="llm"),
        balancer(kind="kubernetes", backend="llm", namespace="x"),
        balancer(kind="nginx", file="/n.conf", backend="llm"),
    ],
)  # fmt: skip
def test_what_is_right_is_right_by_both(variables: dict[str, Any]) -> None:
    assert by_check(variables) == by_schema(variables) == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (service(stop_timeot=1), "nothing reads the key stop_timeot -> "),
        (service(unit=...), "has no unit, container or pid_file -> give exactly one of them"),
        (service(container="x"), "has unit and container -> give exactly one of them"),
        (service(container=None), "has unit and container -> give exactly one of them"),
        (service(PID_FILE, start_command=...), "has a pid_file and no start_command"),
        (service(user="llama"), "its user belongs to a service with a pid_file"),
        (service(engine="vlm"), "there is no engine vlm"),
        (service(engine=...), "has no engine: every run would be refused"),
        (service(url=...), "has no url: every run would be refused"),
        (service(url="127.0.0.1:80"), "its url '127.0.0.1:80' is no address"),
        (service(unit="llama server"), "is no name of a unit -> write for example llama-server.service"),
        (service(unit=...,  container="-x"), "is no name of a container"),
        (service(PID_FILE, pid_file="run/e.pid"), "is no absolute path"),
        (service(name=7), "its name must be a text"),
        (service(pool=7), "its pool must be a text"),
        (service(stop_timeout="soon"), "its stop_timeout must be a whole number, not a text"),
        (service(stall_seconds=True), "its stall_seconds must be a number"),
        (service(environment=["A=b"]), "its environment must be a mapping, not a list"),
        (service(container_runtime="dokcer"), "there is no container_runtime dokcer"),
        (service(checkpoint={}), "has no checkpoint.store"),
        (service(checkpoint={"store": "/x", "kepp": 1}), "nothing reads the key checkpoint.kepp"),
        (service(checkpoint={"store": "/x", "format": "zip"}), "there is no checkpoint.format zip"),
        (pool(), "has no balancer: nothing would take a replica out of traffic"),
        (pool(balancer=HAPROXY, balancers=[HAPROXY]), "of which only balancers counts"),
        (pool(balancer=HAPROXY, remaining="wiat"), "there is no remaining wiat"),
        (pool(balancers=["haproxy"]), "its balancers[0] must be a mapping, not a text"),
        (balancer(socket="/x", backend="llm"), "has no balancer.kind"),
        (balancer(kind="haproxi"), "there is no balancer.kind haproxi"),
        (balancer(kind="haproxy", backend="llm"), "its balancer of kind haproxy has no socket"),
        (balancer(**HAPROXY, sokcet="/x"), "nothing reads the key balancer.sokcet"),
        (pool(balancers=[{**HAPROXY, "hots": "ops"}]), "nothing reads the key balancers[0].hots"),
        (service(comm_paths=[{"name": "slow"}]), "has no comm_paths[0].environment"),
        (service(comm_paths=[{**SLOW, "tp": 4}]), "nothing reads the key comm_paths[0].tp"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_wrong_by_both(variables: dict[str, Any], said: str) -> None:
    assert any(said in each for each in by_check(variables)), by_check(variables)
    assert by_schema(variables)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (service(url="http://["), "is no address: "),
        (service(url="http://a/?key=1"), "must not hold a query"),
        (
            service(PID_FILE, start_command=["python"]),
            "its start_command is none -> give a list that begins with an abs",
        ),
        (service(PID_FILE, environment={"A=B": "c"}), "cannot be the name of a variable"),
        (service(engine_options={"modle": "x"}), "nothing reads the key engine_options.modle"),
        (
            service(engine="triton", engine_options={"backend": "x"}),
            "would be refused: option backend of engine triton",
        ),
        (service(PID_FILE, comm_paths=[SLOW]), "its comm_paths belong to a service with a unit"),
        (service(comm_paths=[SLOW, SLOW]), "has two comm_paths called 'slow'"),
        (service(comm_paths=[{**SLOW, "name": "primary"}]), "called primary, which is the way back"),
        (service(comm_paths=[{**SLOW, "environment": {"A B": "1"}}]), "no name of an environment variable"),
        (service(comm_paths=[{**SLOW, "environment": {"A": True}}]), "the value of A must be a text or a number"),
        (pool(min_available="half", balancer=HAPROXY), "min_available must be a number of servers"),
        (balancer(**{**HAPROXY, "backend": "a;b"}), "would be refused: "),
        (balancer(**HAPROXY, timeout=0), "timeout must be a number of seconds above 0"),
    ],
)
def test_what_no_schema_can_say_the_checks_do(variables: dict[str, Any], said: str) -> None:
    assert any(said in each for each in by_check(variables)), by_check(variables)


def test_every_key_is_described_to_an_editor_and_on_the_page() -> None:
    for table in (options.SERVICE, options.POOL, options.CHECKPOINT, options.BESIDE_BALANCER):
        assert [name for name, option in table.items() if not option.get("description")] == []
    page = (CHECKOUT / "docs/services.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", page, re.MULTILINE)
    expected = {**options.SERVICE, **options.POOL}
    assert dict(rows) == {name: option["description"] for name, option in expected.items()}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["http://a", "llama.service", "/x", "{{ a }}", "50%", "yes", "7"]),
    lambda held: (
        st.lists(held, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from([*options.BALANCER, *options.CHECKPOINT]), held, max_size=4
        )
    ),
    max_leaves=6,
)


@given(
    st.sampled_from([UNIT, PID_FILE]),
    st.dictionaries(st.sampled_from([*options.SERVICE]), VALUES, max_size=2),
    st.dictionaries(st.sampled_from([*options.POOL]), VALUES, max_size=2),
    st.dictionaries(st.sampled_from([*options.BALANCER]), VALUES, max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_whatever_an_editor_calls_wrong_the_checks_do_too_and_nothing_stops_them(
    base: dict[str, Any], of_a_service: dict[str, Any], of_a_pool: dict[str, Any], of_a_balancer: dict[str, Any]
) -> None:
    for variables in (service(base, **of_a_service), pool(**of_a_pool), balancer(**{**HAPROXY, **of_a_balancer})):
        assert by_check(variables) or not by_schema(variables)


def test_a_number_that_no_float_holds_is_a_mistake_and_no_traceback() -> None:
    (said,) = by_check(balancer(**HAPROXY, timeout=10**400))
    assert "would be refused" in said
