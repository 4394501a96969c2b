# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup extra_var: only what was given on the command line, and nothing evaluated where it is asked for alone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.lookup import extra_var

GIVEN = {"ansible_eda": {"event": "{{ lookup('pipe', 'touch /pwned') }}"}, "force": True}


class Evaluated(Exception):
    """A template was read that must not be."""


class Templar:
    """Evaluates nothing."""

    def template(self, value: Any) -> Any:
        raise Evaluated(value)


@pytest.fixture
def lookup(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(extra_var, "load_extra_vars", lambda **_: GIVEN)
    found = extra_var.LookupModule(loader=object(), templar=Templar())
    monkeypatch.setattr(found, "set_options", lambda **given: found._options.update(given["direct"]))
    found._options = {"default": "", "given": False}
    return found


@pytest.mark.parametrize(
    ("names", "is_given"), [(["ansible_eda"], True), (["other", "force"], True), (["other"], False), ([], False)]
)
def test_whether_it_was_given_is_told_without_a_look_at_it(lookup: Any, names: list[str], is_given: bool) -> None:
    assert lookup.run(names, given=True) == [is_given]


def test_its_value_is_a_template_as_any_extra_variable_s(lookup: Any) -> None:
    with pytest.raises(Evaluated):
        lookup.run(["other", "ansible_eda"])
    assert lookup.run(["other"], default=7) == [7]
