# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``actions`` and ``classes`` in the policy file: what a site adds to the built-in actions and failure classes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from autoglm_recovery.knowledge.faults.classes import ACTIONS, FAILURE_CLASSES
from autoglm_recovery.knowledge.host.redaction import redact_text
from autoglm_recovery.policy.launchers import AwxTemplate, LauncherName, called
from autoglm_recovery.policy.section import LONGEST_ACTION, LONGEST_CLASS, NAME, Action, FailureClass, Section

COLLECTION = "autoglm.recovery"
# Playbooks of the collection that are not actions, and words with another meaning in a decision.
RESERVED = (
    "awx_setup",
    "call_person",
    "check_service",
    "check_target",
    "drill",
    "look_at_hosts",
    "observe",
    "person",
    "return_node",
    "rolling_restart",
    "site",
    "try_run",
    "uninstall",
)
LARGEST_VARIABLES = 16 << 10
DEEPEST_VARIABLES = 20

_QUALIFIED = re.compile(r"[a-zA-Z_]\w*(\.[a-zA-Z_]\w*){2,}", re.ASCII)
_VARIABLE = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
# With these variables a run could reach another host or change Ansible itself; they belong into the inventory.
_OF_ANSIBLE = frozenset(
    {"environment", "group_names", "groups", "hostvars", "inventory_dir", "inventory_file", "inventory_hostname"}
    | {"inventory_hostname_short", "omit", "play_hosts", "playbook_dir", "role_name", "role_path", "vars"}
)


class ActionProof(StrEnum):
    """What proves that an own action has repaired: a reading of the service, its playbook's end, or only the alerts."""

    service = "service"
    playbook = "playbook"
    none = "none"


def _name_check(taken: Sequence[str], longest: int, what: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise ValueError(f"is no name for an own {what}; write a-z, 0-9 and _, a letter first, as in power_cycle")
        if len(value) > longest:
            raise ValueError(f"is longer than {longest} characters")
        if value in taken:
            raise ValueError(f"is built in, and an own {what} cannot take its place; give it another name")
        return value

    return check


def _check_playbook(value: str) -> str:
    if value.startswith("/"):
        path = PurePosixPath(value)
        if not value.isprintable() or ".." in path.parts or value != str(path) or path.suffix not in (".yml", ".yaml"):
            raise ValueError("is no path of a playbook; write for example /etc/autoglm/playbooks/power_cycle.yml")
        return value
    if not _QUALIFIED.fullmatch(value):
        raise ValueError(
            "is no playbook; write a collection's, as in acme.ops.power_cycle, or an absolute path, as in "
            "/etc/autoglm/playbooks/power_cycle.yml"
        )
    if value.startswith(f"{COLLECTION}."):
        raise ValueError(f"is of {COLLECTION} itself; name the action in a ladder, it needs no declaration")
    return value


def _check_variables(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse values that are not plain data or look like a secret, and names that Ansible or we use."""
    for name, given in value.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name[:64]!r} is no name of a variable; write letters, digits and _")
        if name.startswith("autoglm_"):
            raise ValueError(f"{name} would stand in the way of what the receiver gives; take a name without autoglm_")
        if name.startswith("ansible_") or name in _OF_ANSIBLE:
            raise ValueError(f"{name} is Ansible's, and could lead a run to another host; set it in the inventory")
        _check_plain(name, given, DEEPEST_VARIABLES)
    if len(json.dumps(value)) > LARGEST_VARIABLES:
        raise ValueError(f"is larger than {LARGEST_VARIABLES} bytes; give the playbook a file of its own")
    return value


def _check_plain(name: str, value: Any, deeper: int) -> None:
    """Raises ValueError unless a value is plain data, as JSON has it, and shows no secret."""
    if not deeper:
        raise ValueError(f"{name} is nested too deeply")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or "{" in key:
                raise ValueError(f"{name} has a key that is no plain text")
            _check_plain(key, inner, deeper - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(name, inner, deeper - 1)
    else:
        _check_plain_leaf(name, value)


def _check_plain_leaf(name: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is no finite number")
    if not isinstance(value, str | int | float | None):
        what = f"{name} is a {type(value).__name__}, which is no plain data; write it in quotes"
        raise ValueError(what)  # noqa: TRY004 - pydantic wants ValueError
    # Checked alone, and as a line "name: value", where the name may show that it is a password.
    if isinstance(value, str) and any(redact_text(line) != line for line in (value, f"{name}: {value}")):
        raise ValueError(f"{name} holds what looks like a secret; a policy is read by many, keep it in a vault")


ActionName = Annotated[str, BeforeValidator(_name_check((*ACTIONS, *RESERVED), LONGEST_ACTION, "action"))]
ClassName = Annotated[str, BeforeValidator(_name_check(FAILURE_CLASSES, LONGEST_CLASS, "class"))]


class OwnAction(Section):
    """An action of the site's own: a playbook, and what it may cost.

    ``playbook`` is a collection's, or an absolute path.  What is not said of its costs is the worst: it destroys
    something (``destructive``) and takes the whole host out (``host_wide``).  ``launcher`` and ``template`` say where
    it runs whatever the class says; ``extra_vars`` are plain data for the playbook.
    """

    playbook: Annotated[str, Field(max_length=512), AfterValidator(_check_playbook)]
    destructive: Annotated[bool, Field(strict=True)] = True
    host_wide: Annotated[bool, Field(strict=True)] = True
    launcher: LauncherName | None = None
    template: Annotated[AwxTemplate, BeforeValidator(called("name"), str | AwxTemplate)] | None = None
    extra_vars: Annotated[dict[str, Any], AfterValidator(_check_variables)] = Field(default_factory=dict)
    proof: ActionProof = ActionProof.service

    @model_validator(mode="after")
    def _template_is_launched(self) -> OwnAction:
        if self.template is not None and self.launcher == "local":
            raise ValueError("template is for launcher: awx, and launcher is local; take one of them out")
        return self


class OwnClass(Section):
    """A failure class of the site's own.

    ``ladder`` are its actions in order, built-in or own; without any a person is called.  ``serving`` is true where
    what has failed like this still serves, if badly.  ``cause_before`` is the class of which this one is rather the
    cause than the effect; without it, it explains nothing but ``unknown``.
    """

    ladder: tuple[Action, ...] = ()
    serving: Annotated[bool, Field(strict=True)] = False
    cause_before: FailureClass = "unknown"

    @model_validator(mode="after")
    def _each_rung_once(self) -> OwnClass:
        twice = next((action for action in self.ladder if self.ladder.count(action) > 1), None)
        if twice:
            raise ValueError(f"{twice} is in the ladder twice; how often it is tried again, retries says")
        return self
