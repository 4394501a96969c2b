# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that the gate runs as root, and the options that root must have declared for the host.

An option of a module is one of three things here:

- bound: it names what the module works on (a unit, a command line, a path). All bound options together must match one
  row of the declaration, so that the command line of one service is never started as the user of another;
- free: no value makes the module work on anything but a declared target (a number of seconds, a text);
- any other option, including those of later releases: refused.

An option is free only if the module joins it to no path, expands nothing in it and starts no program that it names.

A declaration is a JSON object with a list of rows for each kind: C(services), C(drains), C(sheds), C(checkpoints),
C(evidence), C(gpus), C(resets), C(notes), C(quarantines), C(environments), C(commands). See C(autoglm root).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "ansible_collections.autoglm.recovery.plugins.modules."
BUILTIN = "ansible.modules."

# The keys of a service that identify its process, how it is started, and where its engine answers.
PROCESS = ("unit", "container", "container_runtime", "pid_file", "start_command", "log_file")
START = ("user", "working_dir", "environment")
ENGINE = ("engine", "engine_options", "url", "ca_path")
DRAIN = ("state", "server", "balancer", "engine", "engine_options", "engine_url", "ca_path")
GUARDS = ("min_available", "count_unchecked")
SHED = ("server", "balancer", "engine", "engine_options", "ca_path", "note_dir", "max_reduced", *GUARDS)
CHECKPOINT = (
    *("name", "store", "storage_options", "source", "pattern", "format", "command", "workdir", "engine"),
    *("engine_options", "url", "ca_path", "engine_state_dir", "signal", "signing_key", "keep", "max_age"),
)


@dataclass(frozen=True)
class BoundOptions:
    """Options that together must match one row of a kind. C(optional): all of them may be left out."""

    kind: str
    options: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class ModuleRule:
    """The options that one module accepts."""

    bound: tuple[BoundOptions, ...] = ()
    free: frozenset[str] = frozenset()
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # option -> its allowed values


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGINE_FREE = "api_key validate_certs timeout"
_GPU_FREE = "device_timeout total_timeout timeout kernel_lines kernel_window fail_on expected_gpus"

RULES: Mapping[str, ModuleRule] = {
    f"{OURS}ask": ModuleRule(),  # what it runs on a host is another module
    # They ask a receiver, which needs no root: with a path of the caller's choice it would be sent root's files.
    # To break a service is a person's, who is root.
    **{f"{OURS}{name}": ModuleRule() for name in ("drill_fault", "incident", "incident_info", "pause")},
    f"{OURS}fence": ModuleRule(free=_names("host service token run incident")),
    f"{OURS}host_lock": ModuleRule(
        (BoundOptions("quarantines", ("quarantine",), optional=True),),
        _names("state host seconds wait token who run process ended"),
    ),
    f"{OURS}inference_health": ModuleRule(
        (BoundOptions("services", PROCESS, optional=True), BoundOptions("services", ENGINE)),
        _names(
            f"{_ENGINE_FREE} generate model prompt max_tokens generate_timeout stall_seconds answers_suffice "
            "start_grace fail_on"
        ),
    ),
    f"{OURS}crash_snapshot": ModuleRule(
        (
            BoundOptions("services", PROCESS, optional=True),
            BoundOptions("services", ENGINE, optional=True),
            BoundOptions("evidence", ("dest",)),
        ),
        _names(f"{_ENGINE_FREE} incident run phase attempt host excerpt_bytes log_lines command_timeout deadline gpus"),
    ),
    f"{OURS}inference_service": ModuleRule(
        (BoundOptions("services", (*PROCESS, *START)),),
        _names("state stop_timeout kill_after start_timeout timeout guard"),
    ),
    f"{OURS}clean_leftovers": ModuleRule(
        (BoundOptions("services", (*PROCESS, "cache_paths")),), _names("timeout guard")
    ),
    f"{OURS}engine_control": ModuleRule(
        (BoundOptions("services", ENGINE),), _names(f"{_ENGINE_FREE} state order_timeout")
    ),
    f"{OURS}drain_inference": ModuleRule(
        (BoundOptions("drains", (*DRAIN, *GUARDS)),),
        _names(
            "peers api_key validate_certs engine_timeout witnesses wait zeros poll deadline remaining "
            "remaining_deadline require_ready weight slow_start slow_start_steps"
        ),
    ),
    f"{OURS}shed_load": ModuleRule(
        (BoundOptions("sheds", SHED),),
        _names("state share steps limit peers api_key validate_certs engine_timeout service incident cause who why"),
    ),
    f"{OURS}checkpoint_model": ModuleRule(
        (BoundOptions("checkpoints", CHECKPOINT),),
        _names("api_key validate_certs timeout incident"),
        {"state": ("saved",)},
    ),
    f"{OURS}gpu_health": ModuleRule(
        (BoundOptions("gpus", ("services",), optional=True),),
        _names(
            f"{_GPU_FREE} expected_driver expected_persistence expected_ecc expected_mig expected_pcie_width "
            "expected_pcie_generation expected_nvlinks busy_percent thresholds kernel_since overrides"
        ),
    ),
    # Not which nvidia-smi, nor where the note is: root runs the one, and believes the other.
    f"{OURS}gpu_reset": ModuleRule(
        (BoundOptions("resets", ("services",), optional=True),),
        _names(
            "state gpus recommended_only reset_timeout back_timeout device_timeout total_timeout timeout kernel_lines "
            "kernel_window expected_gpus"
        ),
    ),
    f"{OURS}nvlink_check": ModuleRule(
        free=_names(
            f"{_GPU_FREE} expected_links expected_links_by_gpu expected_ports link_rates port_rates ber_exponents "
            "window reset_baseline network_ports"
        )
    ),
    f"{OURS}service_environment": ModuleRule(
        (BoundOptions("environments", ("unit", "name", "label", "environment")),),
        _names("state incident timeout guard"),
    ),
    # The notes that a run of ours keeps a service out of traffic, or load from it.  Ansible's own file and copy are no
    # modules for root: where a directory lies at their path they work in it, on a name that the caller gives.
    f"{OURS}taken_out": ModuleRule((BoundOptions("notes", ("path",)),), _names("state service incident")),
    f"{OURS}quarantine": ModuleRule(
        (BoundOptions("quarantines", ("path",)),), _names("state reason details meant_until incident who force")
    ),
    # Its note nowhere but where it is by itself: it believes it.
    f"{OURS}service_isolation": ModuleRule(
        (BoundOptions("services", PROCESS),),
        _names("state reason may_freeze incident who timeout"),
        {"note_dir": ("/var/lib/autoglm/isolation",)},
    ),
    # Not where its note is, which it believes.
    f"{OURS}host_reboot": ModuleRule(
        free=_names(
            "state reason gpus gpu_count services boot wait min_interval force incident who controller_boot timeout"
        )
    ),
    # autoglm doctor: that root can be reached at all, and that a container of root's is there.
    f"{BUILTIN}command": ModuleRule(
        (BoundOptions("commands", ("_raw_params", "argv")),),
        only={
            "_uses_shell": (False,),
            "expand_argument_vars": (True,),
            "stdin_add_newline": (True,),
            "strip_empty_ends": (True,),
        },
    ),
}


def refusal(module: str, options: Mapping[str, Any], declared: Mapping[str, Any]) -> str | None:
    """Why a module must not be run as root with these options, None where it may.

    C(options) are the module's own, without Ansible's.
    """
    rule = RULES.get(module)
    if rule is None:
        return f"{module} is no module that is run as root here"
    given = {name: value for name, value in options.items() if not _is_empty(value)}
    bound = {name for group in rule.bound for name in group.options}
    for name in sorted(given.keys() - bound - rule.free):
        if not any(_is_same(given[name], value) for value in rule.only.get(name, ())):
            return f"{name} must not be given as {_without_secrets(given[name])}"
    for kind in dict.fromkeys(group.kind for group in rule.bound):
        groups = [group for group in rule.bound if group.kind == kind]
        rows = declared.get(kind, [])
        if not any(all(_matches_row(group, given, row) for group in groups) for row in rows):
            named = {option: given[option] for group in groups for option in group.options if option in given}
            return f"no one of the declared {kind} has {_without_secrets(named)}"
    return None


def handed_on(module: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which an admitted module runs.

    Empty values were judged as left out, so they are removed: a module may have a default or an alias for an option.
    """
    rule = RULES[module]
    return {name: value for name, value in options.items() if name in rule.free or not _is_empty(value)}


def _matches_row(group: BoundOptions, given: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if group.optional and not any(option in given for option in group.options):
        return True
    return all(_is_same(given.get(option), row.get(option)) for option in group.options)


def _is_same(one: Any, other: Any) -> bool:
    return _canonical_text(one) == _canonical_text(other)


def _canonical_text(value: Any) -> str:
    """A value as a text to compare: empty ones are equal, and so are 1 and "1", which Ansible may convert."""
    if _is_empty(value):
        return ""
    if isinstance(value, Mapping):
        return (
            "{"
            + ",".join(f"{json.dumps(str(key))}:{_canonical_text(value[key])}" for key in sorted(value, key=str))
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_canonical_text(leaf) for leaf in value) + "]"
    return json.dumps(str(value))


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, tuple, Mapping)) and not value)


def _without_secrets(value: Any) -> str:
    """A value for a message, without its secrets."""
    if isinstance(value, Mapping):
        shown = {key: (leaf if isinstance(leaf, str) and key not in _SECRET else "...") for key, leaf in value.items()}
        return json.dumps(shown, sort_keys=True)[:300]
    return json.dumps(value, default=str)[:100]


_SECRET = ("api_key", "signing_key")
