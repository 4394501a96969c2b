# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate runs as root: modules of ours on rows of the declaration, and nothing that is not foreseen."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.privilege.rules import BUILTIN, OURS, RULES, handed_on, refusal
from autoglm_recovery.root.declared import declaration
from tests.lab.places import CHECKOUT

UNIT = {"name": "llama", "engine": "llama_cpp", "url": "http://127.0.0.1:8080", "unit": "llama.service", "pool": "chat",
        "comm_paths": [{"name": "without-p2p", "environment": {"NCCL_P2P_DISABLE": "1"}}]}  # fmt: skip
PROCESS = {
    "name": "old",
    "engine": "vllm",
    "url": "http://127.0.0.1:8000",
    "pid_file": "/run/old.pid",
    "start_command": ["/opt/old", "--port", 8000],
    "user": "llm",
    "checkpoint": {"store": "/var/lib/checkpoints", "command": ["/opt/save"]},
}
POOLS = {"chat": {"min_available": 2, "balancer": {"kind": "haproxy", "socket": "/run/haproxy.sock", "backend": "llm"}}}
HOSTS = {"node-a": {"autoglm_services": [UNIT, PROCESS], "autoglm_pools": POOLS}}
DECLARED = declaration("node-a", HOSTS)
HOLDING = [{"name": "llama", "unit": "llama.service"}, {"name": "old", "pid_file": "/run/old.pid"}]
NOTE = DECLARED["notes"][0]["path"]
SOCKET = "/run/haproxy.sock"
ENGINE = {"engine": "llama_cpp", "url": "http://127.0.0.1:8080"}
STARTED = {"pid_file": "/run/old.pid", "start_command": ["/opt/old", "--port", "8000"], "user": "llm"}
PATH = {"unit": "llama.service", "name": "comm-path"}
TAKEN = {**PATH, "state": "present", "label": "without-p2p", "environment": {"NCCL_P2P_DISABLE": "1"}}
DRAINED = {
    "state": "drained",
    "server": "node-a",
    "engine": "llama_cpp",
    "engine_url": "http://127.0.0.1:8080",
    "balancer": {"kind": "haproxy", "socket": "/run/haproxy.sock", "backend": "llm"},
    "min_available": "2",
}
SAVED = {
    "name": "old",
    "store": "/var/lib/checkpoints",
    "command": ["/opt/save"],
    "engine": "vllm",
    "url": "http://127.0.0.1:8000",
}


def why(module: str, **options: Any) -> str | None:
    """Return why a module is refused; a name without a dot is of ours."""
    return refusal(module if "." in module else OURS + module, options, DECLARED)


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("fence", {"host": "node-a", "token": 7, "run": "x"}),
        ("host_lock", {"host": "node-a", "state": "taken", "process": {"pid": 7}}),
        ("inference_service", {"unit": "llama.service", "state": "restarted", "stop_timeout": 3}),
        ("inference_service", {**STARTED, "state": "started"}),
        ("inference_health", {**ENGINE, "unit": "llama.service", "generate": True}),
        ("inference_health", {**ENGINE, "generate": True}),
        ("crash_snapshot", {**ENGINE, "unit": "llama.service", "incident": "7"}),
        ("clean_leftovers", {"unit": "llama.service", "cache_paths": []}),
        ("drain_inference", DRAINED),
        ("drain_inference", {**DRAINED, "state": "active", "min_available": None}),
        ("checkpoint_model", {**SAVED, "timeout": 30}),
        ("gpu_health", {"services": ["llama.service"]}),
        ("gpu_reset", {"state": "reset", "gpus": ["GPU-0"], "services": HOLDING, "reset_timeout": 120}),
        ("gpu_reset", {"state": "restored"}),
        ("taken_out", {"path": NOTE, "state": "present", "service": "llama", "incident": "7"}),
        ("taken_out", {"path": NOTE, "state": "queried"}),
        ("service_environment", {**PATH, "state": "queried"}),
        ("service_environment", {**PATH, "state": "absent"}),
        ("service_environment", {**TAKEN, "incident": "7"}),
        ("drain_inference", {"state": "queried", "balancer": DRAINED["balancer"]}),
        (f"{BUILTIN}command", {"_raw_params": "date +%s", "_uses_shell": False}),
    ],
)
def test_what_our_playbooks_do_is_admitted(module: str, options: dict[str, Any]) -> None:
    assert why(module, **options) is None


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("inference_service", {"unit": "ssh.service", "state": "restarted"}),
        ("inference_service", {"state": "restarted"}),
        # The command line of one service as the user of another, or of none, which is root.
        ("inference_service", {**STARTED, "user": None}),
        ("inference_service", {**STARTED, "user": "root"}),
        ("inference_service", {**STARTED, "start_command": ["/opt/old", "--port", "8000", "--then", "more"]}),
        ("inference_service", {**STARTED, "start_command": ["/opt/old", "--port 8000"]}),
        ("inference_service", {**STARTED, "environment": {"LD_PRELOAD": "/tmp/a.so"}}),
        ("inference_service", {**STARTED, "log_file": "/etc/passwd"}),
        ("inference_service", {**STARTED, "working_dir": "/tmp"}),
        # The process of one service with the engine of another.
        ("inference_health", {**ENGINE, "pid_file": "/run/old.pid"}),
        ("inference_health", {**ENGINE, "url": "http://169.254.169.254/"}),
        ("inference_health", {**ENGINE, "ca_path": "/etc/shadow"}),
        ("crash_snapshot", {"dest": "/etc/cron.d"}),
        ("crash_snapshot", {"py_spy": "/tmp/evil"}),
        ("crash_snapshot", {"nvml_library": "/tmp/evil.so"}),
        ("crash_snapshot", {"log_file": "/etc/shadow"}),
        ("crash_snapshot", {"keep": 0}),
        ("clean_leftovers", {"unit": "llama.service", "cache_paths": ["/etc"]}),
        ("drain_inference", {**DRAINED, "min_available": "0"}),
        ("drain_inference", {**DRAINED, "min_available": None}),
        ("drain_inference", {**DRAINED, "count_unchecked": True}),
        ("drain_inference", {**DRAINED, "server": "node-b"}),
        ("drain_inference", {**DRAINED, "balancer": {"kind": "nginx", "file": "/etc/passwd", "reload": ["/bin/sh"]}}),
        ("checkpoint_model", {**SAVED, "command": ["/bin/sh"]}),
        ("checkpoint_model", {**SAVED, "store": "/etc"}),
        ("checkpoint_model", {**SAVED, "url": "http://169.254.169.254/"}),
        ("checkpoint_model", {**SAVED, "engine_state_dir": "/etc"}),
        ("checkpoint_model", {**SAVED, "state": "restored", "dest": "/etc", "id": "1"}),
        ("checkpoint_model", {**SAVED, "state": "scheduled", "schedule": {"on_calendar": "daily"}}),
        ("gpu_health", {"nvml_library": "/tmp/evil.so"}),
        ("gpu_health", {"services": ["ssh.service"]}),
        ("nvlink_check", {"state_dir": "/etc"}),
        ("gpu_reset", {"state": "reset", "gpus": ["GPU-0"], "executable": "/tmp/nvidia-smi"}),
        ("gpu_reset", {"state": "reset", "gpus": ["GPU-0"], "nvml_library": "/tmp/libnvidia-ml.so.1"}),
        ("gpu_reset", {"state": "restored", "note": "/tmp/note.json"}),
        ("gpu_reset", {"state": "planned", "gpus": ["GPU-0"], "services": [{"name": "all", "unit": "sshd.service"}]}),
        ("fence", {"host": "a", "directory": "/etc"}),
        ("host_lock", {"host": "a", "directory": "/etc"}),
        ("taken_out", {"path": "/etc/cron.d/a", "state": "present", "service": "llama"}),
        ("taken_out", {"path": f"{NOTE}/a", "state": "present", "service": "llama"}),
        ("taken_out", {"state": "present", "service": "llama"}),
        ("service_environment", {**TAKEN, "unit": "ssh.service"}),
        ("service_environment", {**TAKEN, "environment": {"LD_PRELOAD": "/tmp/a.so"}}),
        ("service_environment", {**TAKEN, "name": "other"}),
        (f"{BUILTIN}stat", {"path": SOCKET}),
        ("drain_inference", {"state": "queried", "balancer": {"kind": "command", "commands": {"state": ["/bin/sh"]}}}),
        ("drain_inference", {"state": "drained", "balancer": DRAINED["balancer"]}),
        (f"{BUILTIN}file", {"path": "/etc/passwd", "state": "absent"}),
        (f"{BUILTIN}file", {"path": NOTE, "state": "link", "src": "/etc/shadow"}),
        (f"{BUILTIN}file", {"path": NOTE, "state": "absent", "owner": "autoglm"}),
        (f"{BUILTIN}command", {"_raw_params": "id"}),
        (f"{BUILTIN}command", {"_raw_params": "date +%s", "_uses_shell": True}),
        (f"{BUILTIN}command", {"_raw_params": "date +%s", "chdir": "/root"}),
        (f"{BUILTIN}shell", {}),
        (f"{BUILTIN}setup", {}),
        ("ansible.legacy.command", {"_raw_params": "date +%s"}),
        ("no_such_module", {}),
    ],
)
def test_all_else_is_refused(module: str, options: dict[str, Any]) -> None:
    assert why(module, **options)


@pytest.mark.parametrize("module", ["copy", "file", "template", "unarchive", "lineinfile", "get_url"])
@pytest.mark.parametrize("path", ["path", "dest", "name"])
def test_a_module_of_ansible_s_that_writes_is_none_for_root_whatever_it_is_given(module: str, path: str) -> None:
    for folder in (NOTE, str(Path(NOTE).parent)):
        for state in ("directory", "file", "touch", "absent", None):
            assert why(f"{BUILTIN}{module}", **{path: folder, "state": state, "mode": "0600"})


def test_what_was_judged_as_left_out_is_left_out() -> None:
    """An empty option is as good as none for the rules, and need not be for a module: it may be another one's name."""
    sent = {"path": NOTE, "state": "queried", "service": "", "directory": "", "dest": [], "mode": None}
    assert why("taken_out", **sent) is None
    assert handed_on(f"{OURS}taken_out", sent) == {"path": NOTE, "state": "queried", "service": ""}


def test_a_host_without_a_declaration_admits_nothing_that_is_bound() -> None:
    assert refusal(f"{OURS}inference_service", {"unit": "llama.service"}, {})


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
ANY = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)


@given(command=ANY, user=ANY, environment=ANY)
def test_whatever_is_given_a_start_is_the_declared_one(command: Any, user: Any, environment: Any) -> None:
    given_options = {"pid_file": "/run/old.pid", "start_command": command, "user": user, "environment": environment}
    if why("inference_service", **given_options, state="started") is None:
        assert [str(word) for word in command] == ["/opt/old", "--port", "8000"]
        assert (user, environment or None) == ("llm", None)


def _options(module: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the options that a module has, by its own argument specification."""
    taken: dict[str, Any] = {}

    class Seen(Exception):
        pass

    def look(argument_spec: dict[str, Any], **_: Any) -> None:
        taken.update(argument_spec)
        raise Seen

    loaded = importlib.import_module(OURS + module)
    monkeypatch.setattr(loaded, "AnsibleModule", look)
    with pytest.raises(Seen):
        loaded.main()
    return set(taken)


MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("[a-z]*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_each_option_that_is_named_is_one_that_the_module_has(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULES[OURS + module]
    named = {option for group in rule.bound for option in group.options} | rule.free | set(rule.only)
    assert named <= _options(module, monkeypatch)


@pytest.mark.parametrize("module", MODULES)
def test_no_option_that_names_a_file_a_program_or_a_user_is_free(module: str) -> None:
    """By their names, as the modules have them today; a new option is refused until somebody has decided."""
    telling = re.compile(
        r"path|file|dir|dest|source|store|command|program|library|py_spy|^user$|environment|socket|unit|url"
    )
    assert not {name for name in RULES[OURS + module].free if telling.search(name)} - {"command_timeout"}


@pytest.mark.parametrize(
    "file",
    sorted([*(CHECKOUT / "playbooks/tasks").glob("*.yml"), *(CHECKOUT / "roles/check_target/tasks").glob("*.yml")]),
    ids=lambda path: path.name,
)
def test_each_module_that_the_tasks_run_on_a_host_has_a_rule(file: Path) -> None:
    on_the_controller = {"assert", "debug", "set_fact", "meta", "include_tasks", "import_tasks", "fail", "pause"}
    used = re.findall(r"^\s+(autoglm\.recovery|ansible\.builtin)\.(\w+):", file.read_text("utf-8"), re.MULTILINE)
    for collection, module in used:
        if module not in on_the_controller:
            assert (OURS if collection == "autoglm.recovery" else BUILTIN) + module in RULES
