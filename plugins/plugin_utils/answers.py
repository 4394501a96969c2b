# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a host's answer to a module of ours, before Ansible gets it.

Ansible takes more than data from a module's answer: C(ansible_facts) become variables that rank above the inventory,
C(ansible_stats) become variables of the next job in AWX, C(add_host) names hosts. No module of ours answers with any of
them. A host that does may be compromised, and nothing that it says is trusted: the answer is dropped, and the host
leaves the run as an unreachable one does, past C(ignore_errors), C(rescue) and C(until).

Each module has an action plugin of its name that is this one; C(ask) checks Ansible's own modules in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.autoglm.recovery.plugins.module_utils.host.plain import plain
from ansible_collections.autoglm.recovery.plugins.module_utils.host.redaction import redact_text
from ansible_collections.autoglm.recovery.plugins.plugin_utils import memory

# Far above the longest answer of our modules: each bounds what it returns, such as kernel lines.
LONGEST_ANSWER = 16 * 2**20
# The growth that the task's process on the controller may have while it reads; Ansible holds an answer several times.
MOST_MEMORY = 256 * 2**20

_NAMES_HOSTS = frozenset(("add_host", "add_group", "results"))
# The controller itself adds the interpreter that it has found to a module's facts.
_CONTROLLERS = ("discovered_interpreter_", "ansible_discovered_interpreter_")
_LONGEST_NAME = 60
_NOT_SHOWN = "not shown: may hold secrets"


class LookedAt(ActionBase):
    """A base class to put before an action class: checks the host's answer before that class and Ansible see it."""

    _asked_host = ""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action."""
        self._asked_host = str(self._task.delegate_to or (task_vars or {}).get("inventory_hostname", ""))
        result: dict[str, Any] = super().run(tmp, task_vars)
        return result

    def _low_level_execute_command(self, *args: Any, **kwargs: Any) -> Any:
        with memory.growing_at_most(MOST_MEMORY, self._too_long_error):
            result = super()._low_level_execute_command(*args, **kwargs)
        if sum(len(result.get(stream) or "") for stream in ("stdout", "stderr")) > LONGEST_ANSWER:
            raise self._too_long_error()
        # Ansible drops some of these with a warning; here they end the run.
        self._refuse_answer(commanding(_json_document(result.get("stdout") or ""), raw=True))
        return result

    def _execute_module(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super()._execute_module(*args, **kwargs)
        self._refuse_answer(commanding(answer, raw=False))
        if "invocation" in answer:
            answer["invocation"] = {"module_args": shown(_mapping(_mapping(answer["invocation"]).get("module_args")))}
        return answer

    def _refuse_answer(self, names: list[str]) -> None:
        if names:
            raise AnsibleConnectionFailure(
                f"{self._asked_host} answered {self._task.action} with {', '.join(names)}, which no module of this "
                "collection answers: it may be compromised. Nothing that it said was taken, and it has left the run. "
                "Look at that host before anything is run on it again."
            )

    def _too_long_error(self) -> AnsibleConnectionFailure:
        return AnsibleConnectionFailure(
            f"{self._asked_host} answered {self._task.action} with more than {LONGEST_ANSWER // 2**20} MiB: it may be "
            "compromised. Nothing that it said was taken, and it has left the run."
        )


class ActionModule(LookedAt, NormalAction):
    """Run the module of this task, and check the host's answer before Ansible gets it."""


def commanding(answer: Mapping[str, Any], *, raw: bool) -> list[str]:
    """Name the keys of an answer that Ansible would act on; for C(ansible_facts) with the names in them.

    C(raw): the answer is as the host wrote it. Otherwise Ansible has processed it and added keys of its own.
    """
    named = []
    for key, value in answer.items():
        if key == "ansible_facts":
            facts = [name for name in _mapping(value) if raw or not str(name).startswith(_CONTROLLERS)]
            if facts or not isinstance(value, Mapping):
                named.append(f"ansible_facts ({', '.join(sorted(plain(name)[:_LONGEST_NAME] for name in facts)[:10])})")
        elif str(key).startswith("ansible_") or (raw and (key in _NAMES_HOSTS or str(key).startswith("_ansible_"))):
            named.append(plain(key)[:_LONGEST_NAME])
    return sorted(named)


def shown(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a module as its result keeps them for callbacks: without lists and dictionaries.

    Command lines, environments and options of stores may hold keys that cannot be recognised.
    """
    kept = {}
    for name, value in arguments.items():
        if isinstance(value, str):
            kept[name] = redact_text(value)
        else:
            kept[name] = _NOT_SHOWN if isinstance(value, (Mapping, list, tuple)) and value else value
    return kept


def _json_document(output: str) -> Mapping[str, Any]:
    """The JSON object in an output, from the first line that begins one, as Ansible reads it. Empty without one."""
    start = 0 if output.startswith("{") else output.find("\n{") + 1
    if not output.startswith("{", start):
        return {}
    try:
        return _mapping(json.JSONDecoder().raw_decode(output, start)[0])
    except (ValueError, RecursionError):
        return {}  # Ansible will say that it cannot be read


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
