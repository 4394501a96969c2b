# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a policy may hold a secret, by its schema; and that no message about a policy repeats one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_recovery.policy import PolicyError
from autoglm_recovery.policy.load import parse_policy
from autoglm_recovery.policy.published import json_schema
from autoglm_recovery.receiver.access.named_files import named_files
from tests.support.servers import planted
from tests.support.servers.planted import secret

# Texts of any kind that are no secret, and why none of them may become one: it is said in the open all over (names,
# matchers, PromQL, reasons), or what looks like a secret is refused there (REFUSED, below).
OPEN = {
    *("classify.match", "recovery.strategies.*.verify", "notify.routes.pools", "notify.routes.severities"),
    *("faults.kind.*.reason", "faults.sxid.*.reason", "faults.xid.*.reason"),
    *(f"guardrails.maintenance_windows.{key}" for key in ("hosts", "match", "name", "pools", "timezone")),
    *("launchers.awx.organization", "launchers.awx.templates.*", "launchers.awx.templates.*.name"),
    *("actions.*.playbook", "actions.*.template", "actions.*.template.name"),
    *("launchers.awx.api_path", "launchers.local.execution_environment.mounts"),
}
S = secret("here")
AWX = "launchers: {awx: {url: 'https://awx', token_file: /t, %s}}"
EE = "launchers: {local: {execution_environment: {image: x, %s}}}"
REFUSED = {
    "launchers.awx.url": [
        f"launchers: {{awx: {{url: 'https://u:{S}@awx', token_file: /t}}}}",
        f"launchers: {{awx: {{url: 'https://u:{S}/x@awx', token_file: /t}}}}",
        f"launchers: {{awx: {{url: 'https://awx/?token={S}', token_file: /t}}}}",
    ],
    "monitoring.prometheus.url": [f"monitoring: {{prometheus: {{url: 'https://u:{S}@p'}}}}"],
    "monitoring.alertmanager.url": [f"monitoring: {{alertmanager: {{url: 'https://u:{S}@a'}}}}"],
    "guardrails.silences.alertmanager": [f"guardrails: {{silences: {{alertmanager: 'https://u:{S}@a'}}}}"],
    "notify.console": [f"notify: {{console: 'https://u:{S}@c'}}", f"notify: {{console: ['https://u:{S}@c']}}"],
    "launchers.local.execution_environment": [f"launchers: {{local: {{execution_environment: 'u:{S}@r/x'}}}}"],
    "launchers.local.execution_environment.image": [EE % f"image: 'u:{S}@r/x'"],
    "launchers.local.execution_environment.options": [
        EE % f"options: ['--env=HF_TOKEN={S}']",
        EE % f"options: ['--creds=me:{S}']",
        EE % f"options: ['-e', 'HF_TOKEN={S}']",
    ],
}
# A secret where none is expected: a wrong type, a wrong key, a wrong form, no YAML.
MISPLACED = [
    f"actions: {{x: {{playbook: 'https://u:{S}@h/x.yml'}}}}",
    f"actions: {{x: {{playbook: a.b.c, extra_vars: {{bmc_password: {S}}}}}}}",
    f"actions: {{x: {{playbook: a.b.c, extra_vars: {{url: ['https://u:{S}@h']}}}}}}",
    f"actions: {{x: {{playbook: a.b.c, extra_vars: {S}}}}}",
    f"launchers: {{awx: '{S}'}}",
    f"launchers: {{awx: {{url: 'https://awx', token: {S}}}}}",
    f"launchers: {{awx: {{url: 'https://awx', token_file: [{S}]}}}}",
    f"launchers: {{awx: {{url: 'https://awx', token_file: {{token: {S}}}}}}}",
    AWX % f"api_path: 'x?token={S}'",
    f"monitoring: {{prometheus: ['https://u:{S}@p']}}",
    f"monitoring: {{alertmanager: 'https://u:{S}@a'}}",
    f"guardrails: {{silences: '{S}', maintenance_windows: ['https://u:{S}@h']}}",
    f"retention: {{incidents: 'https://u:{S}@h'}}",
    f"notify: '{S}'",
    f"notify: ['{S}']",
    f"notify: ['nosuch://{S}']",
    f"notify: ['slack://{S}': ]",
    f"notify: [{{urls: {{a: {S}}}}}]",
    f"notify: [{{urls: ['json://u:{S}@h'], severities: 5, occasions: ['{S}', 'mailto://u:{S}@h']}}]",
    f"notify: !{S} x\n",
    f"notify: *{S}\n",
    f"notify: ['mailto://u:{S}@h\n",
    f"{S}",
    f"{S}: {{}}: {S}",
]


def _texts(schema: dict[str, Any], at: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each place of a JSON Schema where any text may stand."""
    for option in at.get("anyOf", [at]):
        one = option["allOf"][0] if "allOf" in option else option
        inner = schema["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        limited = "enum" in inner or "date-time" in inner.get("format", "") or "\\d" in inner.get("pattern", "")
        if inner.get("type") == "string" and not limited:
            yield path, inner
        for key, value in inner.get("properties", {}).items():
            yield from _texts(schema, value, f"{path}.{key}".strip("."))
        for key, step in (("items", ""), ("additionalProperties", ".*")):
            if isinstance(inner.get(key), dict):
                yield from _texts(schema, inner[key], path + step)


def test_every_place_of_the_policy_that_may_hold_a_secret_has_one_planted(tmp_path: Path) -> None:
    schema = json_schema()
    texts = dict(_texts(schema, schema))
    hidden = {key for key, kind in texts.items() if kind.get("format") == "password"}
    files = {key for key, kind in texts.items() if kind.get("format") == "path"}
    named = {file.key for file in named_files(parse_policy(yaml.safe_dump(planted.policy(tmp_path, "127.0.0.1:9"))))}
    assert hidden | {key for key in files if not key.endswith("ca_path")} == planted.POLICY.keys()
    assert named == planted.POLICY.keys() - hidden
    assert texts.keys() - hidden - files == OPEN | REFUSED.keys()


@pytest.mark.parametrize("text", [*(text for texts in REFUSED.values() for text in texts), *MISPLACED])
def test_no_message_about_a_policy_repeats_a_secret_and_none_is_taken_in_the_open(text: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    assert secret("") not in str(refused.value)
    assert "planted" not in repr(refused.value.problems)


def test_a_policy_that_is_shown_has_no_secret_in_it(tmp_path: Path) -> None:
    from autoglm_recovery.receiver.console.policy import effective  # noqa: PLC0415 - what shows it

    policy = parse_policy(yaml.safe_dump(planted.policy(tmp_path, "127.0.0.1:9")))
    # Its files are named, and named like what is planted in this test.
    shown = effective(policy).replace(str(tmp_path), "")
    assert not any(secret(key) in text for key in planted.POLICY for text in (shown, repr(policy), str(policy)))


def test_what_is_wrong_is_still_said() -> None:
    def said(text: str) -> str:
        with pytest.raises(PolicyError) as refused:
            parse_policy(text)
        return str(refused.value)

    assert "oom.delay: '3q' is not a duration" in said("recovery: {strategies: {oom: {delay: 3q}}}")
    assert "awx.url: is no address; write for example https://awx.example.org" in said("launchers: {awx: {url: 'x'}}")
    assert "monitoring.alertmanager: input should be" in said("monitoring: {alertmanager: 'http://a:9093'}")
    assert "not a text" in said("monitoring: {alertmanager: 'http://a:9093'}")
    assert "'escalate' is not known (did you mean escalated?)" in said(
        "notify: [{urls_file: x, occasions: [escalate]}]"
    )
    assert "found character '@' that cannot start any token" in said("notify: @x")


def test_every_section_is_found_by_the_schema() -> None:
    """The walk above would see nothing of a section that pydantic describes in a way that it does not know."""
    schema = json_schema()
    tops = {key.partition(".")[0] for key, _ in _texts(schema, schema)}
    assert {"actions", "classify", "faults", "guardrails", "launchers", "monitoring", "notify", "recovery"} == tops
