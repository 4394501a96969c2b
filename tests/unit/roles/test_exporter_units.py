# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of an exporter's command line are one word each in its unit, whatever the inventory has in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment

ROLES = Path(__file__).parents[3] / "roles"
WORD = '--label=a=b\nExecStartPre=/bin/false "c" 5% $HOME \\x'


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("exporter_common/templates/drop-in.conf.j2", "exporter_common_arguments"),
        ("gpu_exporter/templates/autoglm-exporter.service.j2", "__gpu_exporter_arguments"),
        ("dcgm_exporter/templates/container.service.j2", "__dcgm_exporter_run"),
    ],
)
def test_a_word_of_the_inventory_is_no_line_of_the_unit(template: str, words: str) -> None:
    # As Ansible renders a template.
    jinja = Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML
    jinja.filters["basename"] = lambda path: str(path).rpartition("/")[2]
    lines = jinja.from_string((ROLES / template).read_text()).render({words: [WORD]}).splitlines()
    quoted = r'  "--label=a=b\nExecStartPre=/bin/false \"c\" 5%% $$HOME \\x"'
    assert [line.removesuffix(" \\") for line in lines if "label" in line] == [quoted]
    assert not [line for line in lines if line.startswith("ExecStartPre=/bin/false")]
