# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name from outside is one harmless component of a path, and stays distinct."""

from __future__ import annotations

import os

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.names import safe_component
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=())) | st.text())
def test_it_is_one_component(text: str) -> None:
    name = safe_component(text)
    assert name
    assert os.path.basename(name) == name
    assert name not in (".", "..")
    assert not name.startswith((".", "-"))
    assert len(name) <= 64
    assert name.isascii()
    assert name.isprintable()


@given(st.text(), st.text())
def test_two_texts_never_share_a_name(one: str, other: str) -> None:
    assert (safe_component(one) == safe_component(other)) == (one == other)


@pytest.mark.parametrize("text", ["inc-42", "node-a", "01J8Z3K5", "a.b_c"])
def test_a_harmless_name_stays(text: str) -> None:
    assert safe_component(text) == text


@pytest.mark.parametrize(
    "text", ["../../etc/passwd", "/", "..", "", "a/b", "$(x)", "a\nb", "x" * 65536, "-rf", "\ud800"]
)
def test_a_hostile_name_is_altered(text: str) -> None:
    assert safe_component(text) != text
