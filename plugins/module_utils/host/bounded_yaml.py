# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded YAML loader: it refuses documents for which PyYAML's own needs seconds or all memory.

For each token, PyYAML checks every open bracket: a few thousand of them take seconds. An alias stands for the whole
content of its anchor, and aliases of aliases double it with each line; merge keys (C(<<)) copy it.
"""

from __future__ import annotations

import functools
from typing import Any

MOST_DEEP = 100
MOST_VALUES = 100_000


def load(text: str | bytes) -> Any:
    """Return the one document in a text, None where there is none.

    Raises ImportError without PyYAML; yaml.YAMLError or ValueError for invalid YAML, or too deep or too large a
    document.
    """
    import yaml  # noqa: PLC0415  # only those who have YAML need it

    return yaml.load(text, Loader=loader())  # noqa: S506  # a safe one


@functools.cache
def loader() -> Any:  # noqa: C901  # a class that can only be defined where PyYAML is installed
    """The loader, for C(yaml.compose) too. Raises ImportError."""
    import yaml  # noqa: PLC0415

    class BoundedLoader(yaml.SafeLoader):
        """Raises yaml.MarkedYAMLError for a document that is too deep or too large."""

        def __init__(self, stream: Any) -> None:
            super().__init__(stream)
            self._values = 0
            self._of_anchor: dict[yaml.Node, int] = {}

        def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803  # PyYAML's name
            """Of PyYAML's scanner: a bracket or brace opens."""
            if self.flow_level >= MOST_DEEP:
                self._too_deep()
            super().fetch_flow_collection_start(TokenClass)

        def add_indent(self, column: int) -> bool:
            """Of PyYAML's scanner: a block begins if this column is further in than the last one."""
            if len(self.indents) > MOST_DEEP:
                self._too_deep()
            return bool(super().add_indent(column))

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            """Of PyYAML's composer: counts each value, and for an alias all values of its anchor."""
            is_alias, before = self.check_event(yaml.AliasEvent), self._values
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            node: yaml.Node | None = super().compose_node(parent, index)
            if node is not None and is_alias:
                if node not in self._of_anchor:
                    raise yaml.composer.ComposerError(None, None, "an alias stands for what it is a part of", mark)
                self._values += self._of_anchor[node]
            elif node is not None:
                self._values += 1
                self._of_anchor[node] = self._values - before
            if self._values > MOST_VALUES:
                words = f"it has more than {MOST_VALUES} values, all aliases counted"
                raise yaml.composer.ComposerError(None, None, words, mark)
            return node

        def _too_deep(self) -> None:
            words = f"it is nested more than {MOST_DEEP} deep"
            raise yaml.scanner.ScannerError(None, None, words, self.get_mark())

    return BoundedLoader
