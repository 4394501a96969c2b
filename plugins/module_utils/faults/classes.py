# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The failure classes, and the ladder of actions that each climbs when the policy says nothing.

A ladder ends in silence: after its last rung a person is called.  C(unknown) has no rung on purpose, so that
nothing destructive is ever done to a failure that nobody has named.
"""

from __future__ import annotations

DEFAULT_LADDERS = {
    "oom": ("restart_process", "failover_and_rebuild"),
    "deadlock": ("clear_queue_and_reset", "restart_process", "failover_and_rebuild"),
    "gpu_comm": ("switch_comm_path", "failover_and_rebuild"),
    "gpu_fault": ("reset_gpu", "reboot_node", "quarantine_node"),
    "gpu_lost": ("failover_and_rebuild", "reboot_node", "quarantine_node"),
    "thermal": ("shed_load", "quarantine_node"),
    "crash": ("restart_process", "failover_and_rebuild"),
    "unresponsive": ("restart_process", "failover_and_rebuild"),
    "not_ready": ("retry_with_backoff", "restart_process"),
    "overload": ("shed_load", "retry_with_backoff"),
    "node_down": ("failover_and_rebuild", "quarantine_node"),
    "partition": ("elect_primary",),
    "intrusion": ("isolate_and_snapshot",),
    "unknown": (),
}  # type: dict[str, tuple[str, ...]]

FAILURE_CLASSES = tuple(DEFAULT_LADDERS)

# Where several alerts tell of one target, the earliest class in this list is the cause and the others its effects: a
# node that is gone explains everything on it, a lost GPU explains a crash, a crash explains silence and latency.
ROOT_CAUSE_ORDER = (
    "intrusion",
    "node_down",
    "partition",
    "gpu_lost",
    "gpu_fault",
    "gpu_comm",
    "thermal",
    "oom",
    "crash",
    "deadlock",
    "unresponsive",
    "not_ready",
    "overload",
    "unknown",
)

# Every action the design names.  Which of them this release can run is decided by the playbooks that are
# there, not by this list.
ACTIONS = tuple(sorted({action for ladder in DEFAULT_LADDERS.values() for action in ladder} | {"safe_shutdown"}))

# What an action costs beside what has failed, from nothing to most.  The ladder never takes a dearer action because a
# cheaper one is not installed.
COSTS_NOTHING = 0  # what is there goes on
COSTS_REQUESTS = 1  # what this replica has in flight
COSTS_STATE = 2  # state of the replica or the GPU, or other services on that GPU
COSTS_HOST = 3  # the whole host, for a while or until a person gives it back
COSTS_SERVICE = 4  # nothing on that host serves until a person comes

DESTRUCTIVENESS = {
    "retry_with_backoff": COSTS_NOTHING,
    "shed_load": COSTS_NOTHING,
    "clear_queue_and_reset": COSTS_REQUESTS,
    "elect_primary": COSTS_REQUESTS,
    "restart_process": COSTS_REQUESTS,
    "switch_comm_path": COSTS_REQUESTS,
    "failover_and_rebuild": COSTS_STATE,
    "reset_gpu": COSTS_STATE,
    "isolate_and_snapshot": COSTS_HOST,
    "quarantine_node": COSTS_HOST,
    "reboot_node": COSTS_HOST,
    "safe_shutdown": COSTS_SERVICE,
}  # type: dict[str, int]


def destroys(action):  # type: (str) -> int
    """Return what an action costs, 0 to 4; of one that is not known here the worst is assumed."""
    return DESTRUCTIVENESS.get(action, COSTS_SERVICE)


# These take the whole host out, whatever the target on it was.
HOST_WIDE_ACTIONS = frozenset({"isolate_and_snapshot", "quarantine_node", "reboot_node", "safe_shutdown"})

# A host that boots is away for up to half an hour, drained before and proven after: a run that is ended in between by a
# policy that says nothing would count as one that has failed.
REBOOT = "reboot_node"
LEAST_SECONDS = {REBOOT: 3600}  # type: dict[str, int]

# These act on the GPU itself: what they have cost it goes with the card, into whatever host it is put.
GPU_ACTIONS = frozenset({"reboot_node", "reset_gpu", "switch_comm_path"})

# Failures with which the target serves nobody any more: to act on it takes nothing further away.
OUT_OF_SERVICE = frozenset({"crash", "deadlock", "gpu_lost", "node_down", "not_ready", "oom", "unresponsive"})

# Failures with which the target still serves, if badly: it is not missing in its pool.
STILL_SERVING = frozenset({"overload", "thermal"})
