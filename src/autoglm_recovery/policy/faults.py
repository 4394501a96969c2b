# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``faults`` in the policy file: a site's own meaning of codes and kernel lines, in place of the catalogue's."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from autoglm_recovery.knowledge.faults.catalogue.kinds import NAMED_KINDS, lookup_kind
from autoglm_recovery.knowledge.faults.catalogue.numbers import FAULT_ACTIONS, SEVERITIES, lookup_xid
from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.policy.section import Section, choices, declared, known

FaultAction = Annotated[str, known(FAULT_ACTIONS), choices(FAULT_ACTIONS)]
Severity = Annotated[str, known(SEVERITIES), choices(SEVERITIES)]


def _no_own_class(value: object) -> object:
    """Refuse own classes: hosts know only the built-in ones.  A site classifies the alert of the fault instead."""
    if value in declared("classes"):
        raise ValueError(
            f"{value} is a class of the policy's own, and hosts know only the built-in ones; "
            "map the alert onto it with classify"
        )
    return value


CatalogueClass = Annotated[str, known(FAILURE_CLASSES), BeforeValidator(_no_own_class), choices(FAILURE_CLASSES)]


def _accept_code(value: object) -> object:
    """Accept a number, but no text or boolean that YAML or Python would convert to one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no code; write the number, as in 79")  # noqa: TRY004 - pydantic wants ValueError
    if not 1 <= value <= 99999:
        raise ValueError(f"{value} is no code; they are 1 to 99999")
    return value


FaultCode = Annotated[int, BeforeValidator(_accept_code)]


def _accept_kind(word: Any) -> Any:
    if word not in NAMED_KINDS:
        near = difflib.get_close_matches(str(word)[:64], NAMED_KINDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{str(word)[:64]!r} is no kind of kernel line that has a meaning of its own{hint}")
    return word


FaultKind = Annotated[str, BeforeValidator(_accept_kind)]


class FaultOverride(Section):
    """The fleet's own word on one code.  What it does not say stays as in the catalogue; see ``autoglm xid CODE``."""

    failure_class: CatalogueClass | None = None
    severity: Severity | None = None
    action: FaultAction | None = None
    reason: Annotated[str, Field(max_length=500)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> FaultOverride:
        if self.failure_class is None and self.severity is None and self.action is None:
            raise ValueError("says nothing; give failure_class, severity or action")
        if self.failure_class == "unknown" and self.action not in (None, "observe", "call_person"):
            raise ValueError(f"an unknown failure is never acted on; name its class, or drop action: {self.action}")
        return self


class Faults(Section):
    """What Xid and SXid numbers, and lines without one, mean in this fleet where the catalogue says otherwise."""

    xid: dict[FaultCode, FaultOverride] = Field(default_factory=dict)
    sxid: dict[FaultCode, FaultOverride] = Field(default_factory=dict)
    kind: dict[FaultKind, FaultOverride] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _named_before_acted_on(self) -> Faults:
        for code, own in self.xid.items():
            unnamed = own.failure_class is None and lookup_xid(code).failure_class == "unknown"
            if unnamed and own.action not in (None, "observe", "call_person"):
                raise ValueError(
                    f"xid {code} is unknown to the catalogue; name its failure_class for {own.action} to be taken"
                )
        for kind, own in self.kind.items():
            unnamed = own.failure_class is None and lookup_kind(kind).failure_class == "unknown"
            if unnamed and own.action not in (None, "observe", "call_person"):
                raise ValueError(
                    f"kind {kind} has no class of its own; name its failure_class for {own.action} to be taken"
                )
        return self

    def overrides(self) -> dict[str, dict[Any, dict[str, str]]]:
        """Return the overrides in the form that the catalogue, the modules and the exporter accept."""
        tables: tuple[tuple[str, dict[Any, FaultOverride]], ...] = (("xid", self.xid), ("sxid", self.sxid))
        if self.kind:
            tables += (("kind", dict(self.kind)),)
        return {
            kind: {code: own.model_dump(exclude_none=True) for code, own in table.items()} for kind, table in tables
        }
