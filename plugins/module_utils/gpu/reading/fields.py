# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readings of one object: values, and the reason for each that was not read. Nothing is left out silently."""

from __future__ import annotations

from typing import Any, Callable

from .nvml import LOST, RESET_REQUIRED, NvmlFailure

_WORST = (LOST, RESET_REQUIRED)


class Fields:
    """C(values) has every name that was asked for, null where it was not read; C(errors) then says why.

    An error is C({"error": NVML's name, "kind": one of nvml's kinds, "text": words}).
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.errors: dict[str, dict[str, str]] = {}

    def take(self, name: str, read: Callable[[], Any]) -> Any:
        """Read one value, or note why not. Returns the value."""
        try:
            value = read()
        except NvmlFailure as failure:
            self.fail(name, failure)
            return None
        self.values[name] = value
        return value

    def take_many(self, names: tuple[str, ...], read: Callable[[], Any]) -> None:
        """Read several values that come with one call."""
        try:
            values = read()
        except NvmlFailure as failure:
            for name in names:
                self.fail(name, failure)
            return
        self.values.update(zip(names, values))

    def put(self, name: str, value: Any) -> None:
        """Note the result of another reading: a value, or its failure."""
        if isinstance(value, NvmlFailure):
            self.fail(name, value)
        else:
            self.values[name] = value

    def fail(self, name: str, failure: NvmlFailure) -> None:
        self.values[name] = None
        self.errors[name] = failure.as_dict()

    def as_dict(self) -> dict[str, Any]:
        return {"values": self.values, "errors": self.errors}


def worst_state(errors: dict[str, dict[str, str]]) -> str:
    """C(lost) or C(reset_required) if any error says so, else C(read)."""
    kinds = {error["kind"] for error in errors.values()}
    return next((kind for kind in _WORST if kind in kinds), "read")
