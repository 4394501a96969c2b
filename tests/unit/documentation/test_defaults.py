# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds and defaults that pages name in a sentence are those of the code: each is made from it and must be there."""

from __future__ import annotations

import re

import pytest

from autoglm_recovery.exporter import alertmanager, alerts, connections
from autoglm_recovery.policy.launchers import ExecutionEnvironment, LocalLauncherSettings
from autoglm_recovery.receiver.access import authenticator, entries, passwords, sessions
from autoglm_recovery.receiver.intake import payload
from autoglm_recovery.receiver.runs import kept_evidence
from autoglm_recovery.receiver.runs.warm.conditions import TESTED_CORES
from autoglm_recovery.receiver.web import connection, intake, listening, rates, requests

from .test_documentation import CHECKOUT, COMMANDS, default_of, option, table

PLAYBOOKS = CHECKOUT / "playbooks"
WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


def in_playbooks(file: str, key: str) -> int:
    """Return the number that a playbook takes where the inventory says nothing of a key of a pool."""
    text = (PLAYBOOKS / file).read_text("utf-8")
    (found,) = set(re.findall(rf"\bautoglm_pool\.{key} \| default\((\d+)", text))
    return int(found)


def of_module(module: str, key: str) -> str:
    """Return an option's default by its documentation, which ansible-test compares with its argument spec."""
    text = (CHECKOUT / "plugins/modules" / f"{module}.py").read_text("utf-8")
    found = re.search(rf"^  {key}:\n(?:    .*\n|\n)*?    default: (\S+)$", text, re.MULTILINE)
    assert found is not None
    return found[1].removesuffix(".0")


LOCAL = LocalLauncherSettings()
BURST, SHORT = int(alerts.BURST.total_seconds()) // 60, int(alerts.SHORT.total_seconds())
MIB, KIB = 1 << 20, 1 << 10
SAID = {
    "exporter": [
        f"{connections.MOST_CONNECTIONS} of them at most and {connections.MOST_FROM_ONE_ADDRESS} for one address",
        f"has not arrived whole within {connections.REQUEST_WITHIN_S:g} s is ended",
        f"kept, {alertmanager.MOST} alerts at most",
        f"ends {WORDS[BURST]} minutes after the last such line ({SHORT} s for an OOM kill)",
        f"until the rule's own {WORDS[BURST]} minutes are over",
    ],
    "security": [
        f"{entries.SHORTEST_TOKEN} characters or more, {passwords.SHORTEST} for passwords",
        f"an address has {authenticator.FAILURES_AT_ONCE} failures, then one in {authenticator.FAILURE_EVERY_S:g} s",
        f"PBKDF2-HMAC-SHA256 with {passwords.ROUNDS:,} rounds",
        f"ends after {sessions.LASTS_S // 3600} hours",
        f"{connection.HEADERS_WITHIN_S:g} s for the headers, {connection.BODY_WITHIN_S:g} s for the body",
        f"{connection.MOST_FROM_ONE_ADDRESS} connections an address, {listening.MOST_ACCEPTED} in all",
        f"of one sender {intake.MOST_LARGE_OF_ONE_SENDER} large and {intake.MOST_SMALL_OF_ONE_SENDER} small ones "
        f"are read and written at a time, of all {intake.MOST_LARGE} and {intake.MOST_SMALL}",
        f"All above {intake.READ_AT_ONCE // KIB} KiB is parsed",
        f"{default_of('serve', '--rate-limit'):g} requests a second an address (`--rate-limit`), "
        f"{WORDS[rates.ADDRESSES]} times that in all",
        f"{default_of('serve', '--largest-body') // MIB} MiB (`--largest-body`), "
        f"{requests.LARGEST_HEADERS // KIB} KiB and {rates.MOST_HEADERS} headers, "
        f"{payload.MOST_ALERTS:,} alerts, {payload.MOST_LABELS} labels",
        f"at most {kept_evidence.MOST_CHARACTERS // KIB} KiB of {kept_evidence.MOST_BUNDLES} bundles a run",
    ],
    "launching": [
        f"all but the newest {LOCAL.artifacts_keep}, ",
        f"those that ended more than {LOCAL.artifacts_max_age.days} days ago",
        f"are run: {' and '.join(sorted(TESTED_CORES))}.",
        f"pull: {ExecutionEnvironment(image='x').pull} # always, missing or never",
    ],
    "rolling-restart": [
        f"as many completions as the pool's `warm_up` says ({in_playbooks('tasks/warm_up.yml', 'warm_up')})",
        f"completions before it gets requests; {in_playbooks('tasks/warm_up.yml', 'warm_up')} by default",
        f"its whole weight again; {of_module('drain_inference', 'slow_start')} by default",
        f"nothing may be in flight any more; {in_playbooks('vars/pool.yml', 'drain_timeout')} by default",
        f"fail, wait or abort; {of_module('drain_inference', 'remaining')} by default",
    ],
}


def page(name: str) -> str:
    return (CHECKOUT / "docs" / f"{name}.md").read_text("utf-8")


@pytest.mark.parametrize(("name", "sentence"), [(name, each) for name, all_ in SAID.items() for each in all_])
def test_a_page_names_what_the_code_has(name: str, sentence: str) -> None:
    assert sentence in " ".join(page(name).split())


def options_of_the_exporter() -> dict[str, str]:
    """Return what the page says of each option: the word behind it, in the cell that names it."""
    cells = [cell for row in table(page("exporter"), "| option | |") for cell in re.findall(r"`(--[^`]+)`", row[0])]
    return {name: value for name, _, value in (cell.partition(" ") for cell in cells)}


def test_every_option_of_the_exporter_is_in_its_table() -> None:
    named = {each for one in COMMANDS.commands["exporter"].params for each in one.opts if each != "--help"}
    assert set(options_of_the_exporter()) == named


@pytest.mark.parametrize(("name", "value"), options_of_the_exporter().items())
def test_an_option_of_the_exporter_has_the_default_of_its_table(name: str, value: str) -> None:
    found = option(COMMANDS.commands["exporter"], name)
    assert found is not None
    if found.default:
        assert value == str(found.default)
    else:
        # An example, or what is to be given.
        assert value in ("", "8", "PATH", "URL", "FILE", "cluster=blue")
