# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in what an inventory declares, option by option.  Pure.

A template is whatever it will be in a play, and no mistake; and so is null, which playbooks take for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from autoglm_recovery.declarable.options import (
    BALANCER,
    BALANCER_NEEDS,
    POOL,
    SERVICE,
    SERVICE_NAMES,
    WITH_PID_FILE,
    Options,
)
from autoglm_recovery.knowledge.balancers.pool import parse_needed
from autoglm_recovery.knowledge.balancers.registry import open_balancer
from autoglm_recovery.knowledge.engines.registry import ENGINES, open_engine
from autoglm_recovery.knowledge.engines.transport import check_url
from autoglm_recovery.knowledge.host.plain import quoted
from autoglm_recovery.knowledge.services import drop_in
from autoglm_recovery.knowledge.services.registry import open_service
from autoglm_recovery.policy.mistakes import kind_of

TEMPLATE = re.compile(r"\{[{%]")
# What Ansible takes for a number or a flag, though it is a text.
NUMBERS = {"int": r"^[+-]?[0-9]+$", "float": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"}
FLAGS = ("true", "false", "yes", "no", "on", "off", "y", "n", "t", "f", "1", "0")
_COMMAND = "give a list that begins with an absolute path"
_CALLED = {"str": "a text", "path": "a path", "int": "a whole number", "float": "a number", "bool": "true or false",
           "dict": "a mapping", "list": "a list"}  # fmt: skip


@dataclass(frozen=True)
class DeclaredMistake:
    """One mistake.  ``do`` is what to do, or else ``word`` stands where only one of ``known`` can."""

    what: str
    do: str = ""
    word: object = None
    known: tuple[str, ...] = ()


def of_service(service: Mapping[str, Any]) -> Iterator[DeclaredMistake]:
    """Yield what is wrong with one of ``autoglm_services``."""
    found = [*_of_options(SERVICE, service)]
    found += _of_url(service.get("url")) if not any("its url" in each.what for each in found) else ()
    found += [*_of_name(service), *_of_engine_options(service)]
    found += _of_comm_paths(service) if not found else ()
    yield from found
    if not found and not _has_template(service):
        # What is left is for the code that would use it to say.
        yield from _refused(lambda: open_service(_as_taken(SERVICE, service), 1.0))
        options = service.get("engine_options") or {}
        yield from _refused(lambda: open_engine(service["engine"], service["url"], options=options))


def _of_name(service: Mapping[str, Any]) -> Iterator[DeclaredMistake]:
    """Yield what is wrong with what runs the service."""
    named = [name for name in SERVICE_NAMES if name in service]
    if len(named) != 1:
        yield DeclaredMistake(
            f"has {' and '.join(named) or 'no unit, container or pid_file'}", "give exactly one of them"
        )
        return
    if service[named[0]] is None:
        yield DeclaredMistake(f"its {named[0]} is empty", "write what it is")
    if "pid_file" not in named:
        for key in WITH_PID_FILE:
            if service.get(key) and not _is_template(service[key]):
                yield DeclaredMistake(f"its {key} belongs to a service with a pid_file", "leave it out")
    elif service.get("start_command") is None:
        yield DeclaredMistake("has a pid_file and no start_command", _COMMAND)
    elif not _is_command(service["start_command"]):
        yield DeclaredMistake("its start_command is none", _COMMAND)


def _of_comm_paths(service: Mapping[str, Any]) -> Iterator[DeclaredMistake]:
    """Yield what is wrong with its other communication paths."""
    paths = [path for path in service.get("comm_paths") or [] if not _has_template(path)]
    if paths and service.get("unit") is None:
        yield DeclaredMistake("its comm_paths belong to a service with a unit", "leave them out")
    names = [path["name"] for path in paths]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield DeclaredMistake(f"has two comm_paths called {quoted(name)}", "give each a name of its own")
    if "primary" in names:
        yield DeclaredMistake("has a comm_path called primary, which is the way back", "give it another name")
    for path in paths:
        yield from _refused(partial(drop_in.checked, path["name"], path["environment"]))


def _of_engine_options(service: Mapping[str, Any]) -> Iterator[DeclaredMistake]:
    engine, options = ENGINES.get(str(service.get("engine"))), service.get("engine_options")
    if engine is not None and isinstance(options, Mapping):
        for key in sorted(str(key) for key in options if key not in engine.options):
            yield _nothing_reads(f"engine_options.{key}", key, engine.options)


def _of_url(url: object) -> Iterator[DeclaredMistake]:
    if isinstance(url, str) and not _is_template(url):
        try:
            check_url(url)
        except ValueError as error:
            yield DeclaredMistake(
                f"its url {quoted(url)} is no address: {error}", "write for example http://127.0.0.1:8080"
            )


def of_pool(pool: Mapping[str, Any]) -> Iterator[DeclaredMistake]:
    """Yield what is wrong with one of ``autoglm_pools``."""
    yield from _of_options(POOL, pool)
    if pool.get("min_available") is not None and not _has_template(pool["min_available"]):
        yield from _refused(lambda: parse_needed(str(pool["min_available"])))
    given = [key for key in ("balancer", "balancers") if pool.get(key)]
    if not given:
        do = "give balancer or balancers, or leave the pool out where nothing is in front of it"
        yield DeclaredMistake("has no balancer: nothing would take a replica out of traffic", do)
    elif len(given) == 2:
        yield DeclaredMistake("has balancer and balancers, of which only balancers counts", "give one of them")
    listed = pool.get("balancers") or [pool.get("balancer")]
    for balancer in listed if isinstance(listed, list) else ():
        if isinstance(balancer, Mapping):
            yield from _of_balancer(balancer)


def _of_balancer(balancer: Mapping[str, Any]) -> Iterator[DeclaredMistake]:
    """Yield what the options do not say each by itself."""
    kind = balancer.get("kind")
    needs = BALANCER_NEEDS.get(str(kind))
    if needs is None:
        return
    missing = [need for need in needs if not balancer.get(need)]
    if missing:
        yield DeclaredMistake(
            f"its balancer of kind {kind} has no {' and no '.join(missing)}", "docs/balancers.md says what it needs"
        )
    elif not _has_template(balancer) and not [*_of_options(BALANCER, balancer)]:
        yield from _refused(lambda: open_balancer(_as_taken(BALANCER, balancer)))


def _as_taken(options: Options, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a module gets of options that are of the right types: Ansible makes a number of a text, and so on."""
    return {name: _taken(option, given.get(name)) for name, option in options.items()}


def _taken(option: Mapping[str, Any], value: Any) -> Any:
    if value is None:
        return option.get("default")
    if option["type"] in ("int", "float"):
        return float(value) if option["type"] == "float" else int(value)
    if option["type"] == "list":
        return [str(each) for each in (value.split(",") if isinstance(value, str) else value)]
    if option["type"] == "dict":
        return _as_taken(option["options"], value) if "options" in option else value
    return value if option["type"] == "bool" else str(value)


def _refused(ask: Any) -> Iterator[DeclaredMistake]:
    """Yield what the code that would use it says against it."""
    try:
        ask()
    except (OverflowError, ValueError) as error:
        yield DeclaredMistake(f"would be refused: {error}")


def _of_options(options: Options, given: Mapping[str, Any], within: str = "") -> Iterator[DeclaredMistake]:
    for key in sorted(str(key) for key in given if key not in options):
        yield _nothing_reads(f"{within}{key}", key, options)
    for key, option in options.items():
        value = given.get(key)
        if value is not None:
            yield from () if _is_template(value) else _of_value(f"{within}{key}", option, value)
        elif option.get("required"):
            yield DeclaredMistake(
                f"has no {within}{key}: every run would be refused", known=tuple(option.get("choices", ()))
            )


def _nothing_reads(place: str, key: str, known: Mapping[str, Any]) -> DeclaredMistake:
    return DeclaredMistake(f"nothing reads the key {place}", word=key, known=tuple(known))


def _of_value(place: str, option: Mapping[str, Any], value: Any) -> Iterator[DeclaredMistake]:
    if not _is(value, option):
        yield DeclaredMistake(f"its {place} must be {_CALLED[option['type']]}, not {kind_of(value)}")
    elif "choices" in option and value not in option["choices"]:
        yield DeclaredMistake(f"there is no {place} {value}", word=value, known=tuple(option["choices"]))
    elif "shape" in option and ("\n" in str(value) or not re.search(option["shape"].pattern, str(value))):
        shape = option["shape"]
        yield DeclaredMistake(
            f"its {place} {quoted(value)} {shape.otherwise}", f"write for example {shape.for_example}"
        )
    elif "options" in option and isinstance(value, Mapping):
        yield from _of_options(option["options"], value, f"{place}.")
    elif "options" in option:
        for number, each in enumerate(value):
            if isinstance(each, Mapping):
                yield from _of_options(option["options"], each, f"{place}[{number}].")
            elif not _is_template(each):
                yield DeclaredMistake(f"its {place}[{number}] must be a mapping, not {kind_of(each)}")


def _is(value: Any, option: Mapping[str, Any]) -> bool:
    """Tell whether Ansible takes a value for one of the type."""
    kind = option["type"]
    if kind == "dict":
        return isinstance(value, Mapping)
    if kind == "list":
        # Ansible makes a list of a text with commas, but the playbooks want a command to be one.
        return isinstance(value, list) or (isinstance(value, str) and option.get("elements") != "dict")
    if kind == "bool":
        return isinstance(value, bool) or (isinstance(value, str | int) and str(value) in FLAGS)
    if isinstance(value, bool):
        return False
    if kind in NUMBERS:
        text = isinstance(value, str) and "\n" not in value and re.search(NUMBERS[kind], value) is not None
        return text or isinstance(value, int if kind == "int" else int | float)
    strict = kind == "path" or option.get("strict") or "shape" in option
    return isinstance(value, str) or (isinstance(value, int | float) and not strict)


def _is_command(value: Any) -> bool:
    if _is_template(value):
        return True
    return isinstance(value, list) and bool(value) and (_is_template(value[0]) or str(value[0]).startswith("/"))


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and TEMPLATE.search(value) is not None


def _has_template(value: Any) -> bool:
    """Tell whether any text in it is a template."""
    if isinstance(value, Mapping):
        return any(map(_has_template, value.values()))
    if isinstance(value, list):
        return any(map(_has_template, value))
    return _is_template(value)
