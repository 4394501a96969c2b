# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of text that take whatever anybody wrote.

PostgreSQL refuses a text with a NUL character, and no database takes lone surrogates.  A host, an engine or AWX may say
either, and a line of a timeline that cannot be written would keep its run from ever ending.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

INSTEAD = "\ufffd"


def kept(text: str) -> str:
    """Return a text as any database stores it."""
    return text.replace("\x00", INSTEAD).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Kept(sa.types.TypeDecorator[str]):
    """Replaces what cannot be stored on its way in."""

    impl: type[sa.String] = sa.Text
    cache_ok = True

    @property
    def python_type(self) -> type[str]:
        """Return what a value of it is: the document of the API and its models ask."""
        return str

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002 - SQLAlchemy's own
        """Return what is stored."""
        return None if value is None else kept(value)


class Text(_Kept):
    """A text of any length."""

    cache_ok = True


class String(_Kept):
    """A text of so many characters at most."""

    impl = sa.String
    cache_ok = True
