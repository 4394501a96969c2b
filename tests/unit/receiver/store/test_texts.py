# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever somebody wrote is stored; a real PostgreSQL is in tests/integration/replicas/test_texts.py."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.store import audit, schema
from autoglm_recovery.receiver.store.texts import String, Text, kept


def test_each_column_of_text_takes_whatever_there_is():
    assert audit.audit.metadata is schema.metadata
    for table in schema.metadata.tables.values():
        for column in table.columns:
            assert not isinstance(column.type, sa.String), f"{table.name}.{column.name}"
            if isinstance(column.type, sa.types.TypeDecorator):
                assert isinstance(column.type, Text | String)


@given(st.text(st.characters(codec=None, categories=None)))
def test_what_can_be_stored_is_kept_and_what_cannot_is_replaced(text):
    stored = kept(text)
    assert "\x00" not in stored
    stored.encode()
    if "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text):
        assert stored == text
