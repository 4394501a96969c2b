# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation names exists, and is by default what it says: modules, keys, ports, commands and options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml
from pydantic import BaseModel

from autoglm_recovery.cli.asking import DEFAULT_URL
from autoglm_recovery.cli.main import app
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.policy.model import Strategy
from autoglm_recovery.rules.configuration import render_alertmanager_fragment
from autoglm_recovery.rules.targets import EXPORTER_PORT, NODE_PORT

CHECKOUT = Path(__file__).parents[3]
PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
README = (CHECKOUT / "README.md").read_text("utf-8")
# Typer brings a click of its own, whose classes are not click's.
COMMANDS: Any = typer.main.get_command(app)


def table(text: str, head: str) -> list[list[str]]:
    """Return the rows of the Markdown table whose first line begins with ``head``."""
    lines = text[text.index(f"\n{head}") + 1 :].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# --- modules ---------------------------------------------------------------------------------------------------------


def test_readme_lists_every_module() -> None:
    named = {row[0].strip("`").removeprefix("autoglm.recovery.") for row in table(README, "| module | what it tells")}
    assert named == {path.stem for path in (CHECKOUT / "plugins/modules").glob("[a-z]*.py")}


def test_the_page_of_roles_lists_every_role() -> None:
    rows = table((CHECKOUT / "docs/roles.md").read_text("utf-8"), "| role | what it does")
    named = {re.sub(r"\[`(\w+)`\]\(.*\)", r"\1", row[0]) for row in rows}
    assert named == {path.name for path in (CHECKOUT / "roles").iterdir()}


# --- the policy ------------------------------------------------------------------------------------------------------

KEYS = table((CHECKOUT / "docs/policy.md").read_text("utf-8"), "| key | default | meaning |")
# Placeholders in keys, and something that they stand for.
FOR = {"CLASS": "oom", "CODE": "79", "KIND": "oom"}


def rows() -> Iterator[Any]:
    """Return each key of the table with what it says of it."""
    for cell, default, meaning in KEYS:
        for key in re.findall(r"`([^`]+)`", cell):
            yield pytest.param(key, default, meaning, id=key)


def nested(key: str, value: object) -> dict[str, Any]:
    """Return a document with one key."""
    for part in reversed(key.split(".")):
        value = {FOR.get(part, part): value}
    assert isinstance(value, dict)
    return value


def at(policy: Policy, key: str) -> Any:
    """Return what a policy has under a key."""
    found: Any = policy
    for part in key.split("."):
        if part == "CLASS":
            found = found.get("oom", Strategy())
        elif part in FOR:
            return None
        else:
            found = getattr(found, part)
    return found


def empty(value: Any) -> bool:
    """Tell whether nothing is set; a section that nobody has written has its own defaults."""
    return value == type(value)() if isinstance(value, BaseModel) else not value


@pytest.mark.parametrize(("key", "default", "meaning"), list(rows()))
def test_a_key_has_the_default_that_is_documented(key: str, default: str, meaning: str) -> None:
    value = at(Policy(), key)
    quoted = re.fullmatch(r"`([^`]+)`", default)
    if default == "none":
        assert empty(value)
    elif default == "see right":
        given = re.search(r"`(\{[^`]+\})`", meaning)
        assert given is not None
        document = yaml.safe_load(given[1].replace(": none", ": null"))
        said = {name: what for name, what in document.items() if what is not None}
        assert at(parse_policy(yaml.safe_dump(nested(key, said))), key) == value
    elif quoted and "." in quoted[1]:
        # As another key: nothing of its own, or the same.
        assert value is None or value == at(Policy(), quoted[1])
    elif quoted:
        assert at(parse_policy(yaml.safe_dump(nested(key, yaml.safe_load(quoted[1])))), key) == value
    else:
        assert value is None, f"{default!r} says that there is no default"


def model_keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """Return the keys of a section, and of strategies."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        if key == "recovery.strategies":
            yield from model_keys(Strategy, f"{key}.CLASS.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel) and not prefix:
            yield from model_keys(field.annotation, f"{key}.")
        else:
            yield key


def test_every_key_is_documented() -> None:
    documented = {key for cell, *_ in KEYS for key in re.findall(r"`([^`]+)`", cell)}
    missing = [
        key
        for key in model_keys(Policy, "")
        if not any(named == key or named.startswith(f"{key}.") or key.startswith(f"{named}.") for named in documented)
    ]
    assert missing == []


# --- commands --------------------------------------------------------------------------------------------------------


def commands() -> Iterator[Any]:
    """Return each command line of ours that a console block shows."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in re.finditer(r"^```(?:console|sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block[1].replace("\\\n", " ").splitlines():
                shown = re.search(r"(?:^|[|;&$(] *|-- )(autoglm (?![A-Z ]*$).*)", line)
                if shown:
                    place = text[: block.start()].count("\n") + 1
                    yield pytest.param(shown[1], id=f"{page.name}:{place}:{shown[1][:40]}")


def words_of(line: str) -> list[str]:
    """Return the words of one command, without what a shell reads otherwise."""
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in ("|", ">", ">>", "&&", ";", "<", "2>&1")), None)
    return words[1:end]


def option(command: Any, word: str) -> Any:
    """Return the option that a word names."""
    name = word.partition("=")[0]
    return next((each for each in command.params if name in (*each.opts, *each.secondary_opts)), None)


@pytest.mark.parametrize("line", list(commands()))
def test_a_command_that_is_shown_exists_with_its_options(line: str) -> None:
    words = words_of(line)
    command = COMMANDS
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    for word in words:
        if word.startswith("-") and word not in ("-", "--help"):
            assert option(command, word) is not None, f"{command.name} has no option {word}"


# --- ports -----------------------------------------------------------------------------------------------------------


def default_of(command: str, name: str) -> Any:
    """Return an option's default."""
    found = option(COMMANDS.commands[command], name)
    assert found is not None
    return found.default


def port(address: str) -> str:
    """Return the port of HOST:PORT or a URL."""
    return address.rpartition(":")[2].partition("/")[0]


RECEIVER = port(default_of("serve", "--listen"))


def test_the_code_has_one_port_for_each() -> None:
    assert port(DEFAULT_URL) == RECEIVER == str(urlsplit(default_of("rules", "--webhook-url")).port)
    assert port(default_of("exporter", "--listen")) == str(EXPORTER_PORT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_documentation_has_the_ports_of_the_code(page: Path) -> None:
    text = page.read_text("utf-8").replace("\\\n", " ")
    shown = [found[1] for found in re.finditer(r"autoglm serve[^\n]* --listen \S*:(\d+)", text)]
    shown += [found[1] for found in re.finditer(r":(\d+)/api/v1/(?:alerts|audit|incidents)", text)]
    assert set(shown) <= {RECEIVER}
    exporters = {found[1] for found in re.finditer(r"autoglm exporter[^\n]* --listen \S*:(\d+)", text)}
    assert exporters <= {str(EXPORTER_PORT)}
    targets = {found[1] for found in re.finditer(r"targets: \['[0-9.]+:(\d+)'\]", text)}
    assert targets <= {RECEIVER, str(EXPORTER_PORT), str(NODE_PORT), "8000"}


def test_what_readme_has_people_merge_is_what_is_rendered() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (shown,) = (yaml.safe_load(block) for block in blocks if block.startswith("route:"))
    said = re.search(r"--webhook-url (\S+) --token-file (\S+) \\\n\s*--ca-file (\S+)", README)
    assert said is not None
    rendered = yaml.safe_load(
        render_alertmanager_fragment(Policy(), webhook_url=said[1], token_file=said[2], ca_file=said[3])
    )
    for document in (shown, rendered):
        for route in document["route"]["routes"]:
            route["matchers"] = [matcher.replace('"', "") for matcher in route["matchers"]]
        http = document["receivers"][0]["webhook_configs"][0]["http_config"]
        # The default of Alertmanager.
        http["authorization"].pop("type", None)
    assert shown == rendered
