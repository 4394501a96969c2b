# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a playbook gets is text that Ansible never evaluates."""

from __future__ import annotations

import inspect

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_recovery.receiver.runs.extra_vars import RunContext, extra_vars, to_yaml

HOSTILE = "{{ 7 * 6 }} {{ lookup('pipe', 'touch /tmp/evaluated') }} {% for x in [] %}"


def variables(text: str):
    """Return the variables of an incident whose every text is the same."""
    incident = dict.fromkeys(("failure_class", "fault_mode", "reason", "root_cause", "host", "service", "pool"), text)
    incident |= {"id": 7, "gpu": None}
    return extra_vars(incident, RunContext(text, 1, 3, text, key=text, installation=text, evidence=text))


def loaded_by_ansible(text: str, tmp_path):
    """Read and template the variables as ansible-playbook does with -e @FILE."""
    path = tmp_path / "vars.yml"
    path.write_text(to_yaml(variables(text)), "utf-8")
    loader = DataLoader()
    # ansible-core 2.19 and later read command line variables as templates that are trusted, older ones trust all.
    parameters = inspect.signature(loader.load_from_file).parameters
    trust = {"trusted_as_template": True} if "trusted_as_template" in parameters else {}
    return Templar(loader=loader, variables={}).template(loader.load_from_file(str(path), **trust))


def test_the_contract():
    assert variables("x") == {
        "autoglm_incident": {
            "id": 7,
            "installation": "x",
            "key": "x-7",
            "run": "x",
            "failure_class": "x",
            "fault_mode": "x",
            "action": "x",
            "attempt": 1,
            "fence": 3,
            "opened_at": "x",
            "evidence": "x",
            "reason": "x",
            "root_cause": "x",
        },
        "autoglm_target": {"host": "x", "service": "x", "gpu": None, "pool": "x"},
    }


def test_a_template_stays_text(tmp_path):
    assert loaded_by_ansible(HOSTILE, tmp_path) == variables(HOSTILE)


class _PlainLoader(yaml.SafeLoader):
    """Reads the tag as plain text."""


_PlainLoader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


@settings(max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_every_text_comes_through_unchanged_and_tagged(text):
    written = to_yaml(variables(text))
    assert yaml.load(written, Loader=_PlainLoader) == variables(text)  # noqa: S506 - a SafeLoader
    assert written.count("!unsafe") >= 9
