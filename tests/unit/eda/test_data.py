# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever strangers write is data to Jinja, to Ansible's header of templates and to a rulebook's vaults."""

from __future__ import annotations

import jinja2
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.eda.data import JOINER, LONGEST, all_as_data, as_data

JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - no page is made
PIECES = st.sampled_from(
    ["{", "}", "%", "#", "{{ 7 * 7 }}", "{%", "{#", "#jinja2: x", "$ANSIBLE_VAULT;1.1", "\n", " ", "a"]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@given(TEXTS)
def test_nothing_in_it_is_evaluated(text: str) -> None:
    data = as_data(text)
    assert JINJA.from_string(data).render() == data
    assert not data.lower().startswith(("#jinja2", "$ansible_vault"))
    assert "\n" not in data
    assert len(data) <= 2 * LONGEST


def test_ansible_reads_it_as_it_stands(tmp_path) -> None:
    """By the way of a rulebook: through a file of variables, in which texts are templates."""
    hostile = ["{{ lookup('pipe', 'touch pwned') }}", "{% for i in x %}", "#jinja2: variable_start_string:'[['", "{#"]
    (tmp_path / "vars.yml").write_text(yaml.dump({"texts": [as_data(text) for text in hostile]}))
    loader = DataLoader()
    read = loader.load_from_file(str(tmp_path / "vars.yml"), trusted_as_template=True)
    told = Templar(loader=loader, variables=read).template(read["texts"])
    assert [each.replace(JOINER, "") for each in told] == hostile


def test_what_nobody_sees_is_spelled_out_and_a_text_is_no_longer_than_it_may_be() -> None:
    assert as_data(f"a{JOINER}b\x1b[31m") == "a\\u2060b\\x1b[31m"
    assert as_data("x" * 9999).endswith("...")


def test_keys_are_texts_too() -> None:
    held = all_as_data({"{{ a }}": [{"b": ("{%", 1, None)}]})
    assert held == {f"{{{JOINER}{{ a }}}}": [{"b": [f"{{{JOINER}%", 1, None]}]}
