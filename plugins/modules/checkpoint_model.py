#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: checkpoint_model
short_description: Save, prove and restore what a restart of a model would lose
version_added: 0.2.0
description:
  - Saves checkpoints of trainers and the state of inference engines into a directory or an object store, proves them,
    and restores the newest one that verifies.
  - A checkpoint is in the store whole or not at all. In a directory it is written under another name, made durable and
    renamed. In an object store its files come first and its manifest last, and without a manifest it is none.
  - The manifest has the size and the SHA-256 of every file, taken while it was copied, and a digest of itself.
    A checkpoint that was torn, truncated or changed is passed over with the reason.
  - Without O(signing_key) whoever can write to the store can replace files and manifest together, unseen.
    With it they cannot.
  - Before a checkpoint is accepted its own structure is checked. What is checked for each format is in
    C(docs/checkpoints.md).
    A pickle is never loaded. Its opcodes are read, and one that would import what no checkpoint needs is refused.
author:
  - autoglm.recovery maintainers (@autoglm)
requirements:
  - The Python package C(fsspec), and what it needs for the protocol, where O(store) is a URL.
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.engine
attributes:
  action_group:
    membership: [autoglm.recovery.engine, autoglm.recovery.recovery]
  check_mode:
    support: full
    details:
      - Nothing is asked of an engine, a trainer or a command, so whether they would answer is not known.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - A O(source) of which the newest checkpoint was taken, and to which nobody has written since, is not saved again.
      - What an engine, O(command) or O(signal) produce is new each time, and so is the state that an engine has loaded.
options:
  state:
    description:
      - V(saved) takes a checkpoint and then applies O(keep) and O(max_age).
      - V(restored) brings back the newest checkpoint that verifies, or the one of O(id).
      - V(verified) reads and compares every byte, and changes nothing.
      - V(pruned) applies O(keep) and O(max_age) and cleans up after saves that were killed.
      - V(absent) removes the checkpoint of O(id).
      - V(scheduled) installs a systemd timer that does what V(saved) does, and V(unscheduled) removes it.
    type: str
    choices: [saved, restored, verified, pruned, absent, scheduled, unscheduled]
    default: saved
  name:
    description:
      - The name under which checkpoints of one thing are kept, such as the name of a model or a service.
        Letters, digits, C(.), C(_) and C(-), 64 at most.
    type: str
    required: true
  store:
    description:
      - Where checkpoints are kept. An absolute path, or a URL of fsspec such as V(s3://bucket/prefix).
        URLs need C(fsspec) on the host, and what it needs for the protocol, such as C(s3fs).
      - Required unless O(state=unscheduled).
    type: str
  storage_options:
    description:
      - Options of fsspec for the URL, such as C(key), C(secret) and C(endpoint_url) of S3.
    type: dict
  source:
    description:
      - The file or directory to save.
        With O(pattern) the directory in which a trainer writes one checkpoint after the other.
    type: path
  pattern:
    description:
      - Which entries of O(source) are checkpoints, such as V(checkpoint-*).
        The newest one that proves whole is saved, and the reasons for passing over newer ones are in RV(passed_over).
    type: str
  format:
    description:
      - What the checkpoint must be. It is found out by content if this is not given.
      - V(files) is anything. Nothing but the manifest shows later whether it is whole.
    type: str
    choices: [torch, safetensors, hf_sharded, dcp, gguf, onnx, llama_slots, files]
  command:
    description:
      - A command that writes a checkpoint, as a list of words. No shell is involved.
      - V({directory}) in a word stands for the directory that it must write into, which is also in the environment
        as E(AUTOGLM_CHECKPOINT_DIR). It must exit with 0 within O(timeout), and must have written a file.
    type: list
    elements: str
  workdir:
    description:
      - Where O(command) gets its directory. If others could put another directory in the place of it, the command is
        given a path through C(/proc) that stays the directory that was made.
    type: path
    default: /var/tmp
  engine_state_dir:
    description:
      - The directory, on the host, into which the O(engine) at O(url) saves. With llama.cpp that of
        C(--slot-save-path).
      - With it, O(state=saved) has the engine save its state and keeps that, and O(state=restored) puts the files back
        and has the engine load them. It must have no requests.
      - Without it no engine is asked anything, whatever O(engine) says.
    type: path
  signal:
    description:
      - Ask a running trainer to write a checkpoint into O(source), and save that.
        A checkpoint is taken when it is new and proves whole, not when it stops growing.
      - A process that does not handle the signal would be ended by it, and is not sent it.
    type: dict
    suboptions:
      unit:
        description:
          - The systemd unit whose main process is asked. One of this and O(signal.pid_file).
        type: str
      pid_file:
        description:
          - The file with the process id of whom to ask.
          - The process must be of the user who owns the file, so that nobody has a process of another's signalled.
            A file of root's may name any process where nobody but root can write to it or to its directory.
        type: path
      signal:
        description:
          - Which signal.
        type: str
        default: SIGUSR1
  timeout:
    description:
      - Seconds for O(command), for a trainer to answer O(signal), and for each question to an engine.
    type: float
    default: 600.0
  id:
    description:
      - One checkpoint, as RV(checkpoint.id) named it. Required with O(state=absent).
    type: str
  dest:
    description:
      - Where to restore. The directory around it must exist. What is there is replaced in one step, when the new
        state is whole. New files belong to whom the replaced ones, or else the directory around, belong to.
    type: path
  signing_key:
    description:
      - A secret with which manifests are signed (HMAC-SHA256). When it is given, unsigned checkpoints do not verify.
    type: str
  incident:
    description:
      - The id of the incident for which the checkpoint is taken. It is written into the manifest.
    type: str
  force:
    description:
      - Save a O(source) again that has not changed.
    type: bool
    default: false
  read_back:
    description:
      - Read everything back from an object store and compare, before the save counts.
        Without it the store is asked for the lengths only.
    type: bool
    default: false
  min_free:
    description:
      - Bytes that must stay free. A save or a restore that would need them is not begun.
        Object stores do not tell what they have.
    type: int
    default: 67108864
  keep:
    description:
      - How many checkpoints stay. The newest that verifies stays in any case, as does one that is being read.
    type: int
  max_age:
    description:
      - Seconds after which a checkpoint may go.
    type: int
  schedule:
    description:
      - When O(state=scheduled) saves.
    type: dict
    suboptions:
      calendar:
        description:
          - A calendar event of systemd, such as V(*-*-* 03:00). One of this and O(schedule.interval).
        type: str
      interval:
        description:
          - A time span of systemd between two saves, such as V(30min).
        type: str
      randomized_delay:
        description:
          - A time span by which each save is delayed at random, so that a fleet does not save at once.
        type: str
        default: 0s
      timeout:
        description:
          - Seconds after which a save is ended. It must be more than O(timeout).
        type: int
        default: 3600
      read_write_paths:
        description:
          - Directories beside the store into which O(command) writes.
        type: list
        elements: path
        default: []
seealso:
  - module: autoglm.recovery.crash_snapshot
"""

EXAMPLES = r"""
- name: Save the newest whole checkpoint of a training
  autoglm.recovery.checkpoint_model:
    name: bert-finetune
    source: /srv/train/output
    pattern: checkpoint-*
    store: /var/lib/autoglm/checkpoints
    keep: 5
  register: saved

- name: Have a trainer write one first, and keep it in S3
  autoglm.recovery.checkpoint_model:
    name: bert-finetune
    source: /srv/train/output
    pattern: checkpoint-*
    signal:
      unit: trainer.service
    store: s3://checkpoints/fleet-a
    storage_options:
      key: "{{ s3_key }}"
      secret: "{{ s3_secret }}"
    signing_key: "{{ checkpoint_signing_key }}"

- name: Save the prompt caches of a llama-server
  autoglm.recovery.checkpoint_model:
    name: chat
    engine: llama_cpp
    url: http://127.0.0.1:8080
    engine_state_dir: /var/lib/llama/slots
    store: /var/lib/autoglm/checkpoints

- name: Load them into the server that was started anew
  autoglm.recovery.checkpoint_model:
    state: restored
    name: chat
    engine: llama_cpp
    url: http://127.0.0.1:8080
    engine_state_dir: /var/lib/llama/slots
    store: /var/lib/autoglm/checkpoints

- name: Save every half an hour
  autoglm.recovery.checkpoint_model:
    state: scheduled
    name: bert-finetune
    source: /srv/train/output
    pattern: checkpoint-*
    store: /var/lib/autoglm/checkpoints
    keep: 48
    schedule:
      interval: 30min

- name: Prove what is there
  autoglm.recovery.checkpoint_model:
    state: verified
    name: bert-finetune
    store: /var/lib/autoglm/checkpoints
  register: proof
  failed_when: proof.verdict != 'healthy'
"""

RETURN = r"""
checkpoint:
  description: The checkpoint that was saved, restored, or is the newest that verifies. Null when there is none.
  type: dict
  returned: when O(state) is V(saved), V(restored) or V(verified)
  contains:
    id:
      description: Its id, which sorts by time.
      type: str
      sample: 20261124T204700.123456Z-0123abcd
    path:
      description: Where it is, as a path or a URL.
      type: str
      sample: /var/lib/autoglm/checkpoints/bert-finetune/20261124T204700.123456Z-0123abcd
    format:
      description: Its format.
      type: str
      sample: safetensors
    parts:
      description: How many tensors, storages, slices, shards or slots were checked. Only when it was saved.
      type: int
      sample: 291
    remarks:
      description: What the structure of the format cannot show. Only when it was saved.
      type: list
      elements: str
      sample: []
    files:
      description: Its files.
      type: list
      elements: str
      sample: [config.json, model.safetensors]
    bytes:
      description: Bytes of all files.
      type: int
      sample: 438012345
    sha256:
      description: The SHA-256 of its manifest, which names those of the files.
      type: str
      sample: 2cfae3034abc57706aaa3e2ab97da2cad1243763c1f8825cb5a37a0fc914b450
    taken_at:
      description: When it was taken, in UTC.
      type: str
      sample: "2026-11-24T20:47:00Z"
    signed:
      description: Whether the manifest carries a signature.
      type: bool
      sample: true
    seconds:
      description: How long it took. Not when it was verified.
      type: float
      sample: 1.204
passed_over:
  description: What was passed over for being torn, truncated, changed or unfinished, and why.
  type: list
  elements: dict
  returned: when O(state) is V(saved), V(restored) or V(verified)
  sample: [{"id": "20261124T213000.000000Z-89abcdef", "reason": "model.safetensors is missing"}]
removed:
  description: The ids of checkpoints that were removed, or in check mode would be.
  type: list
  elements: str
  returned: when O(state) is V(saved), V(pruned) or V(absent)
  sample: [20261101T030000.000000Z-01234567]
kept:
  description: What was due and stayed, and why.
  type: list
  elements: dict
  returned: when O(state) is V(saved) or V(pruned)
  sample: [{"id": "20261102T030000.000000Z-01234567", "reason": "it is being read"}]
leftovers:
  description: What killed saves and restores had left, and is removed.
  type: list
  elements: str
  returned: when O(state) is V(saved), V(restored) or V(pruned)
  sample: []
engine_state:
  description: The files that the engine loaded, with the number of tokens of each.
  type: dict
  returned: when O(state=restored) with O(engine_state_dir)
  sample: {"autoglm-chat-slot0.bin": 405}
verdict:
  description:
    - V(healthy) if the newest checkpoint verifies, V(unhealthy) if it does not or there is none, V(unknown) if the
      store could not be read.
  type: str
  returned: when O(state=verified)
  sample: healthy
failure_class:
  description: Always null. A missing checkpoint is no failure of a service.
  type: str
  returned: when O(state=verified)
  sample: null
reasons:
  description: The reasons for the verdict.
  type: list
  elements: str
  returned: when O(state=verified)
  sample: ["20261124T204700.123456Z-0123abcd verifies"]
recommended_action:
  description: Always null.
  type: str
  returned: when O(state=verified)
  sample: null
checkpoints:
  description: Every checkpoint of the series, newest first.
  type: list
  elements: dict
  returned: when O(state=verified)
  sample: [{"id": "20261124T204700.123456Z-0123abcd", "verifies": true, "reason": ""}]
schedule:
  description: The timer, and the files that belong to it.
  type: dict
  returned: when O(state) is V(scheduled) or V(unscheduled)
  sample: {"timer": "autoglm-checkpoint-bert-finetune.timer", "files": ["/usr/local/lib/autoglm/checkpoint.pyz"]}
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import os
import sys
import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import operation, timer, timer_install
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.formats import FORMATS
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.names import check_series
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError, Damaged
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.arguments import engine_arguments
from ansible_collections.autoglm.recovery.plugins.module_utils.host.libraries import MissingLibrary
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread

# What a timer's save needs of the parameters, and nothing else of them: it is written down on the host.
# fmt: off
_OF_A_SAVE = (
    "name", "store", "storage_options", "source", "pattern", "format", "command", "workdir", "signal", "timeout",
    "signing_key", "read_back", "min_free", "keep", "max_age",
)
_OF_AN_ENGINE = ("engine", "engine_options", "url", "api_key", "validate_certs", "ca_path", "engine_state_dir")
# fmt: on


def argument_spec() -> dict[str, Any]:
    return {
        "state": {
            "type": "str",
            "choices": ["saved", "restored", "verified", "pruned", "absent", "scheduled", "unscheduled"],
            "default": "saved",
        },
        "name": {"type": "str", "required": True},
        "store": {"type": "str"},
        "storage_options": {"type": "dict", "no_log": True},
        "source": {"type": "path"},
        "pattern": {"type": "str"},
        "format": {"type": "str", "choices": list(FORMATS)},
        "command": {"type": "list", "elements": "str"},
        "workdir": {"type": "path", "default": "/var/tmp"},  # noqa: S108 - a private directory is made in it
        **engine_arguments(),
        "engine_state_dir": {"type": "path"},
        "signal": {
            "type": "dict",
            "options": {
                "unit": {"type": "str"},
                "pid_file": {"type": "path"},
                "signal": {"type": "str", "default": "SIGUSR1"},
            },
        },
        "timeout": {"type": "float", "default": 600.0},  # of commands and trainers too
        "id": {"type": "str"},
        "dest": {"type": "path"},
        "signing_key": {"type": "str", "no_log": True},
        "incident": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "read_back": {"type": "bool", "default": False},
        "min_free": {"type": "int", "default": 64 * 1024 * 1024},
        "keep": {"type": "int", "no_log": False},
        "max_age": {"type": "int"},
        "schedule": {
            "type": "dict",
            "options": {
                "calendar": {"type": "str"},
                "interval": {"type": "str"},
                "randomized_delay": {"type": "str", "default": "0s"},
                "timeout": {"type": "int", "default": 3600},
                "read_write_paths": {"type": "list", "elements": "path", "default": []},
            },
        },
    }


def act(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the state asks for; the module's result. Raises ValueError, CheckpointError and Damaged."""
    state = params["state"]
    if params["timeout"] <= 0:
        raise ValueError("timeout must be more than 0")
    if state == "verified":
        return operation.verify(params)
    if state in ("scheduled", "unscheduled"):
        return _apply_schedule(params, state == "scheduled", check_mode)
    work = {
        "saved": operation.save,
        "restored": operation.restore,
        "pruned": operation.prune,
        "absent": operation.remove,
    }[state]
    result = work(params, check_mode)
    if result["changed"]:
        result["diff"] = _diff_of(params, result)
    return result


def _diff_of(params: dict[str, Any], result: dict[str, Any]) -> dict[str, str]:
    gone = "".join(f"{identity}\n" for identity in [*result.get("removed", []), *result.get("leftovers", [])])
    checkpoint = result.get("checkpoint") or {}
    where = params["dest"] or params["engine_state_dir"] or "" if params["state"] == "restored" else ""
    new = f"{checkpoint.get('path', params['store'] + '/' + params['name'] + '/...')} {where}".rstrip() + "\n"
    return {"before": gone, "after": new if params["state"] in ("saved", "restored") else ""}


def _apply_schedule(params: dict[str, Any], wanted: bool, check_mode: bool) -> dict[str, Any]:
    name = check_series(params["name"])
    if not wanted:
        change = timer_install.uninstall(name, check_mode)
    else:
        operation.check(params, "saved")
        needed = (*_OF_A_SAVE, *_OF_AN_ENGINE) if params["engine_state_dir"] else _OF_A_SAVE
        files = timer.files(_timer_of(params), {key: params[key] for key in needed if params[key] is not None})
        if params["schedule"]["calendar"]:
            timer_install.check_calendar(params["schedule"]["calendar"])
        if params["store"].startswith("/") and not check_mode:
            # The service may write into this directory only if it is there.
            os.makedirs(params["store"], mode=0o700, exist_ok=True)
        change = timer_install.install(name, files, check_mode)
    return {
        "changed": change.changed,
        "schedule": {"timer": f"{timer.unit(name)}.timer", "files": change.paths},
        "diff": {"before": change.before, "after": change.after},
    }


def _timer_of(params: dict[str, Any]) -> timer.Schedule:
    given = params["schedule"]
    if given["timeout"] <= params["timeout"]:
        raise ValueError("schedule.timeout must be more than timeout, or systemd ends the save before it can say why")
    writes = [params["store"]] if params["store"].startswith("/") else []
    if params["command"]:
        writes.append(params["workdir"])
    return timer.Schedule(
        name=params["name"],
        calendar=given["calendar"],
        interval=given["interval"],
        delay=given["randomized_delay"],
        timeout=given["timeout"],
        writes=[*writes, *given["read_write_paths"]],
        python=sys.executable,
        hook=bool(params["command"]),
    )


def main() -> None:
    needs_store = [("state", state, ["store"]) for state in ("saved", "restored", "verified", "pruned")]
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        required_if=[
            *needs_store,
            ("state", "absent", ["store", "id"]),
            ("state", "scheduled", ["store", "schedule"]),
        ],
    )
    os.umask(0o077)
    try:
        result = act(module.params, module.check_mode)
    except MissingLibrary as error:
        why = missing_required_lib(error.package, reason=error.needed)
        module.fail_json(msg=why, exception=traceback.format_exc())
    except (CheckpointError, Damaged, OSError, Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
